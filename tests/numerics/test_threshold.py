"""Thresholds against trying every one, and against the article's Powell search."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bert4keras_ext.numerics import optimal_class_weights, optimal_threshold


def best_accuracy(labels, scores):
    """Every threshold that can matter, one after another."""
    labels, scores = np.asarray(labels, bool), np.asarray(scores)
    places = np.unique(scores)
    tried = [-np.inf, *((places[1:] + places[:-1]) / 2), np.inf]
    return max(np.mean((scores > t) == labels) for t in tried)


ROWS = st.lists(st.tuples(st.booleans(), st.integers(-5, 5)), min_size=1, max_size=12)


@given(ROWS)
@settings(max_examples=60, deadline=None)
def test_no_threshold_is_better(rows):
    labels, scores = [y for y, _ in rows], [s / 2 for _, s in rows]
    threshold, accuracy = optimal_threshold(labels, scores)
    assert abs(accuracy - best_accuracy(labels, scores)) < 1e-12
    assert abs(np.mean((np.array(scores) > threshold) == labels) - accuracy) < 1e-12


def test_the_widest_gap_is_taken():
    assert optimal_threshold([0, 1, 0, 1], [0.0, 0.1, 0.4, 0.9])[0] in (0.05, 0.65)
    assert optimal_threshold([0, 1], [0.2, 0.8]) == (0.5, 1.0)


def test_at_least_as_good_as_the_articles_search():
    optimize = pytest.importorskip("scipy.optimize")
    rng = np.random.default_rng(0)
    scores = rng.uniform(-1, 1, 200)
    labels = (scores + rng.normal(size=200) / 2 > 0.3).astype(int)

    def error(t):
        return -np.mean((scores > np.tanh(t)) == labels)

    powell = -optimize.minimize(error, 1.0, method="Powell", tol=1e-10).fun
    assert optimal_threshold(labels, scores)[1] >= powell
    table = rng.dirichlet(np.ones(4), 300)
    classes = np.array([rng.choice(4, p=p**2 / (p**2).sum()) for p in table])
    classes[rng.random(300) < 0.3] = 2

    def class_error(t):
        return -np.mean((table * (np.tanh(t) + 1) / 2).argmax(1) == classes)

    found = optimize.minimize(class_error, np.ones(4), method="Powell",
                              options={"xtol": 1e-10, "ftol": 1e-10})  # fmt: skip
    weights, accuracy = optimal_class_weights(classes, table)
    assert accuracy >= -found.fun - 0.01
    assert accuracy >= np.mean(table.argmax(1) == classes)
    assert abs(np.mean((table * weights).argmax(1) == classes) - accuracy) < 1e-12


def test_two_classes_equal_the_binary_scan():
    rng = np.random.default_rng(1)
    p = rng.dirichlet(np.ones(2), 100)
    labels = (p[:, 1] + rng.normal(size=100) / 4 > 0.7).astype(int)
    _, wanted = optimal_threshold(labels, p[:, 1] / p[:, 0])
    assert abs(optimal_class_weights(labels, p)[1] - wanted) < 1e-12


@pytest.mark.parametrize(
    "labels, scores, message",
    [
        ([0, 1], [0.5], r"found \(2,\) and \(1,\)"),
        ([], [], "at least 1"),
        ([0, 2], [0.1, 0.2], "expect 0 and 1, found"),
        ([0, 1], [0.1, np.nan], "without NaN"),
    ],
)
def test_bad_input(labels, scores, message):
    with pytest.raises(ValueError, match=message):
        optimal_threshold(labels, scores)


def test_neighbouring_floats_are_told_apart():
    """The middle of two neighbours is rounded to one of them: it must be the lower one."""
    for low in np.random.default_rng(8).random(50):
        high = np.nextafter(low, 9)
        threshold, accuracy = optimal_threshold([0, 1], [low, high])
        assert accuracy == 1 and not low > threshold and high > threshold


@pytest.mark.parametrize(
    "low, high", [(-np.inf, 0.3), (0.3, np.inf), (-np.inf, np.inf), (-np.inf, 1e300),
                  (-np.inf, -1e308), (1e300, np.inf), (-1.7e308, 1.7e308)],
)  # fmt: skip
def test_infinite_and_huge_scores(low, high):
    threshold, accuracy = optimal_threshold([0, 0, 1, 1], [low, low, high, high])
    assert accuracy == 1 and not low > threshold and high > threshold
