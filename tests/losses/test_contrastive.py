"""Contrastive losses against float64 loops, their gradient identity, and every form."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from keras import ops

from bert4keras_ext.losses.contrastive import (
    ContrastiveLoss,
    contrastive_crossentropy,
    l2_normalize,
    log_gap,
)
from tests.losses.common import check_serialization, slopes, with_gradient


def info_nce_loop(scores, targets):
    """Row by row, one exponential at a time, relative to the largest."""
    values = []
    for row, t in zip(np.asarray(scores, "float64"), targets):
        gaps = [s - row[t] for i, s in enumerate(row) if i != t and not np.isneginf(s)]
        top = max([0.0, *gaps])
        values.append(top + np.log(np.exp(-top) + sum(np.exp(g - top) for g in gaps)))
    return np.array(values)


def random_scores(seed, size=(12, 6)):
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=size) * rng.choice([1, 30, 1e4], size=(size[0], 1))
    targets = rng.integers(0, size[1], size[0])
    masked = rng.random(size) < 0.15
    masked[np.arange(size[0]), targets] = False
    return np.where(masked, -np.inf, scores).astype("float32"), targets


@pytest.mark.parametrize("seed", [0, 1])
def test_info_nce_equals_a_float64_loop(seed):
    scores, targets = random_scores(seed)
    value, gradient = with_gradient(lambda s: contrastive_crossentropy(targets, s), scores)
    np.testing.assert_allclose(value, info_nce_loop(scores, targets), rtol=1e-6, atol=1e-6)
    assert np.all(np.isfinite(gradient)) and np.all(gradient[np.isneginf(scores)] == 0)
    small = scores[np.abs(np.where(np.isinf(scores), 0, scores)).max(1) < 100]
    own = targets[np.abs(np.where(np.isinf(scores), 0, scores)).max(1) < 100]
    _, found = with_gradient(lambda s: contrastive_crossentropy(own, s), small)
    wanted = slopes(lambda s: info_nce_loop(s, own), np.where(np.isinf(small), -1e4, small))
    np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_the_gradients_of_both_methods_have_one_direction(dtype):
    """grad InfoNCE = xi / (1 + xi) * grad FlatNCE, and the value of FlatNCE is 1."""
    scores = np.random.default_rng(2).normal(size=(8, 5)) * 4
    scores = ops.cast(scores, dtype)
    targets = np.arange(8) % 5
    _, nce = with_gradient(lambda s: contrastive_crossentropy(targets, s), scores)
    value, flat = with_gradient(
        lambda s: contrastive_crossentropy(targets, s, method="flatnce"), scores
    )
    np.testing.assert_array_equal(value, np.ones(8))
    xi = np.exp(np.asarray(log_gap(targets, scores), "float64"))[:, None]
    # The gradient is cast to the dtype of the scores: its eps bounds the difference.
    eps = {"float16": 2.0**-10, "bfloat16": 2.0**-7, "float32": 2.0**-20}[dtype]
    np.testing.assert_allclose(nce, xi / (1 + xi) * flat, atol=2 * eps, rtol=2 * eps)


def test_flat_nce_learns_on_where_info_nce_has_nothing_left():
    scores = np.array([[60.0, 0.0, 0.0]], "float32")
    _, nce = with_gradient(lambda s: contrastive_crossentropy([0], s), scores)
    _, flat = with_gradient(lambda s: contrastive_crossentropy([0], s, "flatnce"), scores)
    assert np.abs(nce).max() < 1e-20
    np.testing.assert_allclose(flat, [[-1.0, 0.5, 0.5]], atol=1e-6)


def simcse_loop(vectors, scale):
    x = np.asarray(vectors, "float64")
    x = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-6)
    losses = []
    for i in range(len(x)):
        scores = {j: scale * x[i] @ x[j] for j in range(len(x)) if j != i}
        partner = i + 1 if i % 2 == 0 else i - 1
        losses.append(np.log(sum(np.exp(s - scores[partner]) for s in scores.values())))
    return np.array(losses)


def test_simcse_compares_every_row_with_all_others():
    vectors = np.random.default_rng(3).normal(size=(6, 4)).astype("float32")
    loss = ContrastiveLoss(scale=5.0, reduction=None)
    value, gradient = with_gradient(lambda x: loss(np.zeros((6, 1)), x), vectors)
    np.testing.assert_allclose(value, simcse_loop(vectors, 5.0), rtol=1e-5)
    np.testing.assert_allclose(gradient, slopes(lambda x: simcse_loop(x, 5.0), vectors), atol=1e-5)


@pytest.mark.parametrize("negatives", [0, 1, 2])
@pytest.mark.parametrize("symmetric", [False, True])
def test_pairs_with_hard_negatives(negatives, symmetric):
    rng = np.random.default_rng(4)
    x = rng.normal(size=(3, 2 + negatives, 4)).astype("float32")
    unit = x / np.linalg.norm(x, axis=-1, keepdims=True)
    q, k, hard = unit[:, 0], unit[:, 1], unit[:, 2:].reshape(-1, 4)

    def one_way(q, keys):
        return info_nce_loop(20 * q @ keys.T, range(3))

    wanted = one_way(q, np.concatenate([k, hard]))
    if symmetric:
        wanted = (wanted + one_way(k, q)) / 2
    loss = ContrastiveLoss(form="pairs", symmetric=symmetric, reduction=None)
    np.testing.assert_allclose(loss(np.zeros(3), x), wanted, rtol=1e-4, atol=1e-5)


def test_temperature_is_the_inverse_of_scale():
    vectors = np.random.default_rng(5).normal(size=(4, 3)).astype("float32")
    a = ContrastiveLoss(temperature=0.05)(np.zeros(4), vectors)
    np.testing.assert_allclose(a, ContrastiveLoss(scale=20.0)(np.zeros(4), vectors), rtol=1e-6)


@given(arrays("float32", (6, 3), elements=st.floats(-3, 3, width=32)), st.permutations(range(3)))
@settings(max_examples=25, deadline=None)
def test_the_order_of_pairs_does_not_matter(vectors, order):
    rows = np.array([r for p in order for r in (2 * p, 2 * p + 1)])
    loss = ContrastiveLoss()
    a, b = loss(np.zeros(6), vectors), loss(np.zeros(6), vectors[rows])
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_rows_of_zeros_and_a_batch_of_one_are_finite():
    zeros = np.zeros((2, 3), "float32")
    value, gradient = with_gradient(lambda x: ContrastiveLoss()(np.zeros(2), x), zeros)
    assert np.isfinite(value) and np.all(np.isfinite(gradient))
    _, gradient = with_gradient(lambda x: ops.sum(l2_normalize(x)), zeros)
    assert np.all(np.isfinite(gradient))
    one = ContrastiveLoss(form="pairs")(np.zeros(1), np.ones((1, 2, 3), "float32"))
    assert float(one) == 0.0


def test_as_a_keras_loss():
    loss = check_serialization(ContrastiveLoss(temperature=0.1, method="flatnce"))
    model = keras.Sequential([keras.layers.Dense(4)])
    for jit in (False, True):
        model.compile("sgd", loss, jit_compile=jit)
        history = model.fit(np.eye(6), np.zeros(6), batch_size=6, verbose=0)
        assert np.isfinite(history.history["loss"][0])


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"method": "nce"}, "infonce.*received 'nce'"),
        ({"form": "triplet"}, "simcse.*'triplet'"),
        ({"scale": 2.0, "temperature": 0.5}, "not both"),
        ({"scale": -1.0}, "positive number, received -1"),
        ({"temperature": 0.0}, "temperature expects a positive number, received 0.0"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        ContrastiveLoss(**arguments)


@pytest.mark.parametrize(
    "form, shape, message",
    [
        ("simcse", (3, 4), "expected an even number of rows, found 3"),
        ("simcse", (2, 2, 4), r'"simcse" expects vectors of 2 dimensions.*\(2, 2, 4\)'),
        ("pairs", (4, 4), r'"pairs" expects vectors of 3 dimensions.*\(4, 4\)'),
    ],
)
def test_vectors_of_another_shape_are_refused(form, shape, message):
    with pytest.raises(ValueError, match=message):
        ContrastiveLoss(form=form)(np.zeros(shape[0]), np.ones(shape, "float32"))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_a_row_of_zeros_has_gradient_zero_in_every_precision(dtype):
    """What a text of nothing but padding gives: float16 has no number for a slope of 1e6."""
    x = ops.cast(np.array([[0.0, 0.0], [3.0, 4.0]]), dtype)
    value, gradient = with_gradient(lambda x: l2_normalize(x) * np.float32([1.0, 2.0]), x)
    np.testing.assert_allclose(value, [[0, 0], [0.6, 1.6]], rtol=1e-6)
    assert np.all(np.isfinite(gradient)) and not gradient[0].any() and gradient[1].any()
