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
    u, identity = a + b, np.eye(len(a))
    if _is_zero(u):  # half a turn in the plane of a and e
        if len(a) == 1:
            raise ValueError("in one dimension no rotation carries a vector to its opposite")
        e = _orthogonal_to(a)
        return identity - 2 * np.outer(a, a) - 2 * np.outer(e, e)
    return identity + 2 * np.outer(b, a) - 2 * np.outer(u, u) / (u @ u)


def _householder(a, b):
    v, identity = a - b, np.eye(len(a))
    if _is_zero(v):  # a stays; any mirror through a will do
        if len(a) == 1:
            raise ValueError("in one dimension no mirror leaves a vector where it is")
        v = _orthogonal_to(a)
    return identity - 2 * np.outer(v, v) / (v @ v)


def _reflection(a, b):
    u, identity = a + b, np.eye(len(a))
    if _is_zero(u):
        if len(a) == 1:
            return -identity
        u = _orthogonal_to(a)
    return 2 * np.outer(u, u) / (u @ u) - identity


def _unit(x, name):
    x = np.asarray(x, dtype="float64")
    length = np.linalg.norm(x)
    if x.ndim != 1 or not length > 0 or not np.isfinite(length):
        raise ValueError(f"{name} expects a finite vector that is not zero, found {x!r}")
    return x / length


def _is_zero(x):
    return np.linalg.norm(x) < 1e-12


def _orthogonal_to(a):
    """A unit vector orthogonal to the unit vector a."""
    e = np.zeros(len(a))
    e[np.argmin(np.abs(a))] = 1
    e = e - (e @ a) * a
    return e / np.linalg.norm(e)
