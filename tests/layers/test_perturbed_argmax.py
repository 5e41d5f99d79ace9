"""PerturbedArgmax against its NumPy form, softmax and central differences."""

import keras
import numpy as np
import pytest

from bert4keras_ext.layers import PerturbedArgmax
from bert4keras_ext.numerics import perturbed_argmax_probabilities
from tests.harness import check_layer
from tests.losses.common import slopes, with_gradient

X = np.random.default_rng(0).normal(size=(3, 5)).astype("float32") * 2


@pytest.mark.parametrize("noise", ["gumbel", "normal", "laplace", "logistic"])
def test_equals_the_numpy_form(noise):
    layer = PerturbedArgmax(noise, nodes=80)
    wanted = perturbed_argmax_probabilities(X, noise, nodes=80)
    np.testing.assert_allclose(layer(X), wanted, atol=2e-5)
    weights = np.arange(5.0)
    _, gradient = with_gradient(lambda x: layer(x) * weights.astype("float32"), X)
    slope = slopes(lambda x: perturbed_argmax_probabilities(x, noise, 80) * weights, X, 1e-4)
    np.testing.assert_allclose(gradient, slope, atol=2e-3)


def test_gumbel_noise_is_softmax():
    e = np.exp(X - X.max(1, keepdims=True))
    found = PerturbedArgmax("gumbel", nodes=1000)(X)
    np.testing.assert_allclose(found, e / e.sum(1, keepdims=True), atol=2e-4)


@pytest.mark.parametrize("noise", ["gumbel", "normal", "laplace", "logistic"])
def test_extreme_scores_are_finite(noise):
    x = np.array([[1e4, -1e4, 0.0], [30.0, 0.0, -30.0]], "float32")
    value, gradient = with_gradient(lambda v: PerturbedArgmax(noise)(v) ** 2, x)
    assert np.all(np.isfinite(value)) and np.all(np.isfinite(gradient))
    np.testing.assert_allclose(np.sqrt(value[0]), [1, 0, 0], atol=1e-6)


def test_citizenship():
    config = {"noise": "normal", "nodes": 20}
    check_layer(PerturbedArgmax, config, X, expected_shape=(3, 5), mixed_dtype="float32")


def test_unknown_noises_name_the_known_ones():
    with pytest.raises(ValueError, match="gumbel.*received 'cauchy'"):
        PerturbedArgmax("cauchy")


def test_the_symbolic_output_is_float32_as_the_real_one_is():
    layer = PerturbedArgmax(dtype="mixed_float16")
    assert layer(keras.Input((4,))).dtype == "float32"
    assert keras.backend.standardize_dtype(layer(np.ones((2, 4), "float32")).dtype) == "float32"


def test_no_nodes_are_refused():
    with pytest.raises(ValueError, match="nodes expects 1 or more, received 0"):
        PerturbedArgmax(nodes=0)
