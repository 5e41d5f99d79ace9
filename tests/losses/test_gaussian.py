"""Distances of Gaussians against SciPy, float64 integrals and each other."""

import numpy as np
import pytest

from bert4keras_ext.losses import gaussian
from tests.losses.common import slopes, with_gradient

scipy_linalg = pytest.importorskip("scipy.linalg")
RNG = np.random.default_rng(0)
MEANS = RNG.normal(size=(2, 3))
LOGS = RNG.normal(size=(2, 3)) / 2


def covariance(seed, dim=3):
    x = np.random.default_rng(seed).normal(size=(dim, 2 * dim))
    return x @ x.T / dim + 0.1 * np.eye(dim)


def kl(m_p, s_p, m_q, s_q):
    inverse = np.linalg.inv(s_q)
    d = m_p - m_q
    logs = np.linalg.slogdet(s_q)[1] - np.linalg.slogdet(s_p)[1]
    return 0.5 * (np.trace(inverse @ s_p) + d @ inverse @ d - len(d) + logs)


def bhattacharyya(m_p, s_p, m_q, s_q):
    s, d = (s_p + s_q) / 2, m_p - m_q
    logs = [np.linalg.slogdet(x)[1] for x in (s, s_p, s_q)]
    return d @ np.linalg.inv(s) @ d / 8 + 0.5 * (logs[0] - (logs[1] + logs[2]) / 2)


def wasserstein(m_p, s_p, m_q, s_q):
    root = scipy_linalg.sqrtm(s_p)
    inner = scipy_linalg.sqrtm(root @ s_q @ root)
    return np.sum((m_p - m_q) ** 2) + np.trace(s_p + s_q - 2 * np.real(inner))


KINDS = {"kl": kl, "bhattacharyya": bhattacharyya, "wasserstein": wasserstein}


@pytest.mark.parametrize("kind", KINDS)
def test_full_equals_the_textbook(kind):
    function = getattr(gaussian, f"full_{kind}")
    for dim in (1, 3, 8):
        means = np.random.default_rng(dim).normal(size=(2, dim))
        arguments = (means[0], covariance(1, dim), means[1], covariance(2, dim))
        np.testing.assert_allclose(function(*arguments), KINDS[kind](*arguments), rtol=2e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_diagonal_equals_full(kind):
    arguments = (MEANS[0], LOGS[0], MEANS[1], LOGS[1])
    full = (MEANS[0], np.diag(np.exp(LOGS[0])), MEANS[1], np.diag(np.exp(LOGS[1])))
    found = getattr(gaussian, f"diagonal_{kind}")(*arguments)
    np.testing.assert_allclose(found, KINDS[kind](*full), rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_equal_distributions_have_no_distance(kind):
    s = covariance(3)
    full = getattr(gaussian, f"full_{kind}")(MEANS[0], s, MEANS[0], s)
    np.testing.assert_allclose(full, 0, atol=1e-5)  # float32 eps times traces of about 10
    diagonal = getattr(gaussian, f"diagonal_{kind}")(MEANS[0], LOGS[0], MEANS[0], LOGS[0])
    np.testing.assert_allclose(diagonal, 0, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients(kind):
    s_p, s_q = covariance(4), covariance(5)
    function = getattr(gaussian, f"full_{kind}")

    def symmetric(s):  # the gradient of a function of symmetric matrices
        return (s + np.swapaxes(s, -1, -2)) / 2

    import tensorflow as tf

    def ours(s):
        s = (s + tf.transpose(s)) / 2
        return function(MEANS[0], s, MEANS[1], s_q)

    _, found = with_gradient(ours, s_p.astype("float32"))
    wanted = slopes(lambda s: KINDS[kind](MEANS[0], symmetric(s), MEANS[1], s_q), s_p)
    np.testing.assert_allclose(found, wanted, atol=2e-3, rtol=2e-3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", range(4))
def test_diagonal_gradients(kind, place):
    """By the means and logarithms of the variances of both."""
    arguments = [MEANS[0], LOGS[0], MEANS[1], LOGS[1]]

    def with_one(function, x):
        return function(*(x if i == place else a for i, a in enumerate(arguments)))

    def textbook(m_p, l_p, m_q, l_q):
        return KINDS[kind](m_p, np.diag(np.exp(l_p)), m_q, np.diag(np.exp(l_q)))

    function = getattr(gaussian, f"diagonal_{kind}")
    _, found = with_gradient(lambda x: with_one(function, x), arguments[place].astype("float32"))
    wanted = slopes(lambda x: with_one(textbook, x), arguments[place])
    np.testing.assert_allclose(found, wanted, atol=2e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("jit", [False, True])
def test_gradients_are_finite_where_both_are_equal(kind, jit):
    """Equal eigenvalues, and no distance: nothing is divided by zero."""
    import tensorflow as tf

    function = getattr(gaussian, f"full_{kind}")
    _, gradient = with_gradient(
        tf.function(lambda s: function(np.zeros(3), s, np.zeros(3), np.eye(3)), jit_compile=jit),
        np.eye(3, dtype="float32"),
    )
    np.testing.assert_allclose(gradient, np.zeros((3, 3)), atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_means_and_spreads_far_apart_are_finite(kind):
    near, far = np.zeros((2, 3), "float32"), np.full((2, 3), 1e4, "float32")
    function = getattr(gaussian, f"diagonal_{kind}")
    for means, logs in ((far, near), (near, near + 20), (near, near - 20)):
        value, gradient = with_gradient(lambda m, s=logs: function(m, s, near, near), means)
        assert np.all(np.isfinite(value)) and np.all(np.isfinite(gradient))


def test_batches_of_distributions():
    means = RNG.normal(size=(4, 3))
    covariances = np.stack([covariance(i) for i in range(4)])
    found = gaussian.full_kl(means, covariances, means[::-1], covariances[::-1])
    wanted = [kl(means[i], covariances[i], means[3 - i], covariances[3 - i]) for i in range(4)]
    np.testing.assert_allclose(found, wanted, rtol=1e-4)


def test_the_variational_regulariser():
    found = gaussian.kl_to_standard_normal(MEANS, LOGS)
    wanted = [kl(m, np.diag(np.exp(s)), np.zeros(3), np.eye(3)) for m, s in zip(MEANS, LOGS)]
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    # Near the prior the value is small, and keeps its digits.
    tiny = gaussian.kl_to_standard_normal(np.zeros((1, 1)), np.full((1, 1), 1e-3))
    np.testing.assert_allclose(tiny, (np.expm1(1e-3) - 1e-3) / 2, rtol=1e-3)


def test_bhattacharyya_is_the_integral_of_the_root():
    grid = np.linspace(-20, 20, 200001)

    def density(m, log_variance):
        s = np.exp(log_variance)
        return np.exp(-((grid - m) ** 2) / (2 * s)) / np.sqrt(2 * np.pi * s)

    integral = np.trapezoid if hasattr(np, "trapezoid") else np.trapz
    wanted = -np.log(integral(np.sqrt(density(0.3, -0.5) * density(1.5, 0.7)), grid))
    arguments = ([[0.3]], [[-0.5]], [[1.5]], [[0.7]])
    np.testing.assert_allclose(gaussian.diagonal_bhattacharyya(*arguments), [wanted], rtol=1e-5)
