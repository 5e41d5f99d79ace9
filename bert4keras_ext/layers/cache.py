"""The cache of an attention layer: keys and values of what was read before.

A cache is one pair (keys, values), (batch, heads, places, size) each, or a list of such pairs whose
places follow each other. Only the last pair is written: what a whole batch of continuations shares,
such as the keys of a prompt, stands in front of it and is never copied.
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


def pairs_of(cache):
    """The pairs of a cache, as a list."""
    return [cache] if _is_pair(cache) else list(cache)


def in_form_of(cache, pairs):
    """The pairs as a cache like the one given: a pair, or a list."""
    return pairs[0] if _is_pair(cache) else pairs


def _is_pair(cache):
    return not isinstance(cache[0], (list, tuple))


def readable(length, capacity, index):
    """Which places a query may look at: those written before it, and itself.

    Query i of ``length`` stands at place ``index + i``: bool (1, length, capacity).
    """
    own = index + ops.arange(length)
    return (ops.arange(capacity)[None, :] <= own[:, None])[None]


def readable_in(pairs, length, index):
    """The same for a list of pairs, of which all but the last may be read whole."""
    *shared, last = (ops.shape(keys)[2] for keys, _ in pairs)
    own = readable(length, last, index)
    return ops.concatenate([*(ops.ones((1, length, n), "bool") for n in shared), own], axis=-1)


def products(query, keys):
    """``Q K^T`` over the places of all of ``keys``: (batch, heads, query, places)."""
    # TensorFlow transposes within the product.
    parts = [ops.matmul(query, ops.transpose(key, (0, 1, 3, 2))) for key in keys]
    return parts[0] if len(parts) == 1 else ops.concatenate(parts, axis=-1)


def averages(weights, values):
    """``A V`` over the places of all of ``values``: (batch, heads, query, size)."""
    total, start = None, 0
    for value in values:
        places = ops.shape(value)[2]
        share = weights if len(values) == 1 else weights[..., start : start + places]
        part = ops.matmul(share, value)
        total, start = part if total is None else total + part, start + places
    return total


def joined(parts):
    """Keys or values of all pairs, one after the other."""
    return parts[0] if len(parts) == 1 else ops.concatenate(parts, axis=2)


def places_of(cache_shape):
    """How many places a cache of these shapes has, a pair's or those of a list of pairs."""
    pairs = cache_shape if isinstance(cache_shape[0][0], (list, tuple)) else [cache_shape]
    return sum(keys[2] for keys, _ in pairs)
