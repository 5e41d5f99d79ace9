"""All numbers of a training in one file, which is replaced in one move."""

import errno
import json
import os
import shutil
from pathlib import Path

import keras
import numpy as np

from bert4keras_ext.backend.keras_internals import all_layers_of


class StateError(ValueError):
    """A stored state that cannot be continued: says what was expected, what found, and the fix."""


def training_variables(model):
    """Every variable of a training, in a fixed order: weights, seeds, optimizer, metrics.

    At the end come those that a subclass keeps in its attributes (or in a list or dict there) and
    that Keras does not count: further optimizers, metrics of models inside, TensorFlow variables.
    """
    optimizer = [] if model.optimizer is None else model.optimizer.variables
    found = [*model.variables, *optimizer, *model.metrics_variables]
    for layer in all_layers_of(model):
        for part in attributes_of(layer):
            found += _variables_of(part)
    return list({id(variable): variable for variable in found}.values())


def attributes_of(layer):
    """The values of its attributes, those in lists, tuples and dicts one by one."""
    return [leaf for value in vars(layer).values() for leaf in _leaves(value)]


def optimizers_of(layer):
    """The optimizers that a layer or model keeps in its attributes."""
    return [x for x in attributes_of(layer) if isinstance(x, keras.optimizers.Optimizer)]


def _leaves(value):
    if isinstance(value, dict):
        value = list(value.values())
    if not isinstance(value, (list, tuple)):
        return [value]
    return [leaf for part in value for leaf in _leaves(part)]


def _variables_of(part):
    import tensorflow as tf

    if isinstance(part, (keras.optimizers.Optimizer, keras.Metric)):
        return part.variables
    return [part] if isinstance(part, (keras.Variable, tf.Variable)) else []


def write_state(path, arrays, notes):
    """Writes arrays and notes (a dict of plain values) as one `.npz`, or nothing at all."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        with open(draft, "wb") as file:
            numbered = {f"array_{n}": np.asarray(array) for n, array in enumerate(arrays)}
            np.savez(file, count=len(numbered), notes=json.dumps(notes), **numbered)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def read_state(path):
    """(arrays, notes) as `write_state` was given them; StateError where the file is damaged."""
    with open(path, "rb") as file:  # one that may not be read is not a damaged one
        try:
            return _parse(file)
        # Damaged bytes end in any kind of error. NumPy's own words are not repeated: of bytes that
        # are no archive they advise to load pickles, which would run what is in the file.
        except Exception as error:
            raise StateError(
                f"expected a training state in {path}, found a damaged file of "
                f"{os.fstat(file.fileno()).st_size} bytes ({type(error).__name__}); delete it and "
                "start anew"
            ) from None


def _parse(file):
    with np.load(file, allow_pickle=False) as content:
        notes = json.loads(str(content["notes"]))
        # Counted when it was written: a damaged list of contents may leave some out.
        return [content[f"array_{n}"] for n in range(int(content["count"]))], notes


def check_room(path, size):
    """OSError where a file of `size` bytes does not fit at `path`; nothing is left there.

    For writers that do not survive a full disk: HDF5 crashes the process when it ends.
    """
    path = Path(path)
    try:
        with open(path, "wb") as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            elif shutil.disk_usage(path.parent).free < size:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    finally:
        path.unlink(missing_ok=True)


def assign_state(variables, arrays, path):
    """Puts the arrays into the variables, if all of them fit; StateError and no change if not."""
    expected = [tuple(variable.shape) for variable in variables]
    found = [array.shape for array in arrays]
    if expected != found:
        raise StateError(
            f"expected the state of this model, optimizer and metrics ({len(expected)} variables), "
            f"found that of another one ({len(found)}) in {path}; use another folder, or start anew"
        )
    for variable, array in zip(variables, arrays):
        variable.assign(array)
