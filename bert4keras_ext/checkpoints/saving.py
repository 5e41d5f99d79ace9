"""save_checkpoint: a model's weights in published names, for TensorFlow, PyTorch or us."""

import logging
from pathlib import Path

import keras
import numpy as np

from bert4keras_ext.backend.keras_internals import all_layers_of
from bert4keras_ext.checkpoints import safetensors_file, tf_checkpoint
from bert4keras_ext.checkpoints.arrays import as_array, dtype_of, is_floating
from bert4keras_ext.checkpoints.description import builder_of
from bert4keras_ext.checkpoints.names import table_of, tables_if_known
from bert4keras_ext.checkpoints.resolve import named_by_hand
from bert4keras_ext.checkpoints.transforms import IDENTITY, Part
from bert4keras_ext.checkpoints.writing import LazyArray, checked_dtype

logger = logging.getLogger(__name__)

FORMATS = ("tensorflow", "huggingface", "native")


def save_checkpoint(builder, path, format="tensorflow", mapping=None, dtype=None):
    """Writes a model's weights; the checkpoint appears under its name only when it is complete.

    Args:
        builder: what built the model (see `load_checkpoint`), or the Keras model: as it was built,
            or loaded, cloned or copied since, or a model of yours around it. Layers of your own
            are not written: they have no published names.
        path: where to. A TensorFlow prefix such as "folder/bert_model.ckpt"; otherwise a file
            that ends in .safetensors, or a folder that gets a model.safetensors.
        format: "tensorflow" (published names, read by bert4keras and by Google's code),
            "huggingface" (safetensors in PyTorch's names, read by `transformers`) or "native"
            (safetensors in our own names, which holds every weight of any model). Other formats
            than "native" hold matrices as the model uses them, LoRA's products added.
        mapping: names given by hand instead of the family's table; as in `load_checkpoint`.
        dtype: store floating-point weights in this dtype, such as "float16"; None keeps each.

    Returns:
        {our weight: name in the checkpoint} of what was written. Weights that the format has no
        name for are left out, with a warning that names them.

    Raises:
        ValueError: for an unknown format, a dtype that is no floating-point one, a family without
            names in the format, a mapping that names no weight, a quantized model in another
            format than "native", weights that differ although they share a name in the
            checkpoint, or a model that was not made by a builder.

    Example::

        save_checkpoint(builder, "my_bert/bert_model.ckpt")
        save_checkpoint(builder, "my_bert", format="huggingface", dtype="float16")
        save_checkpoint(keras.models.load_model("classifier.keras"), "my_bert/bert_model.ckpt")
    """
    if format not in FORMATS:
        raise ValueError(f"Unknown checkpoint format {format!r}; expected one of {FORMATS}.")
    checked_dtype(dtype)
    if isinstance(builder, keras.Model):
        builder = builder_of(builder)
        mapping = mapping or (builder.mapping if format == "tensorflow" else None)
    weights = builder.named_weights()
    named = _named(builder, weights, format, mapping)
    if not named:
        raise ValueError(
            f"expected a mapping that names weights or layers of the model ({list(weights)[:5]} "
            f"..., or {list(builder.layers)[:5]} ...), received one that names none of them"
        )
    if mapping is not None or format != "native":
        _check_unquantized(weights, named)
        weights = _merged(builder, weights, named)
    named = {ours: (name, transform.bind(builder)) for ours, (name, transform) in named.items()}
    unnamed = [name for name in weights if name not in named]
    _warn_of_unnamed([name for name in unnamed if not _computed(builder, name)], format)
    tensors = _tensors(weights, named)
    if mapping is None and format != "native":
        tensors.update(_buffers(builder, table_of(builder.family, format)))
    if format == "tensorflow":
        tf_checkpoint.write(path, tensors, dtype)
    else:
        path = Path(path)
        path = path if path.suffix == ".safetensors" else path / "model.safetensors"
        safetensors_file.write(path, tensors, dtype)
    return {ours: foreign for ours, (foreign, _) in named.items()}


def _named(builder, weights, format, mapping):
    """{our weight: (foreign name, transform)} of all weights that have a name in this format."""
    if mapping is not None:
        named = named_by_hand(builder, weights, mapping)
        return {ours: entry for ours, entry in named.items() if entry[0] is not None}
    if format == "native":
        return {name: (name, IDENTITY) for name in weights}
    table = table_of(builder.family, format)
    entries = {ours: table.entry(ours) for ours in weights}
    return {ours: entry for ours, entry in entries.items() if entry is not None}


