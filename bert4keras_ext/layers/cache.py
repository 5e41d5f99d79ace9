"""The cache of an attention layer: keys and values of what was read before, (keys, values).

Each is (batch, heads, places, size). Continuations of one text stand side by side in it and share
the places of what they have in common.
"""

from keras import ops

from bert4keras_ext.backend.tensors import slice_written


def empty_cache(batch, heads, capacity, key_size, head_size=None, dtype="float32"):
    """Room for the keys and values of ``capacity`` places.

    Returns:
        (keys, values): (batch, heads, capacity, key_size) and (..., head_size), zeros.

    Example:

    >>> [tuple(x.shape) for x in empty_cache(2, 4, 16, 8)]
    [(2, 4, 16, 8), (2, 4, 16, 8)]
    """
    sizes = key_size, key_size if head_size is None else head_size
    return tuple(ops.zeros((batch, heads, capacity, size), dtype=dtype) for size in sizes)


def write_to_cache(cache, keys, values, index):
    """The pair ``cache`` with keys and values (batch, heads, length, size) put at ``index``."""
    start = (0, 0, index, 0)
    return tuple(
        slice_written(old, start, ops.cast(new, old.dtype))
        for old, new in zip(cache, (keys, values))
    )


def readable(length, capacity, index):
    """Which places a query may look at: those written before it, and itself.

    Query i of ``length`` stands at place ``index + i``: bool (1, length, capacity).
    """
    own = index + ops.arange(length)
    return (ops.arange(capacity)[None, :] <= own[:, None])[None]
