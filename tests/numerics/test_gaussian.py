"""Distances of Gaussians against textbook formulas with inverses and matrix roots."""

import numpy as np
import pytest

from bert4keras_ext.numerics import (
    bhattacharyya_distance,
    gaussian_kl,
    hellinger_distance,
    wasserstein_distance,
)
from tests.losses.test_gaussian import bhattacharyya, covariance, kl, wasserstein


@pytest.mark.parametrize("dim", [1, 2, 5, 30])
def test_equal_the_textbook(dim):
    rng = np.random.default_rng(dim)
    p = rng.normal(size=dim), covariance(1, dim)
    q = rng.normal(size=dim), covariance(2, dim)
    np.testing.assert_allclose(gaussian_kl(*p, *q), kl(*p, *q), rtol=1e-9)
    np.testing.assert_allclose(bhattacharyya_distance(*p, *q), bhattacharyya(*p, *q), rtol=1e-9)
    np.testing.assert_allclose(wasserstein_distance(*p, *q), wasserstein(*p, *q), rtol=1e-7)
    standard = np.zeros(dim), np.eye(dim)
    np.testing.assert_allclose(gaussian_kl(*p), kl(*p, *standard), rtol=1e-9)
    hellinger = hellinger_distance(*p, *q)
    np.testing.assert_allclose(hellinger**2, 1 - np.exp(-bhattacharyya(*p, *q)), rtol=1e-8)


def test_commuting_covariances_have_a_simple_wasserstein_distance():
    p, q = np.array([1.0, 4.0, 9.0]), np.array([4.0, 4.0, 1.0])
    found = wasserstein_distance(np.zeros(3), np.diag(p), np.ones(3), np.diag(q))
    np.testing.assert_allclose(found, 3 + np.sum((np.sqrt(p) - np.sqrt(q)) ** 2), rtol=1e-12)


def test_nearly_singular_covariances():
    flat = np.diag([1.0, 0.0])
    assert abs(wasserstein_distance([0, 0], flat, [0, 0], np.eye(2)) - 1) < 1e-12
    with pytest.raises(ValueError, match="covariance_p.*smallest eigenvalue is 0.*identity"):
        gaussian_kl([0, 0], flat)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (([[0]], [[1]]), "mean_p expects a vector"),
        (([0, 0], [[1]]), r"covariance_p expects the shape \(2, 2\), found \(1, 1\)"),
        (([0], [[1]], [0, 0], np.eye(2)), "covariance_q expects the shape|same dimension"),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(ValueError, match=message):
        gaussian_kl(*arguments)
