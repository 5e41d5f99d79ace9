"""Margin softmax against float64 loops; sparse = dense; no margin = cross-entropy."""

import keras
import numpy as np
import pytest

from bert4keras_ext.losses.margin import (
    AMSoftmax,
    SimplerASoftmax,
    am_softmax,
    simpler_a_softmax,
    sparse_am_softmax,
    sparse_simpler_a_softmax,
)
from tests.losses.common import check_serialization, slopes, with_gradient

RNG = np.random.default_rng(0)
COSINES = np.clip(RNG.normal(size=(8, 5)) / 2, -1, 1).astype("float32")
COSINES[0] = [1, -1, -1, -1, -1]  # the target far ahead
COSINES[1] = [-1, 1, 1, 1, 1]  # and far behind
LABELS = np.array([0, 0, 1, 2, 3, 4, 2, 1])
ONE_HOT = np.eye(5, dtype="float32")[LABELS]


def loop(cosines, replace, scale):
    values = []
    for row, label in zip(np.asarray(cosines, "float64"), LABELS):
        scores = [scale * (replace(c) if i == label else c) for i, c in enumerate(row)]
        top = max(scores)
        values.append(top + np.log(sum(np.exp(s - top) for s in scores)) - scores[label])
    return np.array(values)


def four_angles(c):
    return min(c, 8 * c**4 - 8 * c**2 + 1)


CASES = {
    "am": (am_softmax, sparse_am_softmax, lambda c: c - 0.35),
    "simpler_a": (simpler_a_softmax, sparse_simpler_a_softmax, four_angles),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("scale", [1.0, 30.0, 1e4])
def test_equal_a_float64_loop(name, scale):
    dense, sparse, replace = CASES[name]
    value, gradient = with_gradient(lambda c: dense(ONE_HOT, c, scale=scale), COSINES)
    wanted = loop(COSINES, replace, scale)
    # float32 eps times the scale
    np.testing.assert_allclose(value, wanted, rtol=1e-6, atol=scale * 2.0**-22)
    assert np.all(np.isfinite(gradient))
    by_index, its_gradient = with_gradient(lambda c: sparse(LABELS, c, scale=scale), COSINES)
    np.testing.assert_allclose(by_index, value, rtol=1e-6, atol=scale * 2.0**-22)
    np.testing.assert_allclose(its_gradient, gradient, rtol=1e-4, atol=scale * 2.0**-20)
    if scale == 1:
        inside = np.clip(COSINES, -0.99, 0.99)
        _, found = with_gradient(lambda c: dense(ONE_HOT, c, scale=scale), inside)
        slope = slopes(lambda c: loop(c, replace, scale), inside)
        np.testing.assert_allclose(found, slope, atol=1e-4)


def test_without_a_margin_it_is_cross_entropy_of_scaled_cosines():
    wanted = keras.ops.categorical_crossentropy(ONE_HOT, 30 * COSINES, from_logits=True)
    found = am_softmax(ONE_HOT, COSINES, scale=30.0, margin=0.0)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


def test_the_four_angle_form_is_cos_of_four_angles_where_that_is_smaller():
    angles = np.linspace(0, np.pi / 4, 20)
    cosines = np.stack([np.cos(angles), np.zeros(20)], 1).astype("float32")
    labels = np.zeros(20, int)
    value = sparse_simpler_a_softmax(labels, cosines, scale=1.0)
    wanted = np.log1p(np.exp(-np.cos(4 * angles)))
    np.testing.assert_allclose(value, wanted, atol=1e-5)


@pytest.mark.parametrize("labels", [LABELS, LABELS[:, None]])
def test_indices_may_have_a_last_axis(labels):
    assert sparse_am_softmax(labels, COSINES).shape == (8,)


@pytest.mark.parametrize("loss", [AMSoftmax(), AMSoftmax(sparse=False), SimplerASoftmax()])
def test_as_keras_losses(loss):
    loss = check_serialization(loss)
    model = keras.Sequential([keras.layers.Dense(5, activation="tanh")])
    labels = LABELS if loss.sparse else ONE_HOT
    for jit in (False, True):
        model.compile("sgd", loss, jit_compile=jit)
        assert np.isfinite(model.fit(np.eye(8), labels, verbose=0).history["loss"][0])
