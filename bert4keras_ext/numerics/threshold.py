"""The decision threshold that gives the best accuracy on labelled scores."""

import numpy as np


def optimal_threshold(labels, scores):
    """The threshold t for which ``scores > t`` is right most often: an exact scan.

    Only midpoints between neighbouring scores matter, so sorting once finds the best of all
    thresholds (the Powell search of article 8847 starts at one place and may stop early).

    Args:
        labels: (n,) 0/1 or bool.
        scores: (n,) real numbers.

    Returns:
        (threshold, accuracy): of all best ones the widest gap's middle; -inf or inf where calling
        all positive or all negative is best.

    Raises:
        ValueError: for other shapes, labels that are not 0/1, NaN, or no rows.

    Example:

    >>> optimal_threshold([0, 0, 1, 1], [0.1, 0.4, 0.6, 0.9])
    (0.5, 1.0)

    Source: article 8847.
    """
    y, s = _checked_pair(labels, scores)
    order = np.argsort(s, kind="stable")
    y, s = y[order], s[order]
    # Right answers with the threshold before place k: negatives before it, positives from it on.
    right = np.concatenate([[0], np.cumsum(~y)]) + (y.sum() - np.concatenate([[0], np.cumsum(y)]))
    with np.errstate(invalid="ignore", over="ignore"):  # inf - inf; the largest floats
        gaps = np.concatenate([[np.inf], np.diff(s), [np.inf]])
    possible = gaps > 0  # equal scores cannot be told apart
    best = right[possible].max()
    candidates = np.flatnonzero(possible & (right == best))
    inner = candidates[(candidates > 0) & (candidates < len(s))]
    if len(inner):
        k = inner[np.argmax(gaps[inner])]
        threshold = _between(s[k - 1], s[k])
    else:
        threshold = -np.inf if candidates[0] == 0 else np.inf
    return float(threshold), float(best / len(s))


def _between(low, high):
    """A number from low on and below high: the middle, where both are finite and not adjacent."""
    if np.isinf(low) and np.isinf(high):
        return 0.0
    with np.errstate(over="ignore"):
        if np.isinf(low):
            return high - abs(high) - 1
        if np.isinf(high):
            return low + abs(low) + 1
    middle = low / 2 + high / 2
    return middle if low <= middle < high else low


def optimal_class_weights(labels, probabilities, rounds=20):
    """Weights w so that ``argmax(probabilities * w)`` is right as often as can be found.

    One class at a time, its weight is set to the best of all values by an exact scan, the others
    being held, until no class helps: never worse than the weights it starts from (all 1), and
    unlike a Powell search exact along every axis.

    Args:
        labels: (n,) class indices.
        probabilities: (n, classes), not negative.
        rounds: passes over the classes at most.

    Returns:
        (weights (classes,), accuracy).

    Raises:
        ValueError: for other shapes, negative probabilities or labels outside the classes.

    Example:

    >>> p = [[0.6, 0.4], [0.7, 0.3], [0.9, 0.1]]
    >>> weights, accuracy = optimal_class_weights([1, 0, 0], p)
    >>> (np.array(p) * weights).argmax(1).tolist(), accuracy
    ([1, 0, 0], 1.0)

    Source: article 8847.
    """
    y, p = _checked_table(labels, probabilities)
    weights = np.ones(p.shape[1])
    best = np.mean((p * weights).argmax(1) == y)
    for _ in range(rounds):
        before = best
        for c in range(p.shape[1]):
            weight, accuracy = _best_weight(y, p, weights, c)
            if accuracy > best:
                weights[c], best = weight, accuracy
        if best == before:
            break
    return weights, float(best)


def _best_weight(y, p, weights, c):
    """The weight of class c that is right most often, with the others held."""
    others = np.delete(p * weights, c, axis=1)
    rivals, winner = others.max(1), np.delete(np.arange(p.shape[1]), c)[others.argmax(1)]
    with np.errstate(divide="ignore", invalid="ignore"):
        turning = np.where(p[:, c] > 0, rivals / p[:, c], np.inf)  # from here on c wins
    order = np.argsort(turning, kind="stable")
    gain = np.where(y == c, 1, 0) - np.where(winner == y, 1, 0)
    right = np.sum(winner == y) + np.concatenate([[0], np.cumsum(gain[order])])
    ends = np.concatenate([turning[order], [np.inf]])
    starts = np.concatenate([[0.0], turning[order]])
    usable = (ends > starts) & np.isfinite(starts)
    k = np.flatnonzero(usable)[np.argmax(right[usable])]
    if np.isfinite(ends[k]):
        weight = starts[k] + (ends[k] - starts[k]) / 2
    else:
        weight = 2 * starts[k] if starts[k] > 0 else 1.0
    accuracy = np.mean((p * np.where(np.arange(len(weights)) == c, weight, weights)).argmax(1) == y)
    return weight, accuracy


def _checked_pair(labels, scores):
    y, s = np.asarray(labels), np.asarray(scores, dtype="float64")
    if s.ndim != 1 or y.shape != s.shape or not len(s) or np.isnan(s).any():
        raise ValueError(
            "expected labels and scores of the same length (n,), n at least 1, without NaN; found "
            f"{y.shape} and {s.shape}"
        )
    if not np.isin(y, [0, 1]).all():
        raise ValueError(f"labels expect 0 and 1, found {np.unique(y)[:5].tolist()}")
    return y.astype(bool), s


def _checked_table(labels, probabilities):
    y, p = np.asarray(labels), np.asarray(probabilities, dtype="float64")
    if p.ndim != 2 or y.shape != (len(p),) or not len(p) or not (p >= 0).all():
        raise ValueError(
            "expected labels (n,) and probabilities (n, classes), not negative; found "
            f"{y.shape} and {p.shape}"
        )
    if y.min() < 0 or y.max() >= p.shape[1]:
        raise ValueError(f"labels expect 0 to {p.shape[1] - 1}, found {y.min()} to {y.max()}")
    return y, p
