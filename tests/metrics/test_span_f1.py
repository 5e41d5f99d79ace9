"""Span F1 by brute force, and against scikit-learn over all possible spans."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bert4keras_ext.metrics import span_f1, span_f1_report

LABELS = ("人名", "地名")
SPANS = list(itertools.product(range(3), range(3), LABELS))
ROW = st.sets(st.sampled_from(SPANS), max_size=6)
ROWS = st.lists(st.tuples(ROW, ROW), min_size=1, max_size=4)


def vectors(rows, spans):
    """Of every possible span of every row: is it predicted, is it expected?"""
    return np.array([[span in found, span in wanted] for found, wanted in rows for span in spans])


@given(ROWS)
@settings(max_examples=60, deadline=None)
def test_against_scikit_learn(rows):
    sklearn = pytest.importorskip("sklearn.metrics")

    def check(scores, table):
        wanted = sklearn.precision_recall_fscore_support(
            table[:, 1], table[:, 0], average="binary", zero_division=0
        )
        if table.any():
            found = [scores[key] for key in ("precision", "recall", "f1")]
            np.testing.assert_allclose(found, wanted[:3], atol=1e-12)

    found, wanted = zip(*rows)
    report = span_f1_report(found, wanted)
    assert span_f1(found, wanted) == report["micro"]
    check(report["micro"], vectors(rows, SPANS))
    for label in report.keys() - {"micro", "macro"}:
        check(report[label], vectors(rows, [span for span in SPANS if span[2] == label]))
    labels = [report[label]["f1"] for label in report if label in LABELS]
    assert not labels or abs(report["macro"]["f1"] - np.mean(labels)) < 1e-12
    bare = [[{span[:2] for span in spans} for spans in row] for row in rows]
    check(span_f1(found, wanted, labels=False), vectors(bare, {span[:2] for span in SPANS}))


@given(ROWS)
@settings(max_examples=40, deadline=None)
def test_identity_and_symmetry(rows):
    found, wanted = zip(*rows)
    assert span_f1(found, found)["f1"] == 1
    there, back = span_f1(found, wanted), span_f1(wanted, found)
    if any(found) and any(wanted):
        assert (there["precision"], there["f1"]) == (back["recall"], back["f1"])
    assert span_f1(found, wanted, labels=False)["right"] >= 0


def test_forms_of_spans():
    forms = [("人名", 0, 2)], [("0", 0, 2)], np.array([[0, 2, 5]]), [[np.int64(0), 2]], {(0, 2)}
    for spans in forms:
        assert span_f1([spans], [list(spans)])["right"] == 1
        assert span_f1([spans], [[(0, 2)]], labels=False)["right"] == 1
    assert span_f1([[("人名", 0, 2)]], [[(0, 2, "人名")]])["f1"] == 1
    assert span_f1([[(0, 2), (0, 2)]], [[(0, 2)]])["predicted"] == 1


def test_nothing_to_find():
    assert span_f1([[]], [[]])["f1"] == 1 and span_f1_report([[]], [[]])["macro"]["f1"] == 1
    assert span_f1([[(0, 1)]], [[]])["precision"] == 0 == span_f1([[]], [[(0, 1)]])["recall"]


@pytest.mark.parametrize(
    "found, wanted, message",
    [
        ([[(0, 1)]], [], "found 1 and 0"),
        ([[(0, "x", "y")]], [[]], "predictions, row 0: expected spans .* found"),
        ([[]], [[(0.5, 1)]], r"references, row 0: expected spans .* found \(0.5, 1\)"),
        ([[]], ["ab"], "references, row 0: expected a collection of spans, found 'ab'"),
        ([[]], [[(0, 1, 2, 3)]], "row 0"),
        ([[3]], [[]], "row 0: .* found 3"),
    ],
)
def test_bad_rows(found, wanted, message):
    with pytest.raises(ValueError, match=message):
        span_f1(found, wanted)


def test_a_report_needs_labels():
    with pytest.raises(ValueError, match="row 0: expected a label in every span"):
        span_f1_report([[(0, 1)]], [[]])
