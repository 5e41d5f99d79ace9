"""Orthogonal matrices that carry one direction over into another."""

import numpy as np

METHODS = ("rotation", "householder", "reflection")


def orthogonal_matrix(a, b, method="rotation"):
    """An orthogonal T with ``T a / |a| = b / |b|`` that leaves what is orthogonal to both alone
    (or, for "reflection", turns it round).

    With a and b of length 1 and c = a'b:

    ============  ==============================================  ============================
    rotation      ``I + 2 b a' - (a + b)(a + b)' / (1 + c)``      determinant 1
    householder   ``I - (a - b)(a - b)' / (1 - c)``               symmetric, determinant -1
    reflection    ``(a + b)(a + b)' / (1 + c) - I``               symmetric, (-1)^(n - 1)
    ============  ==============================================  ============================

    The symmetric ones carry b to a as well. Where a denominator vanishes (b = -a, or b = a for
    "householder") a limit is taken: the rotation turns half round in the plane of a and any
    vector e orthogonal to it, the reflection mirrors at e, and the Householder matrix mirrors e.

    Args:
        a, b: vectors of the same length, not zero.
        method: a row of the table.

    Returns:
        A float64 array (n, n).

    Raises:
        ValueError: for an unknown method, other shapes, a zero vector, or opposite vectors of one
            dimension, which no rotation connects.

    Example:

    >>> orthogonal_matrix([1.0, 0.0], [0.0, 1.0]).round(6).tolist()
    [[0.0, -1.0], [1.0, 0.0]]

    Source: article 8453.
    """
    if method not in METHODS:
        raise ValueError(f"method expects one of {METHODS}, received {method!r}")
    a, b = _unit(a, "a"), _unit(b, "b")
    if a.shape != b.shape:
        raise ValueError(f"a and b expect the same length, found {len(a)} and {len(b)}")
    return {"rotation": _rotation, "householder": _householder, "reflection": _reflection}[method](
        a, b
    )


def _rotation(a, b):
    cosine, sine, e = _angle(a, b)
    if e is None:
        if cosine < 0:
            raise ValueError("in one dimension no rotation carries a vector to its opposite")
        return np.eye(1)
    plane = np.outer(a, a) + np.outer(e, e)
    turn = np.outer(e, a) - np.outer(a, e)
    return np.eye(len(a)) + (cosine - 1) * plane + sine * turn


def _householder(a, b):
    cosine, sine, e = _angle(a, b)
    if e is None:
        if cosine > 0:
            raise ValueError("in one dimension no mirror leaves a vector where it is")
        return -np.eye(1)
    half = np.arctan2(sine, cosine) / 2
    v = np.sin(half) * a - np.cos(half) * e  # the direction of a - b
    return np.eye(len(a)) - 2 * np.outer(v, v)


def _reflection(a, b):
    cosine, sine, e = _angle(a, b)
    if e is None:
        return np.eye(1) * np.sign(cosine)
    half = np.arctan2(sine, cosine) / 2
    u = np.cos(half) * a + np.sin(half) * e  # the direction of a + b
    return 2 * np.outer(u, u) - np.eye(len(a))


def _angle(a, b):
    """``b = cosine * a + sine * e`` with e a unit vector orthogonal to a (None in one dimension).

    What is made of e is exact however near to a line a and b are, while a - b and a + b lose
    their digits there.
    """
    cosine = a @ b
    if len(a) == 1:
        return cosine, 0.0, None
    rest = b - cosine * a
    sine = np.linalg.norm(rest)
    e = rest / sine if sine > 0 else _orthogonal_to(a)
    e = e - (e @ a) * a  # twice: a short rest is not quite orthogonal
    size = np.linalg.norm(e)
    e = e / size if size > 0.5 else _orthogonal_to(a)
    return cosine, sine, e


def _unit(x, name):
    x = np.asarray(x, dtype="float64")
    length = np.linalg.norm(x)
    if x.ndim != 1 or not length > 0 or not np.isfinite(length):
        raise ValueError(f"{name} expects a finite vector that is not zero, found {x!r}")
    return x / length


def _orthogonal_to(a):
    """A unit vector orthogonal to the unit vector a."""
    e = np.zeros(len(a))
    e[np.argmin(np.abs(a))] = 1
    e = e - (e @ a) * a
    return e / np.linalg.norm(e)
