"""Orthogonal matrices: they carry a to b, keep lengths, have the right determinant."""

import numpy as np
import pytest

from bert4keras_ext.numerics import orthogonal_matrix

METHODS = ["rotation", "householder", "reflection"]


def pairs():
    rng = np.random.default_rng(0)
    for n in (2, 3, 7, 50):
        a, b = rng.normal(size=n), rng.normal(size=n)
        yield from ((a, b), (a, 2 * a), (a, -a), (a, -a * (1 + 1e-14)), (a, a + 1e-7 * b))


@pytest.mark.parametrize("method", METHODS)
def test_properties(method):
    for a, b in pairs():
        t, n = orthogonal_matrix(a, b, method), len(a)
        np.testing.assert_allclose(t @ t.T, np.eye(n), atol=1e-14)
        np.testing.assert_allclose(t @ a / np.linalg.norm(a), b / np.linalg.norm(b), atol=1e-14)
        wanted = {"rotation": 1, "householder": -1, "reflection": (-1) ** (n - 1)}[method]
        assert abs(np.linalg.det(t) - wanted) < 1e-12
        if method != "rotation":
            np.testing.assert_allclose(t, t.T, atol=1e-14)
            np.testing.assert_allclose(t @ b / np.linalg.norm(b), a / np.linalg.norm(a), atol=1e-14)


@pytest.mark.parametrize("method, sign", [("rotation", 1), ("householder", 1), ("reflection", -1)])
def test_what_is_orthogonal_to_both_stays_or_is_turned(method, sign):
    t = orthogonal_matrix([1, 0, 0, 0], [0.6, 0.8, 0, 0], method)
    np.testing.assert_allclose(t[2:, 2:], sign * np.eye(2), atol=1e-12)


def test_one_dimension():
    assert orthogonal_matrix([2.0], [5.0]).tolist() == [[1.0]]
    assert orthogonal_matrix([2.0], [-5.0], "householder").tolist() == [[-1.0]]
    assert orthogonal_matrix([2.0], [-5.0], "reflection").tolist() == [[-1.0]]
    with pytest.raises(ValueError, match="no rotation"):
        orthogonal_matrix([2.0], [-5.0])
    with pytest.raises(ValueError, match="no mirror"):
        orthogonal_matrix([2.0], [5.0], "householder")


@pytest.mark.parametrize(
    "a, b, method, message",
    [
        ([0, 0], [1, 0], "rotation", "a expects a finite vector that is not zero"),
        ([1, 0], [np.nan, 0], "rotation", "b expects a finite vector"),
        ([1, 0], [1, 0, 0], "rotation", "same length, found 2 and 3"),
        ([1, 0], [0, 1], "shear", "householder.*received 'shear'"),
    ],
)
def test_bad_input(a, b, method, message):
    with pytest.raises(ValueError, match=message):
        orthogonal_matrix(a, b, method)


@pytest.mark.parametrize("method", ["rotation", "householder", "reflection"])
@pytest.mark.parametrize("distance", [1e-6, 1e-9, 1e-11, 1e-13, 1e-15, 1e-16])
@pytest.mark.parametrize("sign", [1, -1])
def test_exact_near_the_singular_directions(method, distance, sign):
    """b is nearly a or nearly -a: float64 eps times a few, however near."""
    rng = np.random.default_rng(9)
    a = rng.normal(size=7)
    a /= np.linalg.norm(a)
    b = sign * a + distance * rng.normal(size=7)
    b /= np.linalg.norm(b)
    t = orthogonal_matrix(a, b, method)
    np.testing.assert_allclose(t @ a, b, atol=2e-15)
    np.testing.assert_allclose(t.T @ t, np.eye(7), atol=2e-15)
    assert np.linalg.det(t) * {"rotation": 1, "householder": -1, "reflection": 1}[method] > 0
