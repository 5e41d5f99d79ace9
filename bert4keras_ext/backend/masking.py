"""Masks: sequence masking with the -inf convention, and the normalisation of attention scores."""

import math

from keras import backend, ops

from bert4keras_ext.backend import softmax

# Inside attention a masked score is very low but finite: a row without any allowed key gives
# a uniform distribution, not NaN. exp(MASKED - max) is exactly 0 for every other row.
MASKED_SCORE = -1e30


def align_mask(mask, axis, ndim):
    """Reshapes a (batch, length) mask so that it broadcasts against axes 0 and ``axis``."""
    axis = axis % ndim
    if axis == 0:
        raise ValueError("axis 0 is the batch: a sequence mask lies along axis 1 or later")
    shape = [1] * ndim
    shape[0], shape[axis] = ops.shape(mask)[0], ops.shape(mask)[1]
    return ops.reshape(mask, shape)


def sequence_masking(x, mask=None, value=0, axis=None, bias=None, return_mask=False):
    """Replaces the masked entries of ``x`` by ``value``.

    Args:
        x: tensor (batch, ...).
        mask: (batch, length) bool or 0/1, or None.
        value: what masked entries become; ``"-inf"`` and ``"inf"`` are accepted spellings.
            Losses find masked positions by *exact* equality with infinity, in every dtype.
        axis: the axis of ``x`` the mask lies along (default 1), or a list of axes.
        bias: a bool tensor (and-ed with the mask) or a float one (added to ``x``).
        return_mask: also return the combined mask, or None where there is none.

    Returns:
        A tensor of the shape and dtype of ``x``, or ``(tensor, mask)``.

    Example:

    >>> x = ops.ones((1, 3))
    >>> ops.convert_to_numpy(sequence_masking(x, ops.array([[1, 1, 0]]), "-inf")).tolist()
    [[1.0, 1.0, -inf]]
    """
    x = ops.convert_to_tensor(x)
    allowed = combine_masks(mask, axis, len(x.shape))
    if bias is not None and backend.standardize_dtype(bias.dtype) == "bool":
        bias = align_bias(bias, len(x.shape))
        allowed = bias if allowed is None else ops.logical_and(allowed, bias)
    elif bias is not None:
        x = x + ops.cast(align_bias(bias, len(x.shape)), x.dtype)
    if allowed is not None:
        x = ops.where(allowed, x, ops.cast(float(value), x.dtype))
    return (x, allowed) if return_mask else x


def combine_masks(mask, axis, ndim):
    """One bool tensor of ``ndim`` dimensions: the mask laid along every axis asked for."""
    if mask is None:
        return None
    mask = ops.cast(mask, "bool")
    axes = axis if isinstance(axis, (list, tuple)) else [1 if axis is None else axis]
    allowed = align_mask(mask, axes[0], ndim)
    for other in axes[1:]:
        allowed = ops.logical_and(allowed, align_mask(mask, other, ndim))
    return allowed


def align_bias(bias, ndim):
    """Puts head axes into a bias: (batch, query, key) -> (batch, 1, query, key)."""
    while len(bias.shape) < ndim:
        bias = ops.expand_dims(bias, 0 if len(bias.shape) == 2 else 1)
    return bias


def restricted(bias, allowed, ndim):
    """An attention bias, bool or float or None, that forbids whatever ``allowed`` (bool) does."""
    allowed = align_bias(allowed, ndim)
    if bias is None:
        return allowed
    bias = align_bias(bias, ndim)
    if backend.standardize_dtype(bias.dtype) == "bool":
        return ops.logical_and(bias, allowed)
    return ops.cast(bias, "float32") + ops.where(allowed, 0.0, MASKED_SCORE)


def attention_normalize(scores, mask=None, method="softmax", bias=None, training=True):
    """Turns attention scores into weights, in float32.

    ============  =================================================================
    softmax       ``softmax(s)`` over the allowed keys
    squared_relu  ``relu(s)^2 / n`` with n the number of allowed keys (arXiv 2202.10447)
    softmax_plus  ``softmax(s * log(max(n, 16)) / log 512)``: entropy invariance to the
                  length (article 8823)
    ============  =================================================================

    Args:
        scores: (batch, heads, query, key).
        mask: (batch, key) bool, or None: which keys may be looked at.
        method: a row of the table.
        bias: bool (and-ed with the mask) or float (added), broadcast to ``scores``; three
            dimensions mean (batch, query, key).
        training: outside of it, bfloat16 scores stay as narrow as they are where the weights are
            equal all the same: see ``backend/softmax.py``.

    Returns:
        Weights with the shape and dtype of ``scores``. A row with no allowed key is finite.

    Raises:
        ValueError: for an unknown method.
    """
    check_normalization(method)
    dtype, ndim = scores.dtype, len(scores.shape)
    allowed = combine_masks(mask, -1, ndim)
    if bias is not None and backend.standardize_dtype(bias.dtype) == "bool":
        bias = align_bias(bias, ndim)
        allowed = bias if allowed is None else ops.logical_and(allowed, bias)
        bias = None
    if not training and bias is None and method == "softmax" and softmax.is_exact(dtype):
        return softmax.narrow(_masked(scores, allowed))
    scores = ops.cast(scores, "float32")
    if bias is not None:
        # A float bias may hold -inf where keys are forbidden: kept finite, like a mask.
        scores = scores + ops.maximum(ops.cast(align_bias(bias, ndim), "float32"), MASKED_SCORE)
    return ops.cast(_METHODS[method](scores, allowed), dtype)


def check_normalization(method):
    """Returns a method of ``attention_normalize``, or raises ValueError naming the known ones."""
    if method not in _METHODS:
        raise ValueError(f"normalization expects one of {sorted(_METHODS)}, received {method!r}")
    return method


def _softmax(scores, allowed):
    return softmax.wide(_masked(scores, allowed))


def _masked(scores, allowed):
    if allowed is None:
        return scores
    # Adding a small (batch, 1, 1, key) tensor costs one pass over the scores; for them
    # score + MASKED_SCORE rounds to MASKED_SCORE exactly.
    return scores + ops.cast(ops.where(allowed, 0.0, MASKED_SCORE), scores.dtype)


def _squared_relu(scores, allowed):
    scores = ops.square(ops.relu(scores))
    if allowed is not None:
        scores = scores * ops.cast(allowed, "float32")
    return scores / _count(scores, allowed)


def _softmax_plus(scores, allowed):
    scale = ops.log(ops.maximum(_count(scores, allowed), 16.0)) / math.log(512.0)
    return _softmax(scores * scale, allowed)


def _count(scores, allowed):
    if allowed is None:
        return ops.cast(ops.shape(scores)[-1], "float32")
    return ops.maximum(ops.sum(ops.cast(allowed, "float32"), axis=-1, keepdims=True), 1.0)


_METHODS = {"softmax": _softmax, "squared_relu": _squared_relu, "softmax_plus": _softmax_plus}
