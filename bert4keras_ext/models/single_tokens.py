"""Whether a layer treats each token alone, so that calling it on the newest ones is right."""

import keras
import numpy as np
from keras import ops

from bert4keras_ext import layers as own
from bert4keras_ext.models.ernie import TaskEmbedding
from bert4keras_ext.models.graph import Same

_ALONE = {
    keras.layers.Activation, keras.layers.Add, keras.layers.Average, keras.layers.Dense,
    keras.layers.Dropout, keras.layers.Embedding, keras.layers.LayerNormalization,
    keras.layers.Multiply, keras.layers.RMSNormalization, keras.layers.ReversibleEmbedding,
    keras.layers.Subtract, own.Add, own.Dense, own.Dropout, own.Embedding, own.FeedForward,
    own.LayerNormalization, own.ScaleOffset, Same, TaskEmbedding,
}  # fmt: skip
LENGTH = 3


def check_single_tokens(model):
    """Tries every layer of an unknown kind on a few random tokens, whole and one by one.

    Raises:
        ValueError: for a layer whose result depends on the other tokens, or that cannot be tried.
    """
    for call in model.stepping:
        if model.rules[call.index] is None and type(call.operation) not in _ALONE:
            _try(model, call)


def _try(model, call):
    rng = np.random.default_rng(0)
    inputs = [i for i in call.inputs if i not in model.masks_of(call)]
    tensors = {i: _random(model.graph.tensors[i], i in model.varying, rng) for i in inputs}
    try:
        whole = _outputs(call, tensors)
        parts = [
            _outputs(
                call, {i: _part(x, at) if i in model.varying else x for i, x in tensors.items()}
            )
            for at in range(LENGTH)
        ]
        found = [np.concatenate(part, axis=1) for part in zip(*parts)]
        alone = all(np.allclose(a, b, atol=1e-3) for a, b in zip(whole, found))
        reason = "its result for a token depends on the tokens around it"
    except Exception as error:  # whatever a layer of the user's says
        alone, reason = False, f"trying it on single tokens failed: {error}"
    if not alone:
        raise ValueError(
            f"the layer {call.operation.name!r} ({type(call.operation).__name__}) cannot be run a "
            f"token at a time: {reason}. Tell how with "
            "bert4keras_ext.models.add_step_rule, or pass cache=False, which calls the whole model "
            "for every token"
        )


def _random(tensor, varies, rng):
    batch, *rest = tensor.shape
    shape = [2, *(LENGTH if size is None else size for size in rest)]
    if varies and len(shape) > 1:
        shape[1] = LENGTH
    dtype = keras.backend.standardize_dtype(tensor.dtype)
    if "int" in dtype or dtype == "bool":
        return ops.convert_to_tensor(rng.integers(0, 2, shape), dtype)
    return ops.convert_to_tensor(rng.normal(size=shape), dtype)


def _part(x, at):
    return x[:, at : at + 1]


def _outputs(call, tensors):
    args, kwargs = call.arguments.fill_in(tensors)
    outputs = keras.tree.flatten(call.operation(*args, **kwargs))
    return [ops.convert_to_numpy(ops.cast(x, "float32")) for x in outputs]
