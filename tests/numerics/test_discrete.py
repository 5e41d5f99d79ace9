"""Perturbed argmax: softmax for Gumbel noise, closed forms, Monte Carlo."""

import math

import numpy as np
import pytest

from bert4keras_ext.numerics import perturbed_argmax_probabilities, quantile_nodes
from bert4keras_ext.numerics.discrete import NOISES, log_cdf

SCORES = np.array([[0.3, -1.2, 2.0, 0.0], [5.0, 4.5, -3.0, 4.9]])


def test_gumbel_noise_is_softmax():
    e = np.exp(SCORES - SCORES.max(1, keepdims=True))
    found = perturbed_argmax_probabilities(SCORES, "gumbel", nodes=2000)
    np.testing.assert_allclose(found, e / e.sum(1, keepdims=True), atol=1e-4)


def test_two_classes_with_normal_noise():
    for gap in (0.0, 0.7, -2.5):
        wanted = 0.5 * math.erfc(-gap / 2)
        found = perturbed_argmax_probabilities([gap, 0.0], "normal", nodes=2000)[0]
        assert abs(found - wanted) < 1e-4


@pytest.mark.parametrize("noise", NOISES)
def test_equals_monte_carlo(noise):
    rng = np.random.default_rng(0)
    draw = {"gumbel": rng.gumbel, "normal": rng.normal, "laplace": rng.laplace,
            "logistic": rng.logistic,
            "uniform": lambda size: rng.uniform(-0.5, 0.5, size)}[noise]  # fmt: skip
    scores = SCORES[0] / 3
    winners = (scores + draw(size=(200000, 4))).argmax(1)
    shares = np.bincount(winners, minlength=4) / 200000
    # Three standard errors of 200,000 draws are 0.0034.
    np.testing.assert_allclose(perturbed_argmax_probabilities(scores, noise), shares, atol=0.004)


@pytest.mark.parametrize("noise", NOISES)
def test_shift_order_and_sum(noise):
    p = perturbed_argmax_probabilities(SCORES, noise)
    np.testing.assert_allclose(p.sum(-1), 1)
    shifted = perturbed_argmax_probabilities(SCORES + 100, noise)
    np.testing.assert_allclose(p, shifted, atol=1e-9)
    order = np.argsort(SCORES, axis=1)
    assert np.all(np.diff(np.take_along_axis(p, order, 1), axis=1) >= -1e-12)


@pytest.mark.parametrize("noise", NOISES)
def test_quantiles_invert_the_distribution_function(noise):
    shares = (np.arange(50) + 0.5) / 50
    np.testing.assert_allclose(np.exp(log_cdf(noise, quantile_nodes(noise, 50))), shares, atol=1e-9)


def test_far_tails_stay_finite_in_the_logarithm():
    assert np.isfinite(log_cdf("normal", -1e3)) and log_cdf("normal", -40.0) < -800
    near, far = log_cdf("normal", np.array([-29.99, -30.01]))
    assert 0 < near - far < 1
    p = perturbed_argmax_probabilities([0.0, 1e4], "normal")
    np.testing.assert_allclose(p, [0, 1])


def test_unknown_noises_name_the_known_ones():
    with pytest.raises(ValueError, match="gumbel.*received 'cauchy'"):
        perturbed_argmax_probabilities([0.0, 1.0], "cauchy")


def test_no_nodes_are_refused():
    with pytest.raises(ValueError, match="nodes expects 1 or more, received 0"):
        quantile_nodes("normal", 0)
