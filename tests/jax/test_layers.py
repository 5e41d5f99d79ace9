"""All recorded layers of bert4keras on JAX, compiled: outputs and gradients."""

import jax
import keras
import numpy as np
import pytest
from keras import ops

from bert4keras_ext import layers
from bert4keras_ext.backend.positions import Sinusoidal
from tests.recorded import RecordedCase, recorded_names

# What bert4keras calls the kind of position, and our argument for its last input.
POSITIONS = {
    "rotary": "rotary",
    "typical_relative": "relative_embeddings",
    "t5_relative": "position_bias",
}
LISTED = ("Concatenate1D", "RelativePositionEmbedding", "RelativePositionEmbeddingT5")


def make_layer(name, case):
    """The layer of a case; its weights are set once it is built."""
    config = dict(case.config)
    if case.cls == "Embedding":
        return layers.Embedding(9, 12, mask_zero=True)
    if case.cls.startswith("Global") and "Pooling" in case.cls:
        config = {}
    if name == "rel_sinusoidal_init":
        config |= {"embeddings_initializer": Sinusoidal(), "trainable": False}
    return getattr(layers, case.cls)(**config)


def run(layer, case, tensors):
    """Calls the layer as bert4keras called its own."""
    if case.cls in ("MultiHeadAttention", "GatedAttentionUnit"):
        return run_attention(layer, case, tensors)
    if case.cls == "RelativePositionEmbeddingT5":  # theirs: (query, key, heads)
        return ops.transpose(layer(tensors)[0], (1, 2, 0))
    if case.cls == "Embedding":
        return layer(tensors[0], **case.call)
    masks = {"mask": case.masks[0]} if 0 in case.masks and "mask" in call_arguments(layer) else {}
    return layer(tensors if len(tensors) > 1 or case.cls in LISTED else tensors[0], **masks)


def run_attention(layer, case, tensors):
    names = ["attention_bias"] if case.call.get("a_bias") else []
    if "p_bias" in case.call:
        names.append(POSITIONS[case.call["p_bias"]])
    plain = len(tensors) - len(names)
    extra = dict(zip(names, tensors[plain:]))
    if "position_bias" in extra:
        extra["position_bias"] = ops.transpose(extra["position_bias"], (2, 0, 1))[None]
    if case.cls == "MultiHeadAttention":
        return layer(*tensors[:plain], value_mask=case.masks.get(2), **extra)
    return layer(*tensors[:plain], mask=case.masks.get(0), **extra)


def call_arguments(layer):
    return layer._call_signature.parameters


@pytest.mark.parametrize("name", recorded_names())
def test_equals_bert4keras(name):
    case = RecordedCase(name)
    layer = make_layer(name, case)
    inputs = [ops.convert_to_tensor(x) for x in case.inputs]
    run(layer, case, inputs)  # builds it
    if case.weights:
        case.load(layer, lambda: None)
    floats = [i for i, x in enumerate(case.inputs) if x.dtype.kind == "f"]

    def outputs(values, weights):
        filled = list(inputs)
        for place, value in zip(floats, values):
            filled[place] = value
        with keras.StatelessScope(state_mapping=list(zip(layer.trainable_variables, weights))):
            found = run(layer, case, filled)
        return found if isinstance(found, tuple) else (found,)

    def total(values, weights):
        return ops.sum(outputs(values, weights)[0] * case.arrays["ct"])

    state = [inputs[i] for i in floats], [v.value for v in layer.trainable_variables]
    for found, wanted in zip(jax.jit(outputs)(*state), case.outputs):
        np.testing.assert_allclose(found, wanted, atol=2e-5, rtol=2e-5)
    if "ct" not in case.arrays:
        return
    by_inputs, by_weights = jax.jit(jax.grad(total, argnums=(0, 1)))(*state)
    wanted = {f"din_{i}": found for i, found in zip(floats, by_inputs)}
    wanted |= {f"dw_{i}": found for i, found in enumerate(by_weights)}
    for key, found in wanted.items():
        if key in case.arrays:
            check_gradient(name, found, case.arrays[key])


def check_gradient(name, found, wanted):
    # As in tests/layers: a constant row's gradients are sums of terms near 3e3, T5's of 160 * 80
    # values of size 1.
    tolerance = 5e-3 if name == "ln_const_row" else 2e-4 if name.startswith("t5rel") else 2e-5
    np.testing.assert_allclose(found, wanted, atol=tolerance, rtol=tolerance)
