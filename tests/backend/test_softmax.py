"""Attention weights of bfloat16 scores: as exact outside of training as in it."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import ops

from bert4keras_ext.backend import attention_normalize, softmax
from bert4keras_ext.layers import MultiHeadAttention

tensorflow_only = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="asks TensorFlow's kernels"
)


def scores_and_masks(length=512):
    rng = np.random.default_rng(0)
    scores = ops.cast(rng.normal(0, 4, (2, 3, length, length)), "bfloat16")
    mask = rng.random((2, length)) < 0.7
    mask[1] = False  # a row that may look at nothing
    return scores, ops.convert_to_tensor(mask), ops.tril(ops.ones((length, length), "bool"))


def by_definition(scores, allowed):
    """Weights in float64 from the same scores, uniform where nothing is allowed."""
    scores = np.asarray(ops.cast(scores, "float32"), "float64")
    allowed = np.broadcast_to(allowed, scores.shape)
    masked = np.where(allowed, scores, -1e30)
    weights = np.exp(masked - masked.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


@pytest.mark.parametrize("training", [False, None, True])
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("masks", ["none", "mask", "bias", "both"])
def test_bfloat16_weights_are_rounded_once(masks, compiled, training):
    scores, mask, bias = scores_and_masks()
    allowed = np.ones((1, 1, 1, 1), bool)
    if masks in ("mask", "both"):
        allowed = allowed & np.asarray(mask)[:, None, None, :]
    if masks in ("bias", "both"):
        allowed = allowed & np.asarray(bias)
    given = (mask if masks in ("mask", "both") else None), "softmax"
    given = *given, (bias if masks in ("bias", "both") else None)

    def weights(scores):
        return attention_normalize(scores, *given, training=training)

    found = (_compiled(weights) if compiled else weights)(scores)
    assert keras.backend.standardize_dtype(found.dtype) == "bfloat16"
    expected = by_definition(scores, allowed)
    # bfloat16 keeps 8 bits: half a unit is at most 2^-8; float32 adds some 2^-20. The XLA of
    # TensorFlow 2.17 cuts digits off instead of rounding them: a whole unit.
    unit = 2**-7 if compiled else 2**-8
    found = np.asarray(ops.cast(found, "float32"))
    np.testing.assert_allclose(found, expected, rtol=unit + 2**-18, atol=1e-30)


@tensorflow_only
@pytest.mark.parametrize("training", [False, True])
def test_gradients_are_as_good_without_training(training):
    import tensorflow as tf

    scores, mask, bias = scores_and_masks()
    upstream = ops.cast(np.random.default_rng(1).normal(size=scores.shape), "bfloat16")
    with tf.GradientTape() as tape:
        tape.watch(scores)
        weights = attention_normalize(scores, mask, "softmax", bias, training=training)
    found = np.asarray(ops.cast(tape.gradient(weights, scores, upstream), "float32"))
    allowed = np.asarray(mask)[:, None, None, :] & np.asarray(bias)
    weights = by_definition(scores, allowed)
    upstream = np.asarray(ops.cast(upstream, "float32"), "float64")
    along = (upstream * weights).sum(-1, keepdims=True)
    # The weights and the result are rounded to 8 bits, the upstream gradient is given.
    bound = 2**-8 * weights * (2 * np.abs(upstream - along) + np.abs(upstream * weights).sum(
        -1, keepdims=True))  # fmt: skip
    assert np.all(np.abs(found - weights * (upstream - along)) <= 1.01 * bound + 1e-12)


def _compiled(function):
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(function)
    import tensorflow as tf

    return tf.function(function, jit_compile=True)


@tensorflow_only
def test_narrow_scores_are_left_alone_only_where_that_is_exact(monkeypatch):
    import tensorflow as tf

    answers = []

    def ask(x):
        answers.append(softmax.is_exact("bfloat16"))
        return x

    monkeypatch.setattr(softmax, "has_gpu", lambda: False)
    for kernel in (True, False):
        monkeypatch.setattr(softmax, "_kernel_is_exact", lambda kernel=kernel: kernel)
        ask(tf.ones(1))
        tf.function(ask)(tf.ones(1))
        tf.function(ask, jit_compile=True)(tf.ones(1))
        tf.function(lambda x: tf.function(ask)(x), jit_compile=True)(tf.ones(1))
    assert answers == [True, True, False, False] + 4 * [False]
    monkeypatch.setattr(softmax, "_kernel_is_exact", lambda: True)
    assert not softmax.is_exact("float32") and not softmax.is_exact("float16")
    monkeypatch.setattr(softmax, "has_gpu", lambda: True)
    assert not softmax.is_exact("bfloat16")


@tensorflow_only
@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_model_says_whether_it_is_compiled(monkeypatch, jit_compile):
    inputs = keras.Input((6, 8))
    layer = MultiHeadAttention(heads=2, head_size=4, dtype="mixed_bfloat16")
    model = keras.Model(inputs, layer(inputs))
    model.compile(jit_compile=jit_compile)
    found = []
    monkeypatch.setattr(softmax, "has_gpu", lambda: False)
    monkeypatch.setattr(softmax, "_kernel_is_exact", lambda: found.append(True) or True)
    model.predict(np.ones((2, 6, 8), "float32"), verbose=0)
    assert bool(found) is not jit_compile


@tensorflow_only
def test_without_onednn_the_kernel_says_no():
    """Eigen's kernel rounds in between; the question is put in a process of its own."""
    code = "from bert4keras_ext.backend import softmax; print(softmax._kernel_is_exact())"
    environment = {**os.environ, "TF_ENABLE_ONEDNN_OPTS": "0", "CUDA_VISIBLE_DEVICES": "-1"}
    answer = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert answer.stdout.split()[-1] == "False"