def _check_unquantized(weights, named):
    for ours in named:
        dtype = dtype_of(weights[ours].dtype)
        if not is_floating(dtype):
            raise ValueError(
                f"expected floating-point weights, received {ours} in {dtype.name}: a quantized "
                "model has no such weights left. Save it before quantizing, or save this one with "
                "format='native'"
            )


def _merged(builder, weights, named):
    """The weights as the layers use them: LoRA's product added, its factors left out."""
    adapted, inside = {}, set()
    for layer in _adapted_layers(builder):
        own = {variable.name: variable for variable in layer.weights}
        kind = "embeddings" if "lora_embeddings_a" in own else "kernel"
        factors = [own[f"lora_{kind}_a"], own[f"lora_{kind}_b"]]
        adapted[id(own[kind])] = _with_product(own[kind], *factors, layer)
        inside |= {id(factor) for factor in factors}
    return {
        ours: adapted.get(id(variable), variable)
        for ours, variable in weights.items()
        if id(variable) not in inside or ours in named  # as in a mapping for the factors alone
    }


def _adapted_layers(builder):
    # Inputs are kept among the layers as well.
    layers = [x for x in builder.layers.values() if isinstance(x, keras.layers.Layer)]
    inner = [each for layer in layers for each in all_layers_of(layer)]
    return [each for each in inner if getattr(each, "lora_enabled", False)]


def _with_product(base, a, b, layer):
    # Not `layer.kernel`, which Keras rounds to the compute dtype of mixed precision.
    def compute():
        product = as_array(a) @ as_array(b)
        return as_array(base) + layer.lora_alpha / layer.lora_rank * product

    return LazyArray(tuple(base.shape), dtype_of(base.dtype), compute)


def _computed(builder, ours):
    return any(table.computes(ours) for table in tables_if_known(builder.family))


def _warn_of_unnamed(unnamed, format):
    if unnamed:
        logger.warning(
            "%d weights have no name in the %s format and are not written "
            "(format='native' writes them all): %s",
            len(unnamed),
            format,
            ", ".join(unnamed[:10]),
        )


def _tensors(weights, named):
    """{foreign name: LazyArray}; weights that share a foreign name become one tensor."""
    sharing = {}
    for ours, (foreign, transform) in named.items():
        sharing.setdefault(foreign, []).append((ours, weights[ours], transform))
    return {foreign: _tensor(foreign, members) for foreign, members in sharing.items()}


def _buffers(builder, table):
    """{foreign name: LazyArray} of what the format holds besides weights."""
    arrays = {foreign: compute(builder) for foreign, compute in table.buffers.items()}
    return {
        foreign: LazyArray(array.shape, array.dtype, lambda array=array: array)
        for foreign, array in arrays.items()
        if array is not None
    }


def _tensor(foreign, members):
    _, variable, transform = members[0]
    shape = _backward_shape(transform, tuple(variable.shape))
    if isinstance(transform, Part):
        members = sorted(members, key=lambda member: member[2].index)
        _check_parts(foreign, members)
        glued = list(shape)
        glued[transform.axis] *= transform.count
        return LazyArray(
            tuple(glued),
            dtype_of(variable.dtype),
            lambda: transform.glue([t.backward(_value(v)) for _, v, t in members]),
        )
    return LazyArray(shape, dtype_of(variable.dtype), lambda: _the_only_value(foreign, members))


def _backward_shape(transform, shape):
    # A view of a single element tells the shape without computing the values.
    return transform.backward(np.broadcast_to(np.float32(0), shape)).shape


def _check_parts(foreign, members):
    indices = [transform.index for _, _, transform in members]
    if indices != list(range(members[0][2].count)):
        raise ValueError(
            f"Tensor {foreign!r} needs parts 0 to {members[0][2].count - 1}, the model has "
            f"{indices} ({[ours for ours, _, _ in members]})."
        )
    shapes = {ours: tuple(variable.shape) for ours, variable, _ in members}
    if len(set(shapes.values())) > 1:
        raise ValueError(
            f"Tensor {foreign!r} is made of parts of one shape, the model's are {shapes} "
            "(attention_key_size?): no such model exists in this format, save with format='native'."
        )


def _the_only_value(foreign, members):
    ours, variable, transform = members[0]
    value = transform.backward(_value(variable))
    for other, another, its_transform in members[1:]:
        if not np.array_equal(value, its_transform.backward(_value(another))):
            raise ValueError(
                f"{ours} and {other} share the name {foreign!r} in this format but differ: "
                "save with format='native'."
            )
    return value


def _value(variable):
    return variable.read() if isinstance(variable, LazyArray) else as_array(variable)
