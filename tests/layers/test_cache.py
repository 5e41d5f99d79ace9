"""Attention with a cache: token by token it gives what all tokens at once give under a mask."""

import keras
import numpy as np
import pytest
from keras import ops

from bert4keras_ext.backend import sinusoidal_embeddings
from bert4keras_ext.layers import MultiHeadAttention
from bert4keras_ext.layers.cache import empty_cache, readable

RNG = np.random.default_rng(0)
X = RNG.normal(size=(2, 6, 8)).astype("float32")
CAUSAL = np.tril(np.ones((1, 6, 6), bool))
ROTARY = np.asarray(sinusoidal_embeddings(np.arange(6)[None], 4))
BIAS = RNG.normal(size=(1, 2, 6, 6)).astype("float32")
RELATIVE = RNG.normal(size=(6, 6, 4)).astype("float32")
TABLE = RNG.normal(size=(5, 4)).astype("float32")
MASK = np.array([[1, 1, 1, 1, 1, 1], [0, 0, 1, 1, 1, 1]], bool)

# What a layer is told, for all queries, and for those at start ... end - 1.
KINDS = {
    "plain": ({}, lambda a, b: {}),
    "rotary": ({"rotary": ROTARY}, lambda a, b: {"rotary": ROTARY[:, a:b]}),
    "t5": ({"position_bias": BIAS}, lambda a, b: {"position_bias": BIAS[:, :, a:b]}),
    "nezha": (
        {"relative_embeddings": RELATIVE},
        lambda a, b: {"relative_embeddings": RELATIVE[a:b]},
    ),
    "nezha_table": ({"relative_embeddings": TABLE}, lambda a, b: {"relative_embeddings": TABLE}),
    "residual": ({"residual_scores": BIAS}, lambda a, b: {"residual_scores": BIAS[:, :, a:b]}),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("normalization", ["softmax", "softmax_plus", "squared_relu"])
@pytest.mark.parametrize("steps", [[1] * 6, [3, 1, 2]])
def test_equals_all_at_once(kind, normalization, steps):
    whole, part = KINDS[kind]
    layer = MultiHeadAttention(2, 4, normalization=normalization, return_attention_scores=True)
    wanted, all_scores = layer(X, attention_bias=CAUSAL, value_mask=MASK, mask=MASK, **whole)
    cache, start = empty_cache(2, 2, 6, 4), 0
    for count in steps:
        end = start + count
        found, scores, cache = layer(
            X[:, start:end], value_mask=MASK, cache=cache, cache_index=start, **part(start, end)
        )
        real = MASK[:, start:end]  # a padded query with nothing to look at gives some average
        np.testing.assert_allclose(found[real], wanted[:, start:end][real], atol=2e-6)
        np.testing.assert_allclose(scores[..., :end], all_scores[:, :, start:end, :end], atol=2e-6)
        start = end


def test_other_sizes_of_keys_and_values_and_more_room_than_needed():
    layer = MultiHeadAttention(2, head_size=6, key_size=4)
    wanted = layer(X, attention_bias=CAUSAL)
    cache = empty_cache(2, 2, 9, 4, 6)
    found, cache = layer(X[:, :5], cache=cache, cache_index=0)
    last, cache = layer(X[:, 5:], cache=cache, cache_index=5)
    np.testing.assert_allclose(ops.concatenate([found, last], 1), wanted, atol=2e-6)
    assert not np.any(cache[0][:, :, 6:])


@pytest.mark.parametrize("bias", [True, False])
def test_a_bias_of_the_caller_counts_too(bias):
    allowed = RNG.random((2, 6, 6)) < 0.6
    allowed[:, np.arange(6), np.arange(6)] = True
    given = allowed if bias else np.where(allowed, 0, -np.inf).astype("float32")
    layer = MultiHeadAttention(2, 4)
    wanted = layer(X, attention_bias=np.logical_and(allowed, CAUSAL))
    found, _ = layer(X, cache=empty_cache(2, 2, 6, 4), cache_index=0, attention_bias=given)
    np.testing.assert_allclose(found, wanted, atol=2e-6)


def test_in_a_compiled_loop():
    import tensorflow as tf

    layer = MultiHeadAttention(2, 4)
    wanted = layer(X, attention_bias=CAUSAL)

    @tf.function(jit_compile=True)
    def decode(x):
        def step(index, cache, outputs):
            token = ops.slice(x, (0, index, 0), (2, 1, 8))
            found, cache = layer(token, cache=cache, cache_index=index)
            return index + 1, cache, ops.slice_update(outputs, (0, index, 0), found)

        start = (ops.convert_to_tensor(0), empty_cache(2, 2, 6, 4), ops.zeros((2, 6, 8)))
        return ops.while_loop(lambda i, *_: i < 6, step, start, maximum_iterations=6)[2]

    np.testing.assert_allclose(decode(tf.constant(X)), wanted, atol=2e-6)


def test_a_step_as_a_keras_model(tmp_path):
    x = keras.Input((1, 8))
    keys, values = keras.Input((2, 6, 4)), keras.Input((2, 6, 4))
    index = keras.Input(batch_shape=(), dtype="int32")
    layer = MultiHeadAttention(2, 4)
    found, cache = layer(x, cache=(keys, values), cache_index=index)
    assert found.shape == (None, 1, 8) and cache[0].shape == (None, 2, 6, 4)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision(policy):
    layer = MultiHeadAttention(2, 4, dtype=policy)
    wanted = ops.cast(layer(X, attention_bias=CAUSAL), "float32")
    cache = empty_cache(2, 2, 6, 4, dtype=layer.compute_dtype)
    found, cache = layer(X, cache=cache, cache_index=0)
    np.testing.assert_allclose(ops.cast(found, "float32"), wanted, atol=2.0**-6)
    assert keras.backend.standardize_dtype(cache[0].dtype) == layer.compute_dtype


def test_readable_places():
    assert ops.convert_to_numpy(readable(2, 4, 1))[0].tolist() == [
        [True, True, False, False], [True, True, True, False],
    ]  # fmt: skip
