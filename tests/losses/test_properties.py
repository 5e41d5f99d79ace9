"""What holds for all inputs: article 9070's logsumexp inequalities, symmetries, equal forms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from keras import ops

from bert4keras_ext import losses
from bert4keras_ext.backend.exponentials import log1p_sum_exp, log_sum_exp
from bert4keras_ext.layers.memm import _crossentropy

CLASSES = 6
ROWS = arrays("float32", (CLASSES,), elements=st.floats(-1e4, 1e4, width=32))
SMALL = arrays("float32", (CLASSES,), elements=st.floats(-30, 30, width=32))
SHARES = arrays("float64", (CLASSES,), elements=st.floats(0.01, 1)).map(lambda w: w / w.sum())
KINDS = pytest.mark.parametrize("one", [False, True])
quick = settings(max_examples=40, deadline=None)


def both(x, one):
    """(terms, log of their summed exponentials): with ``one`` log1p_sum_exp, whose term is 0."""
    exact = np.append(x, 0.0) if one else x
    value = (log1p_sum_exp if one else log_sum_exp)(x)
    return exact.astype("float64"), float(value), 4e-7 * (1 + np.abs(exact).max())


@KINDS
@given(ROWS)
@quick
def test_between_the_maximum_and_the_maximum_plus_log_n(one, x):
    terms, value, near = both(x, one)
    assert terms.max() - near <= value <= terms.max() + np.log(len(terms)) + near
    assert value >= terms.mean() + np.log(len(terms)) - near


@given(ROWS, st.floats(0.01, 10))
@quick
def test_a_low_temperature_is_nearer_to_the_maximum(x, tau):
    near = 4e-7 * (1 + np.abs(x).max() + tau)
    value = tau * float(log_sum_exp(x / np.float32(tau)))
    assert x.max() - near <= value <= x.max() + tau * np.log(CLASSES) + near


@KINDS
@given(ROWS, st.data())
@quick
def test_above_every_average_less_its_entropy(one, x, data):
    """``lse >= <p, x> - sum p log p``, and with any order t > 1 of the entropy."""
    terms, value, near = both(x, one)
    p = data.draw(SHARES)
    p = np.append(p[:-1], [p[-1] / 2] * 2) if one else p
    assert value >= p @ terms - np.sum(p * np.log(p)) - near
    for t in (1.5, 2.0, 4.0):
        assert value >= p @ terms - np.log(np.sum(p**t)) / (t - 1) - near


@KINDS
@given(ROWS, ROWS)
@quick
def test_no_further_apart_than_their_entries(one, x, y):
    (_, a, near), (_, b, also) = both(x, one), both(y, one)
    assert abs(a - b) <= np.abs(x.astype("float64") - y).max() + near + also


@KINDS
@given(ROWS, ROWS, st.floats(0, 1))
@quick
def test_convex(one, x, y, share):
    between = (share * x.astype("float64") + (1 - share) * y).astype("float32")
    (_, a, near), (_, b, also), (_, c, _) = both(x, one), both(y, one), both(between, one)
    assert c <= share * a + (1 - share) * b + 2 * (near + also)


@KINDS
@given(SMALL, st.sampled_from(["float16", "bfloat16"]))
@quick
def test_absent_entries_and_half_precision(one, x, dtype):
    function = log1p_sum_exp if one else log_sum_exp
    wider = np.append(x, -np.inf).astype("float32")
    np.testing.assert_allclose(function(wider), function(x), rtol=1e-6, atol=1e-6)
    half = ops.cast(x, dtype)
    np.testing.assert_array_equal(function(half), function(ops.cast(half, "float32")))


@given(ROWS, st.integers(0, CLASSES - 1))
@quick
def test_cross_entropies_obey_them(x, label):
    """Never below 0, and with the label's score the largest at most log n."""
    for value in (
        losses.token_crossentropy(np.int32(label)[None], x[None])[0],
        _crossentropy(np.int32([label]), x[None])[0],
        losses.contrastive_crossentropy(np.int32([label]), x[None])[0],
        losses.multi_task_crossentropy(np.int32([label]), x[None], (CLASSES,))[0],
    ):
        near = 4e-7 * (1 + np.abs(x).max())
        gap = float(x.max()) - float(x[label])
        assert max(gap, 0) - near <= float(value) <= gap + np.log(CLASSES) + near


@pytest.mark.parametrize("size", [0.0, 1.0, 1e4, -1e4])
def test_equal_scores_cost_log_n_however_large(size):
    x = np.full((1, CLASSES), size, "float32")
    for value in (
        losses.token_crossentropy([2], x),
        _crossentropy(np.int32([2]), x),
        losses.contrastive_crossentropy([2], x),
        losses.multi_task_crossentropy(np.int32([2]), x, (CLASSES,)),
        losses.sparse_am_softmax([2], x, scale=1.0, margin=0.0),
        losses.am_softmax(np.eye(CLASSES)[[2]], x, scale=1.0, margin=0.0),
    ):
        np.testing.assert_allclose(value, [np.log(CLASSES)], rtol=1e-6)


@given(arrays("bool", (CLASSES,)), ROWS)
@quick
def test_soft_labels_of_0_and_1_are_hard_ones(labels, x):
    """The formula of hard labels, with sums over the classes themselves."""
    exact = x.astype("float64")
    wanted = np.logaddexp.reduce([0, *exact[~labels]]) + np.logaddexp.reduce([0, *-exact[labels]])
    for dtype in ("bool", "int32", "float32"):
        found = losses.multilabel_categorical_crossentropy(labels.astype(dtype), x)
        np.testing.assert_allclose(found, wanted, rtol=2e-6, atol=1e-6)


@given(st.sets(st.integers(1, CLASSES - 1)), ROWS, st.integers(0, 2))
@quick
def test_sparse_labels_are_dense_ones(positive, x, filled):
    x = x.copy()
    x[0] = -np.inf  # class 0 is no class where 0 fills up
    labels = np.zeros(CLASSES, "float32")
    labels[list(positive)] = 1
    indices = np.array([*positive, *[0] * filled], "int32")
    dense = losses.multilabel_categorical_crossentropy(labels, x)
    sparse = losses.sparse_multilabel_categorical_crossentropy(indices, x, mask_zero=True)
    np.testing.assert_allclose(sparse, dense, rtol=1e-6, atol=1e-6)


@given(arrays("float32", (4, CLASSES), elements=st.floats(-1e3, 1e3, width=32)),
       st.permutations(range(CLASSES)))  # fmt: skip
@quick
def test_the_order_of_classes_does_not_matter(x, order):
    order = np.array(order)
    labels = np.array([0, 5, 2, 2])
    moved = np.argsort(order)[labels]
    for function in (
        losses.token_crossentropy,
        losses.contrastive_crossentropy,
        lambda y, s: losses.sparse_am_softmax(y, s, scale=1.0),
        lambda y, s: losses.r_drop(y[[0, 0, 2, 2]], s),
        lambda y, s: losses.sparse_multilabel_categorical_crossentropy(y[:, None], s),
    ):
        a, b = function(labels, x), function(moved, x[:, order])
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-3)


def test_flat_nce_is_1_where_the_positive_is_no_further_than_the_others():
    """No gap: xi is the number of others, the value 1, and the gradient theirs alike."""
    value = losses.contrastive_crossentropy([1, 0], np.full((2, 4), 7.0, "float32"), "flatnce")
    np.testing.assert_array_equal(value, [1, 1])
    gap = losses.log_gap([1, 0], np.full((2, 2), 7.0, "float32"))
    np.testing.assert_array_equal(gap, [0, 0])
