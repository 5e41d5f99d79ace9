"""MultiHeadAttention against bert4keras' recordings, a NumPy loop, and everything Keras expects."""

import keras
import numpy as np
import pytest
from keras import ops

from bert4keras_ext.layers import MultiHeadAttention
from tests.harness import check_layer
from tests.recorded import recorded_case

RECORDED = [
    "mha",
    "mha_cross",
    "mha_mask",
    "mha_nobias_noscale",
    "mha_out_key",
    "mha_squared_relu",
    "mha_softmax_plus",
    "mha_float_bias",
    "mha_causal",
]


@pytest.mark.parametrize("name", RECORDED)
def test_equals_bert4keras(name):
    case = recorded_case(name)
    layer = MultiHeadAttention(**case.config)
    extra = {"attention_bias": case.inputs[3]} if len(case.inputs) > 3 else {}

    def run(q, k, v, **extra):
        return layer(q, k, v, value_mask=case.masks.get(2), **extra)

    case.check(layer, run, tolerance=2e-5, names=["attention_bias"] if extra else [])


def test_returned_scores_equal_bert4keras():
    case = recorded_case("mha_scores")
    layer = MultiHeadAttention(**case.config)
    case.load(layer, lambda: layer(*case.inputs))
    outputs, scores = layer(*case.inputs, value_mask=case.masks.get(2))
    np.testing.assert_allclose(outputs, case.outputs[0], atol=2e-5)
    np.testing.assert_allclose(scores, case.outputs[1], atol=2e-5)


def numpy_attention(layer, x, mask):
    """Float64, one query of one head of one row at a time."""
    w = [np.asarray(v, "float64") for v in layer.get_weights()]
    q, k, v = (x @ w[2 * i] + w[2 * i + 1] for i in range(3))
    out = np.zeros((*x.shape[:2], layer.heads * layer.head_size))
    for b, i, h in np.ndindex(x.shape[0], x.shape[1], layer.heads):
        at = slice(h * layer.head_size, (h + 1) * layer.head_size)
        logits = np.array([q[b, i, at] @ k[b, j, at] for j in range(x.shape[1])])
        logits = logits / np.sqrt(layer.head_size)
        weights = np.exp(logits - logits.max()) * mask[b]
        out[b, i, at] = (weights[:, None] * v[b, :, at]).sum(0) / weights.sum()
    return out @ w[6] + w[7]


def test_equals_a_float64_loop():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 5, 8))
    mask = np.array([[1, 1, 1, 1, 1], [1, 1, 0, 1, 0]], bool)
    layer = MultiHeadAttention(2, 4)
    layer(ops.convert_to_tensor(x, "float32"))
    found = layer(ops.convert_to_tensor(x, "float32"), mask=mask)
    np.testing.assert_allclose(found, numpy_attention(layer, x, mask), atol=5e-6)


@pytest.mark.parametrize("normalization", ["softmax", "squared_relu", "softmax_plus"])
@pytest.mark.parametrize("scores", [False, True])
def test_citizenship(normalization, scores):
    x = np.random.default_rng(1).normal(size=(2, 5, 12)).astype("float32")
    mask = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], bool)
    check_layer(
        MultiHeadAttention,
        dict(heads=3, head_size=4, out_dim=10, key_size=6, normalization=normalization,
             return_attention_scores=scores),
        x, masks=[mask],
        expected_shape=[(2, 5, 10), (2, 3, 5, 5)] if scores else (2, 5, 10),
        expected_weights=8, expected_mask=mask,
        # A softmax row does not change when the key's bias adds the same to all its scores.
        zero_gradients=() if scores or normalization == "squared_relu" else ("k/bias",),
    )  # fmt: skip


def test_the_keras_mask_of_the_keys_is_used():
    """What stands in masked positions does not reach unmasked ones."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=(1, 4, 8)).astype("float32")
    y = x.copy()
    y[:, 3] = 100.0
    mask = np.array([[True, True, True, False]])
    layer = MultiHeadAttention(2, 4)
    masking = keras.layers.Masking(mask_value=7.0)
    out_x, out_y = (layer(ops.convert_to_tensor(v), mask=ops.convert_to_tensor(mask))
                    for v in (x, y))  # fmt: skip
    np.testing.assert_allclose(out_x[:, :3], out_y[:, :3], atol=1e-6)
    y[:, 3] = 7.0
    np.testing.assert_allclose(layer(masking(y))[:, :3], out_x[:, :3], atol=1e-6)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("normalization", ["softmax", "squared_relu", "softmax_plus"])
def test_a_row_without_any_key_is_finite(policy, normalization):
    import tensorflow as tf

    layer = MultiHeadAttention(2, 4, normalization=normalization, dtype=policy)
    x = tf.constant(np.random.default_rng(3).normal(size=(2, 3, 8)), "float32")
    mask = tf.constant([[False, False, False], [True, False, False]])
    bias = tf.constant(np.full((3, 3), -np.inf), "float32")
    for extra in ({}, {"attention_bias": bias}):
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = layer(x, mask=mask, **extra)
            total = tf.reduce_sum(tf.cast(outputs, "float32") ** 2)
        grads = tape.gradient(total, [x, *[w.value for w in layer.trainable_weights]])
        assert np.all(np.isfinite(outputs))
        assert all(np.all(np.isfinite(g)) for g in grads)


@pytest.mark.parametrize("shape", [(5, 5), (1, 5, 5), (2, 5, 5), (2, 1, 5, 5), (2, 2, 5, 5)])
def test_bias_shapes_and_kinds_agree(shape):
    """A bool bias equals the float bias of 0 and -inf, in every accepted shape."""
    rng = np.random.default_rng(4)
    allowed = rng.random(shape) < 0.6
    allowed[..., 0] = True
    x = ops.convert_to_tensor(rng.normal(size=(2, 5, 8)), "float32")
    layer = MultiHeadAttention(2, 4)
    by_bool = layer(x, attention_bias=ops.convert_to_tensor(allowed))
    by_float = layer(x, attention_bias=np.where(allowed, 0, -np.inf).astype("float32"))
    np.testing.assert_allclose(by_bool, by_float, atol=1e-6)


def test_residual_scores_are_added_to_the_scores():
    rng = np.random.default_rng(5)
    x = ops.convert_to_tensor(rng.normal(size=(1, 4, 8)), "float32")
    extra = rng.normal(size=(1, 2, 4, 4)).astype("float32")
    layer = MultiHeadAttention(2, 4)
    np.testing.assert_allclose(
        layer(x, residual_scores=extra), layer(x, attention_bias=extra), atol=1e-6
    )


def test_unknown_normalization_names_the_known_ones():
    with pytest.raises(ValueError, match="softmax_plus.*received 'soft'"):
        MultiHeadAttention(2, 4, normalization="soft")(ops.ones((1, 2, 8)))
