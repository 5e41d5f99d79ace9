"""Classes that a linear output layer can never predict, whatever its input."""

from dataclasses import dataclass, field

import numpy as np
from tqdm import tqdm

# A class that wins by less than this is taken not to win: linear programmes are no more exact.
SMALLEST_MARGIN = 1e-8


@dataclass
class Argmaxability:
    """What ``find_unargmaxable`` found.

    Attributes:
        unargmaxable: classes that no input makes the largest (proved by a linear programme).
        unknown: classes for which neither a witness nor a proof was found (exact=False only).
        witnesses: {class: input} for which that class is the largest.
    """

    unargmaxable: list = field(default_factory=list)
    unknown: list = field(default_factory=list)
    witnesses: dict = field(default_factory=dict)


def find_unargmaxable(
    weights, bias=None, classes=None, patience=2000, exact=True, bound=100.0, progress=True
):
    """Finds the classes k for which no z gives ``w_k z + b_k > w_i z + b_i`` for all others.

    First a search for a witness z: start at ``w_k`` (less the mean row), and as long as another
    class j is the largest, reflect z at the plane where k and j are equal. A hit is a proof, a
    miss is not; what is left goes to an exact linear programme: the largest ball of inputs within
    ``|z_i| <= bound`` for which k wins. Classes of equal length without bias are all found at
    once, since each is the largest at its own row.

    Args:
        weights: (classes, dim), one row a class: a Dense kernel transposed, or a tied word table.
        bias: (classes,) or None.
        classes: those to look at; None is all.
        patience: reflections per class.
        exact: settle what is left by linear programmes (needs SciPy, the ``eval`` extra).
        bound: of the inputs' entries in the linear programme.
        progress: show a progress bar.

    Returns:
        An ``Argmaxability``.

    Raises:
        ValueError: for other shapes, or weights that are not finite.
        ImportError: when a linear programme is needed and SciPy is not installed.

    Example:

    >>> w = np.array([[1, 2], [2, 1], [1, 0], [0, 1], [1, 1]])
    >>> find_unargmaxable(w, progress=False).unargmaxable
    [4]

    Source: arXiv 2203.06462; article 9046.
    """
    w, b = _checked(weights, bias)
    wanted = list(range(len(w))) if classes is None else list(classes)
    result = Argmaxability()
    left = []
    center = w.mean(axis=0)
    for k in tqdm(wanted, desc="searching witnesses", disable=not progress):
        z = _witness(w, b, k, w[k] - center, patience)
        if z is None:
            left.append(k)
        else:
            result.witnesses[k] = z
    if not exact:
        result.unknown = left
        return result
    for k in tqdm(left, desc="linear programmes", disable=not (progress and left)):
        z = _programme(w, b, k, bound)
        if z is None:
            result.unargmaxable.append(k)
        else:
            result.witnesses[k] = z
    return result


def _witness(w, b, k, z, patience):
    """An input for which k is strictly the largest, or None."""
    for _ in range(patience):
        scores = w @ z + b
        own = scores[k]
        scores[k] = -np.inf
        j = int(scores.argmax())
        if own - scores[j] > 1e-12 * (1 + abs(own)):  # more than rounding
            return z
        normal = w[k] - w[j]
        length = normal @ normal
        if length == 0:
            return None  # the same row as j: only the bias tells them apart
        # Reflected, and a little beyond: ties would be met again and again otherwise.
        z = z - (2 * (own - scores[j]) - 1e-9 * (1 + abs(own))) / length * normal
    return None


def _programme(w, b, k, bound):
    """The centre of the largest ball where k wins within the bound, or None if there is none."""
    try:
        from scipy.optimize import linprog
    except ImportError as error:
        raise ImportError(
            "the exact test needs SciPy: pip install 'bert4keras_ext[eval]', or pass exact=False"
        ) from error
    others = np.delete(np.arange(len(w)), k)
    normals = w[others] - w[k]
    lengths = np.linalg.norm(normals, axis=1)
    same = lengths == 0
    if np.any(b[k] - b[others][same] <= 0):
        return None
    table = np.column_stack([normals[~same], lengths[~same]])
    found = linprog(
        np.append(np.zeros(w.shape[1]), -1.0),
        A_ub=table,
        b_ub=(b[k] - b[others])[~same],
        bounds=[(-bound, bound)] * w.shape[1] + [(0, None)],
        method="highs",
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    if found.status == 0:
        # The solver's own tolerance lets a ball of radius 1e-10 pass where there is none.
        z = found.x[:-1]
        scores = w @ z + b
        wins = scores[k] - scores[others].max() > SMALLEST_MARGIN * (1 + abs(scores[k]))
        return z if wins and found.x[-1] > SMALLEST_MARGIN else None
    if found.status == 2:  # infeasible
        return None
    raise RuntimeError(
        f"the linear programme of class {k} ended without an answer: {found.message}"
    )


def _checked(weights, bias):
    w = np.asarray(weights, dtype="float64")
    if w.ndim != 2 or len(w) < 2 or not np.isfinite(w).all():
        raise ValueError(
            f"weights expect a finite table (classes, dim) with two rows at least, found {w.shape}"
        )
    b = np.zeros(len(w)) if bias is None else np.asarray(bias, dtype="float64")
    if b.shape != (len(w),):
        raise ValueError(f"bias expects the shape {(len(w),)}, found {b.shape}")
    return w, b
