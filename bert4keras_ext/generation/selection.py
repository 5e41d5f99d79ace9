"""Few of many, fast: the largest of a vocabulary of scores, and one drawn at random.

Both go by blocks. A pass that sums or compares whole blocks is many times faster than a sort or a
running sum over all tokens, and what is wanted then is among a few blocks.
"""

from keras import ops

BLOCK = 64


def top_k(scores, k):
    """``ops.top_k``: the values and places of the k largest, the lower place before its equals.

    The k largest are in the k blocks with the largest maxima.

    Args:
        scores: (batch, width, n).
        k: at most n.

    Returns:
        values and int32 places, (batch, width, k).

    Example:

    >>> values, places = top_k(ops.array([[[1.0, 5.0, 5.0, 7.0]]]), 3)
    >>> places.numpy().tolist()
    [[[3, 1, 2]]]
    """
    if k == 1 or 4 * k * BLOCK > scores.shape[-1]:
        values, places = ops.top_k(scores, k)
        return values, ops.cast(places, "int32")
    blocks = _in_blocks(scores, float("-inf"))
    _, chosen = ops.top_k(ops.max(blocks, axis=-1), k)
    chosen = ops.sort(chosen, axis=-1)  # so that equals keep their order
    few = ops.reshape(_taken(blocks, chosen), (*ops.shape(scores)[:2], k * BLOCK))
    values, places = ops.top_k(few, k)
    block = ops.take_along_axis(chosen, places // BLOCK, axis=-1)
    return values, ops.cast(block * BLOCK + places % BLOCK, "int32")


def inverse_distribution(weights, uniform):
    """The place at which the running sum of weights passes ``uniform`` times the whole.

    Args:
        weights: (batch, width, n), not negative; a place of weight 0 is never returned, but where
            all are 0.
        uniform: (batch, width, 1), in [0, 1).

    Returns:
        int32 (batch, width, 1).

    Example:

    >>> weights = ops.array([[[0.5, 0.0, 0.5]]])
    >>> inverse_distribution(weights, ops.array([[[0.5]]])).numpy().tolist()
    [[[2]]]
    """
    blocks = _in_blocks(weights, 0.0)
    sums = ops.sum(blocks, axis=-1)
    block, goal = _passing(sums, uniform * ops.sum(sums, axis=-1, keepdims=True))
    place, _ = _passing(_taken(blocks, block)[:, :, 0], goal)
    return block * BLOCK + place


def _passing(weights, goal):
    """The first place at which the running sum passes the goal, and how much of it is left there.

    Rounding may find a place without a weight, or none that passes: the last one is meant then.
    """
    size = weights.shape[-1]
    places, weighs = ops.arange(size), weights > 0
    passes = ops.logical_and(weighs, ops.cumsum(weights, axis=-1) > goal)
    first = ops.min(ops.where(passes, places, size), axis=-1, keepdims=True)
    last = ops.max(ops.where(weighs, places, 0), axis=-1, keepdims=True)
    place = ops.cast(ops.minimum(first, last), "int32")
    before = ops.sum(ops.where(places < place, weights, 0.0), axis=-1, keepdims=True)
    return place, goal - before


def _in_blocks(x, fill):
    """(batch, width, n) as (batch, width, blocks, BLOCK)."""
    missing = -x.shape[-1] % BLOCK
    if missing:
        x = ops.pad(x, ((0, 0), (0, 0), (0, missing)), constant_values=fill)
    return ops.reshape(x, (*ops.shape(x)[:2], x.shape[-1] // BLOCK, BLOCK))


def _taken(blocks, chosen):
    """The chosen blocks (batch, width, k) of each: (batch, width, k, BLOCK).

    ``ops.take_along_axis`` would copy all of them.
    """
    batch, width, number, _ = ops.shape(blocks)
    first = ops.reshape(ops.arange(batch * width) * number, (batch, width, 1))
    return ops.take(ops.reshape(blocks, (-1, BLOCK)), first + ops.cast(chosen, "int32"), axis=0)
