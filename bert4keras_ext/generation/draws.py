"""Choices among tokens in NumPy: the best, the top k, the top p, and random ones."""

import numpy as np


def largest(scores, count):
    """Flat indices of the `count` largest entries, best first, the lower index before its equals.

    >>> largest(np.array([[1.0, 5.0], [5.0, 2.0]]), 3).tolist()
    [1, 2, 3]
    """
    flat = scores.ravel()
    if count == 1:
        return flat.argmax()[None]
    if count < len(flat):
        bound = np.partition(flat, -count)[-count]
        above, equal = np.flatnonzero(flat > bound), np.flatnonzero(flat == bound)
        chosen = np.concatenate([above, equal[: count - len(above)]])
        chosen.sort()
    else:
        chosen = np.arange(len(flat))
    return chosen[np.argsort(-flat[chosen], kind="stable")]


def filtered(probabilities, topk=None, topp=None):
    """(tokens, their probabilities) of each row after top-k and, of what is left, top-p.

    top-p keeps the most probable tokens until they reach ``topp`` together, the one that reaches
    it included. What is kept sums to 1 again.

    Returns:
        tokens (rows, kept), or None for all of them, and probabilities (rows, kept), where those
        that a row keeps less than others are 0.

    Raises:
        ValueError: where a row has no probability at all.

    Example:

    >>> tokens, kept = filtered(np.array([[0.2, 0.4, 0.1, 0.3]]), topk=3, topp=0.6)
    >>> tokens.tolist(), kept.round(2).tolist()
    ([[1, 3, 0]], [[0.57, 0.43, 0.0]])
    """
    total = probabilities.sum(axis=1, keepdims=True)
    if not (total > 0).all():
        raise ValueError("no token has any probability left: loosen what forbids tokens")
    kept, tokens = probabilities / total, None
    if topk is not None and topk < kept.shape[1]:
        tokens = _top_k(kept, topk)
        kept = np.take_along_axis(kept, tokens, axis=1)
        kept = kept / kept.sum(axis=1, keepdims=True)
    if topp is not None:
        places, kept = _top_p(kept, topp)
        tokens = places if tokens is None else np.take_along_axis(tokens, places, axis=1)
    return tokens, kept


def _top_k(probabilities, topk):
    """Indices of the `topk` largest of each row, in the order of bert4keras' recorded draws.

    That is the one in which NumPy's selection leaves them. For float32 and float64 newer versions
    have another selection, by vector instructions, whose order depends on the processor; for long
    doubles it is the old one everywhere.
    """
    values = probabilities.astype(np.longdouble)
    return values.argpartition(-topk, axis=1)[:, -topk:]


def _top_p(probabilities, topp):
    count, width = 64, probabilities.shape[1]
    while True:  # a few of many tokens reach it as a rule: no need to sort them all
        count = min(count, width)
        places = _leading(probabilities, count)
        kept = np.take_along_axis(probabilities, places, axis=1)
        reached = np.cumsum(kept, axis=1) >= topp
        if count == width or reached[:, -1].all():
            break
        count *= 8
    kept[:, 1:][reached[:, :-1]] = 0
    return places, kept / kept.sum(axis=1, keepdims=True)


def _leading(probabilities, count):
    """Indices of the `count` largest of each row, the largest first."""
    if count == probabilities.shape[1]:
        return probabilities.argsort(axis=1)[:, ::-1]
    places = probabilities.argpartition(-count, axis=1)[:, -count:]
    order = np.take_along_axis(probabilities, places, axis=1).argsort(axis=1)[:, ::-1]
    return np.take_along_axis(places, order, axis=1)


def draw(probabilities, rows, uniform):
    """A column for each entry of `rows`, the row of `probabilities` that it is drawn from.

    The same as ``numpy.random.choice(width, p=probabilities[row])`` row by row, from uniform
    numbers that are given: one comparison with the running sums.

    >>> draw(np.array([[0.25, 0.75]]), np.zeros(2, int), np.array([0.2, 0.9])).tolist()
    [0, 1]
    """
    sums = np.cumsum(probabilities, axis=1, dtype="float64")
    sums /= sums[:, -1:]
    pairs = zip(rows, uniform)
    return np.array([sums[row].searchsorted(number, side="right") for row, number in pairs])
