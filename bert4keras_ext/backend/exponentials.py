"""Sums of exponentials that neither overflow nor lose small terms, in float32."""

from keras import ops

# exp(FORBIDDEN - anything) is exactly 0, and unlike -inf it never makes a NaN in a gradient.
FORBIDDEN = -1e30


def log1p_sum_exp(x, axis=-1):
    """``log(1 + sum_i exp(x_i))`` along an axis; entries of FORBIDDEN or -inf count as absent.

    Small sums keep their value (log1p), large ones do not overflow (the largest entry is taken
    out), and gradients are finite for every finite input.

    Example:

    >>> float(log1p_sum_exp(ops.array([1e4, -1e4])))
    10000.0
    """
    x = ops.maximum(ops.cast(x, "float32"), FORBIDDEN)
    # initial: the 1 is exp(0), and a sum over nothing at all has a largest term then.
    largest = ops.stop_gradient(ops.max(x, axis=axis, keepdims=True, initial=0.0))
    total = ops.sum(ops.exp(x - largest), axis=axis)
    largest = ops.squeeze(largest, axis=axis)
    return largest + ops.log1p(total + ops.expm1(-largest))


def log_sum_exp(x, axis=-1):
    """``log sum_i exp(x_i)``; a row in which everything is forbidden gives FORBIDDEN, not NaN."""
    x = ops.maximum(ops.cast(x, "float32"), FORBIDDEN)
    return ops.logsumexp(x, axis=axis)
