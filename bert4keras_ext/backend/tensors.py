"""Small tensor helpers that keras.ops does not have."""

from keras import backend, ops


def check_length(length, limit, message):
    """Fails with ``message`` when a length exceeds ``limit``, even if known only at run time.

    Args:
        length: an int, or a scalar tensor as ``ops.shape(x)[1]`` gives it in a graph.
        limit: int.
        message: text with ``{length}`` and ``{limit}`` in it.
    """
    if isinstance(length, int):
        if length > limit:
            raise ValueError(message.format(length=length, limit=limit))
    elif length is not None and backend.backend() == "tensorflow":
        import tensorflow as tf

        text = message.format(length="a longer input", limit=limit)
        tf.debugging.assert_less_equal(length, limit, message=text)


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


def neighbours(x):
    """Rows 2i and rows 2i + 1 of (2n, ...), as two tensors (n, ...); an odd number is refused."""
    rows = x.shape[0]
    if rows is not None and rows % 2:
        raise ValueError(
            f"pairs stand in neighbouring rows: expected an even number of rows, found {rows}. "
            "Use an even batch size, and drop what is left over at the end"
        )
    pairs = ops.reshape(x, (-1, 2, *ops.shape(x)[1:]))  # fails for an odd number known only later
    return pairs[:, 0], pairs[:, 1]
