"""Unargmaxable classes: the article's example, convex hulls, witnesses that hold."""

import numpy as np
import pytest

from bert4keras_ext.numerics import find_unargmaxable

pytest.importorskip("scipy")
EXAMPLE = np.array([[1, 2], [2, 1], [1, 0], [0, 1], [1, 1]], "float64")


def test_the_articles_example():
    result = find_unargmaxable(EXAMPLE, progress=False)
    assert result.unargmaxable == [4] and sorted(result.witnesses) == [0, 1, 2, 3]


@pytest.mark.parametrize("dim", [2, 3, 4])
def test_without_bias_they_are_the_rows_inside_the_convex_hull(dim):
    from scipy.spatial import ConvexHull

    w = np.random.default_rng(dim).normal(size=(30, dim))
    inside = sorted(set(range(30)) - set(ConvexHull(w).vertices))
    result = find_unargmaxable(w, progress=False)
    assert result.unargmaxable == inside
    for k, z in result.witnesses.items():
        assert (w @ z).argmax() == k


def test_a_bias_may_help_or_hinder():
    assert find_unargmaxable(EXAMPLE, [0, 0, 0, 0, 1], progress=False).unargmaxable == []
    far = dict(bias=[0, 0, 0, -500], progress=False)
    assert find_unargmaxable(EXAMPLE[:4], **far).unargmaxable == []
    # It wins only beyond the programme's bound of 100 for the inputs.
    assert find_unargmaxable(EXAMPLE[:4], **far, patience=0).unargmaxable == [3]


def test_rows_of_equal_length_are_all_found_without_a_programme():
    w = np.random.default_rng(0).normal(size=(200, 16))
    w /= np.linalg.norm(w, axis=1, keepdims=True)
    result = find_unargmaxable(w, exact=False, progress=False)
    assert not result.unknown


def test_equal_rows_exclude_each_other():
    w = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    assert find_unargmaxable(w, progress=False).unargmaxable == [0, 1]
    assert find_unargmaxable(w, [1.0, 0.0, 0.0], progress=False).unargmaxable == [1]


def test_only_some_classes_and_only_the_search():
    result = find_unargmaxable(EXAMPLE, classes=[0, 4], exact=False, progress=False)
    assert result.unknown == [4] and list(result.witnesses) == [0]


@pytest.mark.parametrize("progress", [True, False])
def test_the_bar_counts_the_classes(progress, capsys):
    find_unargmaxable(EXAMPLE, progress=progress)
    shown = capsys.readouterr().err
    assert ("searching witnesses: 100%" in shown and "5/5" in shown) == progress
    assert ("linear programmes: 100%" in shown and "1/1" in shown) == progress


@pytest.mark.parametrize(
    "weights, bias, message",
    [
        (np.zeros(3), None, "two rows at least"),
        (np.full((2, 2), np.inf), None, "finite table"),
        (np.eye(2), [1.0], r"bias expects the shape \(2,\)"),
    ],
)
def test_bad_input(weights, bias, message):
    with pytest.raises(ValueError, match=message):
        find_unargmaxable(weights, bias, progress=False)
