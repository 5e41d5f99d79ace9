"""Small tensor helpers that keras.ops does not have."""

import math

import numpy as np
from keras import backend, ops

from bert4keras_ext.backend.keras_internals import is_inside_xla


def checked_length(length, limit, message, tensor=None):
    """Fails with ``message`` when a length exceeds ``limit``, even if known only at run time.

    Args:
        length: an int, or a scalar tensor as ``ops.shape(x)[1]`` gives it in a graph.
        limit: int.
        message: text with ``{length}`` and ``{limit}`` in it.
        tensor: what must not be computed with before; by default the length itself. Operations
            of a graph run in any order, and one may otherwise fail first, at shapes that do not
            fit.

    Returns:
        ``tensor``, known to be safe.
    """
    tensor = length if tensor is None else tensor
    if isinstance(length, int):
        if length > limit:
            raise ValueError(message.format(length=length, limit=limit))
    elif length is not None and backend.backend() == "tensorflow":
        import tensorflow as tf

        text = message.format(length="a longer input", limit=limit)
        with tf.control_dependencies([tf.debugging.assert_less_equal(length, limit, text)]):
            return tf.identity(tensor)
    return tensor


def slice_written(x, start, updates):
    """``x`` with ``updates``, of as many axes, put at ``start``: a tuple of ints and scalars.

    As ``ops.slice_update``, which on TensorFlow is a program of XLA, compiled anew for every shape
    and several times slower for small updates; outside of XLA this is an operation of TensorFlow.

    Example:

    >>> slice_written(ops.zeros((1, 3)), (0, 1), ops.ones((1, 1))).numpy().tolist()
    [[0.0, 1.0, 0.0]]
    """
    if backend.backend() != "tensorflow" or is_inside_xla():
        return ops.slice_update(x, start, updates)
    import tensorflow as tf

    begin = tf.stack([tf.cast(place, "int32") for place in start])
    return tf.raw_ops.TensorStridedSliceUpdate(
        input=x, begin=begin, end=begin + tf.shape(updates), strides=[1] * len(start), value=updates
    )


FEW = 8  # tokens of a step: transposing their heads costs more to set up than to do


def swapped(x):
    """Axes 1 and 2 of (batch, m, n, size) in each other's place: (batch, n, m, size).

    For a few places TensorFlow's transpose on CPUs takes 50 microseconds, most of them to set up
    (oneDNN); 48 of them were 2.6 of the 34 ms of a step of BERT-base. Taking rows in
    another order is 10.

    Example:

    >>> tuple(swapped(ops.ones((1, 3, 2, 4))).shape)
    (1, 2, 3, 4)
    """
    m, n, size = x.shape[1:]
    known = all(isinstance(axis, int) for axis in (m, n, size))
    if backend.backend() != "tensorflow" or not known or min(m, n) > FEW or is_inside_xla():
        return ops.transpose(x, (0, 2, 1, 3))
    if min(m, n) > 1:
        order = np.arange(m * n).reshape(m, n).T.ravel()
        x = ops.take(ops.reshape(x, (-1, m * n, size)), order, axis=1)
    return ops.reshape(x, (-1, n, m, size))


def head_and_rest(inputs):
    """Splits bert4keras' list inputs ``[x, extra]``: returns ``(x, extra)`` or ``(x, None)``."""
    if isinstance(inputs, (list, tuple)):
        if len(inputs) != 2:
            raise ValueError(f"expected one tensor or [x, extra], received {len(inputs)} inputs")
        return inputs[0], inputs[1]
    return inputs, None


def broadcast_rows(tensor, ndim):
    """Puts axes after the batch axis: (batch, dim) -> (batch, 1, ..., dim) with ``ndim`` axes."""
    while len(tensor.shape) < ndim:
        tensor = ops.expand_dims(tensor, 1)
    return tensor


_PAIRS = "pairs stand in neighbouring rows: expected an even number of rows, found "
_EVEN = "Use an even batch size, and drop what is left over at the end"


def neighbours(x):
    """Rows 2i and rows 2i + 1 of (2n, ...), as two tensors (n, ...); an odd number is refused."""
    rows = x.shape[0]
    if rows is not None and rows % 2:
        raise ValueError(f"{_PAIRS}{rows}. {_EVEN}")
    pairs = ops.reshape(x, (-1, 2, *ops.shape(x)[1:]))  # fails for an odd number known only later
    return pairs[:, 0], pairs[:, 1]


def whole_pairs(x):
    """``x`` itself, whose rows are pairs of neighbours, or a single one; other odd numbers fail.

    Where the number is known only at run time the check is a part of the graph (not under XLA).
    """
    rows = x.shape[0]
    if rows is not None:
        if rows > 1:
            neighbours(x)  # refuses an odd number
        return x
    if backend.backend() != "tensorflow":
        return x
    import tensorflow as tf

    rows = tf.shape(x)[0]
    message = f"{_PAIRS}an odd number. {_EVEN}"
    check = tf.debugging.Assert(tf.logical_or(rows == 1, rows % 2 == 0), [message, rows])
    with tf.control_dependencies([check]):
        return tf.identity(x)


def flatten(x, start=0, end=None):
    """Makes one axis of the axes ``start`` ... ``end - 1`` (``end=None``: to the last one).

    On the symbolic tensors of a functional model one size may be unknown; in a layer, any.

    Raises:
        ValueError: for no axis between start and end.

    Example:

    >>> tuple(flatten(ops.ones((2, 3, 4, 5)), start=1, end=3).shape)
    (2, 12, 5)
    """
    shape, axes = ops.shape(x), range(len(x.shape))[start:end]
    if not axes:
        raise ValueError(
            f"start={start} and end={end} leave no axis to flatten of {len(x.shape)}: expected "
            "end - start of at least 1"
        )
    inner = shape[axes.start : axes.stop]
    joined = math.prod(inner) if all(isinstance(size, int) for size in inner) else -1
    sizes = [*shape[: axes.start], joined, *shape[axes.stop :]]
    if None in sizes and joined != -1:  # the batch of a functional model
        sizes[sizes.index(None)] = -1
    return ops.reshape(x, sizes)


def pool1d(x, pool_size, strides=1, padding="valid", pool_mode="max"):
    """The maximum ("max") or mean ("avg") over windows of a sequence, without regard to masks.

    Args:
        x: (batch, length, dim).
        pool_size: places in a window.
        strides: places from one window to the next.
        padding: "valid" for whole windows only, "same" for one window a step (what lies beyond the
            ends counts neither in the maximum nor in the mean).
        pool_mode: "max" or "avg".

    Returns:
        (batch, windows, dim).

    Raises:
        ValueError: for another pool_mode.

    Example:

    >>> pool1d(ops.array([[[1.0], [3.0], [2.0]]]), 2)[0, :, 0].numpy().tolist()
    [3.0, 3.0]
    """
    pools = {"max": ops.max_pool, "avg": ops.average_pool}
    if pool_mode not in pools:
        raise ValueError(f"pool_mode expects one of {sorted(pools)}, received {pool_mode!r}")
    return pools[pool_mode](x, pool_size, strides, padding, data_format="channels_last")


def divisible_temporal_padding(x, n):
    """Puts zeros behind a sequence until its length is a multiple of n: (batch, length, ...).

    On the symbolic tensors of a functional model the length must be known; in a layer it need not.

    Example:

    >>> tuple(divisible_temporal_padding(ops.ones((2, 5, 4)), 4).shape)
    (2, 8, 4)
    """
    missing = -ops.shape(x)[1] % n
    return ops.pad(x, [[0, 0], [0, missing]] + [[0, 0]] * (len(x.shape) - 2))
