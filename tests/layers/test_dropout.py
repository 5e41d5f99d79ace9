"""Dropout: rates, scale, gradient, seeds."""

import numpy as np
import pytest
import tensorflow as tf

from bert4keras_ext.layers import Dropout
from tests.harness import check_layer


def test_citizenship():
    x = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")
    mask = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], bool)
    _, found = check_layer(Dropout, {"rate": 0.3}, x, masks=[mask], expected_mask=mask)
    np.testing.assert_array_equal(found, x)  # not in training


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("jit", [False, True])
def test_the_rate_and_the_scale(rate, jit):
    n = 300_001  # odd: the last word is used by half
    layer = Dropout(rate, seed=3)
    y = tf.function(lambda: layer(tf.ones((n,)), training=True), jit_compile=jit)().numpy()
    kept = y != 0
    np.testing.assert_allclose(y[kept], 1 / (1 - rate), rtol=1e-6)
    # Five standard deviations of a binomial share.
    assert abs(kept.mean() - (1 - rate)) < 5 * np.sqrt(rate * (1 - rate) / n)


def test_neighbours_are_independent():
    """Two decisions come from one word: their correlation must be that of chance."""
    y = Dropout(0.5, seed=5)(tf.ones((200_000,)), training=True).numpy() > 0
    pairs = np.corrcoef(y[0::2], y[1::2])[0, 1]
    assert abs(pairs) < 5 / np.sqrt(100_000)


def test_the_gradient_passes_where_the_value_did():
    x = tf.constant(np.random.default_rng(0).normal(size=(50, 40)), "float32")
    layer = Dropout(0.4)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, training=True)
    np.testing.assert_allclose(tape.gradient(y, x) * x, y, rtol=1e-6)


def test_seeds_repeat_and_move_on():
    x = tf.ones((1000,))
    first, second = Dropout(0.5, seed=7), Dropout(0.5, seed=7)
    a, b = first(x, training=True), second(x, training=True)
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(first(x, training=True), a)


def test_open_shapes():
    layer = Dropout(0.5)
    function = tf.function(lambda x: layer(x, training=True),
                           input_signature=[tf.TensorSpec((None, None, 4))])  # fmt: skip
    assert function(tf.ones((2, 3, 4))).shape == (2, 3, 4)


def test_noise_shape_is_keras_own():
    y = Dropout(0.5, noise_shape=(None, 1))(tf.ones((20, 8)), training=True).numpy()
    assert np.all(y == y[:, :1])
