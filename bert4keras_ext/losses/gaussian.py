"""Distances of Gaussian distributions, diagonal and full: regularisers of autoencoders."""

from keras import ops

from bert4keras_ext.backend.registration import register


@register
def kl_to_standard_normal(mean, log_variance):
    """``KL(N(m, s^2) || N(0, 1)) = sum (m^2 + s^2 - log s^2 - 1) / 2``: the VAE regulariser.

    Args:
        mean, log_variance: (..., dim).

    Returns:
        Float32 (...).

    Example:

    >>> float(kl_to_standard_normal(ops.zeros(3), ops.zeros(3)))
    0.0

    Source: arXiv 1312.6114.
    """
    mean, log_variance = (ops.cast(x, "float32") for x in (mean, log_variance))
    return 0.5 * ops.sum(ops.square(mean) + ops.expm1(log_variance) - log_variance, axis=-1)


@register
def diagonal_kl(mean_p, log_variance_p, mean_q, log_variance_q):
    """``KL(p || q)`` of Gaussians with independent coordinates: (..., dim) each -> (...).

    Example:

    >>> float(diagonal_kl(ops.zeros(2), ops.zeros(2), ops.ones(2), ops.zeros(2)))
    1.0

    Source: article 8512.
    """
    mean_p, s_p, mean_q, s_q = _float32(mean_p, log_variance_p, mean_q, log_variance_q)
    ratio = s_p - s_q
    distance = ops.square(mean_p - mean_q) * ops.exp(-s_q)
    return 0.5 * ops.sum(distance + ops.expm1(ratio) - ratio, axis=-1)


@register
def diagonal_bhattacharyya(mean_p, log_variance_p, mean_q, log_variance_q):
    """``-log int sqrt(p q)`` of Gaussians with independent coordinates: (..., dim) -> (...).

    With S the mean of the variances: ``sum log(S / (s_p s_q)) / 2 + (m_p - m_q)^2 / (8 S)``.

    Example:

    >>> float(diagonal_bhattacharyya(ops.zeros(2), ops.zeros(2), 2 * ops.ones(2), ops.zeros(2)))
    1.0

    Source: article 8512.
    """
    mean_p, s_p, mean_q, s_q = _float32(mean_p, log_variance_p, mean_q, log_variance_q)
    log_mean = ops.logaddexp(s_p, s_q) - ops.log(ops.cast(2.0, "float32"))
    distance = ops.square(mean_p - mean_q) * ops.exp(-log_mean) / 8
    return ops.sum(distance + 0.5 * (log_mean - 0.5 * (s_p + s_q)), axis=-1)


@register
def diagonal_wasserstein(mean_p, log_variance_p, mean_q, log_variance_q):
    """The squared 2-Wasserstein distance, ``sum (m_p - m_q)^2 + (s_p - s_q)^2``.

    Example:

    >>> float(diagonal_wasserstein(ops.zeros(2), ops.zeros(2), ops.ones(2), ops.zeros(2)))
    2.0

    Source: article 8512.
    """
    mean_p, s_p, mean_q, s_q = _float32(mean_p, log_variance_p, mean_q, log_variance_q)
    spread = ops.exp(0.5 * s_p) - ops.exp(0.5 * s_q)
    return ops.sum(ops.square(mean_p - mean_q) + ops.square(spread), axis=-1)


@register
def full_kl(mean_p, covariance_p, mean_q, covariance_q):
    """``KL(p || q)`` of Gaussians: means (..., dim), covariances (..., dim, dim) -> (...).

    Through Cholesky factors L: the trace is ``|L_q^-1 L_p|^2``, determinants are products of
    diagonals, and nothing is inverted.

    Example:

    >>> float(full_kl(ops.zeros(2), ops.eye(2), ops.ones(2), ops.eye(2)))
    1.0

    Source: article 8512.
    """
    mean_p, cov_p, mean_q, cov_q = _float32(mean_p, covariance_p, mean_q, covariance_q)
    factor_p, factor_q = ops.cholesky(cov_p), ops.cholesky(cov_q)
    trace = ops.sum(ops.square(_solve(factor_q, factor_p)), axis=(-2, -1))
    distance = ops.sum(ops.square(_solve(factor_q, (mean_p - mean_q)[..., None])), axis=(-2, -1))
    logs = _log_determinant(factor_q) - _log_determinant(factor_p)
    return 0.5 * (trace + distance - mean_p.shape[-1] + logs)


@register
def full_bhattacharyya(mean_p, covariance_p, mean_q, covariance_q):
    """``-log int sqrt(p q)`` of Gaussians with full covariances; shapes as for ``full_kl``.

    Example:

    >>> float(full_bhattacharyya(ops.zeros(2), ops.eye(2), 2 * ops.ones(2), ops.eye(2)))
    1.0

    Source: article 8512.
    """
    mean_p, cov_p, mean_q, cov_q = _float32(mean_p, covariance_p, mean_q, covariance_q)
    factor = ops.cholesky((cov_p + cov_q) / 2)
    distance = ops.sum(ops.square(_solve(factor, (mean_p - mean_q)[..., None])), axis=(-2, -1)) / 8
    single = _log_determinant(ops.cholesky(cov_p)) + _log_determinant(ops.cholesky(cov_q))
    return distance + 0.5 * (_log_determinant(factor) - 0.5 * single)


@register
def full_wasserstein(mean_p, covariance_p, mean_q, covariance_q):
    """The squared 2-Wasserstein distance of Gaussians; shapes as for ``full_kl``.

    ``|m_p - m_q|^2 + tr S_p + tr S_q - 2 tr (S_p^(1/2) S_q S_p^(1/2))^(1/2)``. The last trace is
    the sum of the roots of the eigenvalues of ``L' S_q L`` with ``S_p = L L'``, which needs no
    matrix root and has a stable gradient.

    Example:

    >>> float(full_wasserstein(ops.zeros(2), ops.eye(2), ops.ones(2), 4 * ops.eye(2)))
    4.0

    Source: article 8512.
    """
    mean_p, cov_p, mean_q, cov_q = _float32(mean_p, covariance_p, mean_q, covariance_q)
    factor = ops.cholesky(cov_p)
    inner = ops.matmul(ops.swapaxes(factor, -1, -2), ops.matmul(cov_q, factor))
    roots = ops.sqrt(ops.maximum(ops.eigh(inner)[0], 1e-30))
    traces = ops.trace(cov_p, axis1=-2, axis2=-1) + ops.trace(cov_q, axis1=-2, axis2=-1)
    return ops.sum(ops.square(mean_p - mean_q), axis=-1) + traces - 2 * ops.sum(roots, axis=-1)


def _float32(*tensors):
    return [ops.cast(x, "float32") for x in tensors]


def _solve(factor, x):
    return ops.solve_triangular(factor, x, lower=True)


def _log_determinant(factor):
    return 2 * ops.sum(ops.log(ops.diagonal(factor, axis1=-2, axis2=-1)), axis=-1)
