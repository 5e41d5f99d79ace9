"""Distances of Gaussian distributions in float64, without inverting anything.

``losses.gaussian`` has the same for training, in the dtype and on the device of a model.
"""

import numpy as np


def gaussian_kl(mean_p, covariance_p, mean_q=None, covariance_q=None):
    """``KL(p || q)``; without q the standard normal distribution is meant.

    ``(|L_q^-1 (m_p - m_q)|^2 + |L_q^-1 L_p|^2 - n + log det S_q - log det S_p) / 2`` with the
    Cholesky factors L.

    Args:
        mean_p, mean_q: (n,).
        covariance_p, covariance_q: (n, n), positive definite.

    Returns:
        A float.

    Raises:
        ValueError: for other shapes, or a covariance that is not positive definite.

    Example:

    >>> gaussian_kl([1.0, 1.0], [[1.0, 0.0], [0.0, 1.0]])
    1.0

    Source: article 8512.
    """
    mean_p, factor_p = _checked(mean_p, covariance_p, "p")
    if mean_q is None:
        mean_q, factor_q = np.zeros_like(mean_p), np.eye(len(mean_p))
    else:
        mean_q, factor_q = _checked(mean_q, covariance_q, "q", len(mean_p))
    both = np.linalg.solve(factor_q, np.column_stack([factor_p, mean_p - mean_q]))
    logs = _log_determinant(factor_q) - _log_determinant(factor_p)
    return float(0.5 * (np.sum(both**2) - len(mean_p) + logs))


def bhattacharyya_distance(mean_p, covariance_p, mean_q, covariance_q):
    """``-log int sqrt(p q)``; the squared Hellinger distance is ``1 - exp`` of its negative.

    With S the mean covariance: ``(m_p - m_q)' S^-1 (m_p - m_q) / 8 + log(det S / sqrt(det S_p
    det S_q)) / 2``.

    Example:

    >>> identity = [[1.0, 0.0], [0.0, 1.0]]
    >>> bhattacharyya_distance([0.0, 0.0], identity, [2.0, 2.0], identity)
    1.0

    Source: article 8512.
    """
    mean_p, factor_p = _checked(mean_p, covariance_p, "p")
    mean_q, factor_q = _checked(mean_q, covariance_q, "q", len(mean_p))
    mean = (np.asarray(covariance_p, "float64") + np.asarray(covariance_q, "float64")) / 2
    factor = np.linalg.cholesky(mean)
    distance = np.sum(np.linalg.solve(factor, mean_p - mean_q) ** 2) / 8
    single = (_log_determinant(factor_p) + _log_determinant(factor_q)) / 2
    return float(distance + 0.5 * (_log_determinant(factor) - single))


def hellinger_distance(mean_p, covariance_p, mean_q, covariance_q):
    """``sqrt(1 - int sqrt(p q))``, between 0 and 1.

    Example:

    >>> hellinger_distance([0.0], [[1.0]], [0.0], [[1.0]])
    0.0
    """
    distance = bhattacharyya_distance(mean_p, covariance_p, mean_q, covariance_q)
    return float(np.sqrt(max(-np.expm1(-distance), 0.0)))


def wasserstein_distance(mean_p, covariance_p, mean_q, covariance_q):
    """The squared 2-Wasserstein distance (that of the Frechet inception distance).

    ``|m_p - m_q|^2 + tr S_p + tr S_q - 2 tr (S_p^(1/2) S_q S_p^(1/2))^(1/2)``; the last trace is
    the sum of the roots of the eigenvalues of ``R S_q R`` with the root R of S_p by its
    eigenvectors. Covariances may be singular.

    Example:

    >>> wasserstein_distance([0.0], [[1.0]], [1.0], [[4.0]])
    2.0

    Source: article 8512.
    """
    mean_p, mean_q = _vector(mean_p, "p"), _vector(mean_q, "q")
    cov_p = _square(covariance_p, "p", len(mean_p))
    cov_q = _square(covariance_q, "q", len(mean_p))
    values, vectors = np.linalg.eigh(cov_p)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    inner = np.linalg.eigvalsh(root @ cov_q @ root)
    traces = np.trace(cov_p) + np.trace(cov_q) - 2 * np.sum(np.sqrt(np.maximum(inner, 0)))
    return float(np.sum((mean_p - mean_q) ** 2) + max(traces, 0.0))


def _checked(mean, covariance, name, size=None):
    """(mean, Cholesky factor of the covariance), both float64."""
    mean = _vector(mean, name)
    covariance = _square(covariance, name, len(mean) if size is None else size)
    if len(mean) != len(covariance):
        raise ValueError(f"p and q expect the same dimension, found {len(covariance)}, {len(mean)}")
    try:
        return mean, np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        smallest = np.linalg.eigvalsh(covariance)[0]
        raise ValueError(
            f"covariance_{name} expects a positive definite matrix, its smallest eigenvalue is "
            f"{smallest:.3g}: add a small multiple of the identity"
        ) from None


def _vector(mean, name):
    mean = np.asarray(mean, dtype="float64")
    if mean.ndim != 1:
        raise ValueError(f"mean_{name} expects a vector, found the shape {mean.shape}")
    return mean


def _square(covariance, name, size):
    covariance = np.asarray(covariance, dtype="float64")
    if covariance.shape != (size, size):
        raise ValueError(
            f"covariance_{name} expects the shape {(size, size)}, found {covariance.shape}"
        )
    return (covariance + covariance.T) / 2


def _log_determinant(factor):
    return 2 * np.sum(np.log(np.diag(factor)))
