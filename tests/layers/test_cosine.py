"""Directions: cosines against NumPy, Gram-Schmidt for cascading rejection."""

import numpy as np
import pytest

from bert4keras_ext.layers import CascadingRejection, CosineDense
from tests.harness import check_layer

X = np.random.default_rng(0).normal(size=(5, 6)).astype("float32")


def test_cosines_equal_numpy():
    layer = CosineDense(3)
    found = np.asarray(layer(X * 100))
    kernel = np.asarray(layer.kernel, "float64")
    x = X.astype("float64")
    wanted = x @ kernel / np.linalg.norm(x, axis=1)[:, None] / np.linalg.norm(kernel, axis=0)
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    assert np.abs(found).max() <= 1 + 1e-6


def test_cosine_citizenship():
    check_layer(
        CosineDense, {"units": 3}, X, expected_shape=(5, 3), expected_weights=1,
        mixed_dtype="float32",
    )  # fmt: skip


def test_rejection_citizenship():
    check_layer(CascadingRejection, {"n": 4}, X, expected_shape=(5, 4), expected_weights=1)


def test_each_score_sees_what_is_orthogonal_to_the_direction_before():
    layer = CascadingRejection(4)
    found = np.asarray(layer(X))
    v = X.astype("float64")
    for k, w in enumerate(np.asarray(layer.kernel, "float64")):
        np.testing.assert_allclose(found[:, k], v @ w, atol=1e-5)
        v = v - np.outer(v @ w, w) / (w @ w)
        np.testing.assert_allclose(v @ w, 0, atol=1e-12)


def test_one_score_is_a_dense_layer_and_zero_directions_are_finite():
    layer = CascadingRejection(1)
    np.testing.assert_allclose(layer(X), X @ np.asarray(layer.kernel).T, atol=1e-6)
    layer = CascadingRejection(2)
    layer.build((None, 6))
    layer.kernel.assign(np.zeros((2, 6)))
    assert np.all(np.isfinite(layer(X)))


def test_too_few_scores_are_refused():
    with pytest.raises(ValueError, match="1 or more; received 0"):
        CascadingRejection(0)


def test_a_row_of_zeros_has_gradient_zero_in_float16():
    import tensorflow as tf

    layer = CosineDense(3, dtype="mixed_float16")
    x = tf.zeros((1, 4), "float16")
    layer(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(layer(x))
    assert not np.any(tape.gradient(total, x))
