"""Loads Keras 3's `.weights.h5`, whose names mean something only to the model that wrote them."""

import os
import tempfile

import keras
import numpy as np

from bert4keras_ext.backend.keras_internals import all_layers_of, weights_in_files
from bert4keras_ext.checkpoints.arrays import assign, dtype_of, is_floating
from bert4keras_ext.checkpoints.keras_h5 import KerasWeightsReader
from bert4keras_ext.checkpoints.reader import CheckpointError
from bert4keras_ext.layers.dense import Dense
from bert4keras_ext.layers.lora import KEYS as LORA_KEYS

# Whose way to load weights is to assign them, in the order in which they are saved.
_PLAIN = {
    cls.load_own_variables
    for cls in (
        keras.layers.Layer, keras.layers.Dense, keras.layers.EinsumDense, keras.layers.Embedding,
        Dense,
    )
}  # fmt: skip


def load_keras_weights(model, reader):
    """Loads a `.weights.h5` into the model that it was saved from, all of it or nothing.

    Weight by weight, where the model's own weights tell their names in such a file and its layers
    do no more than assign them. Otherwise (quantized models, LoRA, layers that save or load in a
    way of their own, as Normalization does, or an optimizer in both) Keras loads it, which takes up
    to three times the largest tensor besides the model.

    Args:
        model: the Keras model.
        reader: an open `KerasWeightsReader`.

    Returns:
        The names of the loaded tensors.

    Raises:
        CheckpointError: if the file is of another model or damaged; the model is then as it was.
    """
    names = _names(reader)
    variables = _named_variables(model)
    if variables is None or (_has_optimizer(reader.names()) and _has_optimizer(variables)):
        _load_through_keras(model, reader, names)
        return names
    own = {name: variable for name, variable in variables.items() if not _of_optimizer(name)}
    _compare({name: tuple(variable.shape) for name, variable in own.items()}, reader)
    reader.verify(names)  # only what has been compared: others may claim any size
    if all(_is_readable(reader.dtype(name), own[name]) for name in names):
        _assign_all(reader, own)
    else:
        _load_through_keras(model, reader, names)
    return names


def _named_variables(model):
    """{name in a file of Keras': variable}, or None where Keras does not tell."""
    found = weights_in_files(model)
    loaders = {type(layer).load_own_variables for layer in all_layers_of(model)}
    are_weights = all(isinstance(value, keras.Variable) for value in (found or {}).values())
    return found if found and are_weights and loaders <= _PLAIN else None


def _is_readable(dtype, variable):
    """Whether a data set can be read as it is: HDF5 does not know bfloat16, for instance."""
    wanted = dtype_of(variable.dtype)
    return dtype == wanted or (np.issubdtype(dtype, np.floating) and is_floating(wanted))


def _assign_all(reader, variables):
    """Assigns each its tensor; after a failure, or Ctrl-C, all have the values they had."""
    with tempfile.TemporaryDirectory() as folder:
        done = {}
        try:
            for number, (name, variable) in enumerate(variables.items()):
                path = os.path.join(folder, f"{number}.bin")
                # The variable's own memory, where `as_array` makes a copy of a copy.
                np.asarray(keras.ops.convert_to_tensor(variable)).tofile(path)
                done[path] = variable
                value = np.empty(tuple(variable.shape), dtype_of(variable.dtype))
                reader.read_into(name, value)
                assign(variable, value)
                del value  # before the next one
        except BaseException:
            for path, variable in done.items():
                value = np.fromfile(path, dtype_of(variable.dtype))
                assign(variable, value.reshape(tuple(variable.shape)))
            raise


def _load_through_keras(model, reader, names):
    """The model's present weights are first written to a temporary file.

    Its layout is what the file has to have, and its contents bring the model back if loading fails
    after all.
    """
    with tempfile.TemporaryDirectory() as folder:
        backup = os.path.join(folder, "backup.weights.h5")
        model.save_weights(backup)
        with KerasWeightsReader(backup) as own:
            expected = {name: own.shape(name) for name in _names(own)}
        _compare(expected, reader)
        reader.verify(names)
        try:
            model.load_weights(reader.path)
        except BaseException as error:  # Ctrl-C too must leave no mixture
            model.load_weights(backup)
            if not isinstance(error, Exception):
                raise
            raise CheckpointError(
                f"Keras cannot load {reader.path!r} into this model, which is as it was: {error}"
            ) from error


def _compare(expected, found):
    present = {name: found.shape(name) for name in _names(found)}
    problems = [f"missing: {name} {expected[name]}" for name in expected if name not in present]
    problems += [
        f"not in the model: {name} {present[name]}" for name in present if name not in expected
    ]
    problems += [
        f"of another shape: {name}, expected {shape}, found {present[name]}"
        for name, shape in expected.items()
        if present.get(name, shape) != shape
    ]
    if problems:
        shown = "\n  ".join(problems[:10])
        raise CheckpointError(
            f"Cannot load {found.format} {found.path!r} into this model, which is as it was. "
            f"{len(problems)} differences:\n  {shown}\n"
            "This format has no layer names: it fits only the very model that save_weights was "
            "called on (a head on top counts). Build that model and call its load_weights, "
            "or save with save_checkpoint, which keeps names."
        )


def _names(reader):
    """Those of a model's weights: not an optimizer's, nor LoRA's, which may be on one side only."""
    of_lora = [f"vars/{key}" for key in LORA_KEYS]
    return [
        name for name in reader.names()
        if not _of_optimizer(name) and not name.endswith(tuple(of_lora))
    ]  # fmt: skip


def _of_optimizer(name):
    return name.split("/")[0] == "optimizer"


def _has_optimizer(names):
    return any(map(_of_optimizer, names))
