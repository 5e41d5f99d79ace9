"""CoSENT, distillation and multi-task softmax against float64 double loops."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from keras import ops

from bert4keras_ext.losses.cosent import (
    CoSENTLoss,
    MultiTaskCrossentropy,
    cosent,
    multi_task_crossentropy,
    pair_cosines,
    similarity_distillation,
)
from tests.losses.common import check_serialization, slopes, with_gradient


def cosent_loop(labels, scores, scale=20.0):
    scores = np.asarray(scores, "float64") * scale
    terms = [0.0]
    for a in range(len(labels)):
        for b in range(len(labels)):
            if labels[a] > labels[b]:
                terms.append(scores[b] - scores[a])
    top = max(terms)
    return top + np.log(sum(np.exp(t - top) for t in terms))


@pytest.mark.parametrize("labels", [[0, 1, 1, 0, 0], [2, 0, 1, 1, 2], [0.1, 4.9, 2.5, 2.5, 0.0]])
@pytest.mark.parametrize("size", [1, 50, 1e4])
def test_equals_a_float64_double_loop(labels, size):
    scores = (np.random.default_rng(0).normal(size=5) * size).astype("float32")
    value, gradient = with_gradient(lambda s: cosent(labels, s, 1.0), scores)
    np.testing.assert_allclose(value, cosent_loop(labels, scores, 1.0), rtol=1e-6, atol=1e-6)
    assert np.all(np.isfinite(gradient))
    if size == 1:
        wanted = slopes(lambda s: cosent_loop(labels, s, 1.0), scores)
        np.testing.assert_allclose(gradient, wanted, atol=1e-5)


def test_equal_labels_ties_and_a_batch_of_one_give_zero_or_finite():
    for labels, scores in (([1, 1], [0.3, 0.7]), ([1], [0.2])):
        value, gradient = with_gradient(lambda s, y=labels: cosent(y, s), np.float32(scores))
        assert float(value) == 0 and not gradient.any()
    assert abs(float(cosent([1, 0], [0.5, 0.5])) - np.log(2)) < 1e-6


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_computed_in_float32(dtype):
    scores = ops.cast(np.random.default_rng(1).normal(size=6), dtype)
    rounded = ops.convert_to_numpy(ops.cast(scores, "float32"))
    labels = [0, 1, 0, 1, 1, 0]
    value = cosent(labels, scores)
    np.testing.assert_allclose(value, cosent_loop(labels, rounded), rtol=1e-5)
    assert keras.backend.standardize_dtype(value.dtype) == "float32"


@given(arrays("float32", (6,), elements=st.floats(-1, 1, width=32)), st.permutations(range(6)))
@settings(max_examples=25, deadline=None)
def test_the_order_of_pairs_does_not_matter(scores, order):
    labels, order = np.array([0, 1, 2, 1, 0, 2]), np.array(order)
    a, b = cosent(labels, scores), cosent(labels[order], scores[order])
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def test_from_vectors_is_the_cosine_of_neighbours():
    vectors = np.random.default_rng(2).normal(size=(8, 3)).astype("float32")
    labels = np.repeat([1, 0, 1, 0], 2)[:, None]
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = (unit[0::2] * unit[1::2]).sum(1)
    np.testing.assert_allclose(pair_cosines(vectors), cosines, atol=1e-6)
    wanted = cosent_loop([1, 0, 1, 0], cosines)
    np.testing.assert_allclose(CoSENTLoss()(labels, vectors), wanted, rtol=1e-5)


def test_equals_sentence_transformers_formula():
    """logsumexp over [0, masked differences], as its CoSENTLoss writes it."""
    rng = np.random.default_rng(3)
    scores, labels = rng.uniform(-1, 1, 7), rng.integers(0, 3, 7)
    scaled = scores * 20
    differences = scaled[:, None] - scaled[None, :]
    mask = (labels[:, None] < labels[None, :]).astype("float64")
    flat = np.concatenate([[0.0], (differences - (1 - mask) * 1e12).ravel()])
    wanted = np.log(np.exp(flat - flat.max()).sum()) + flat.max()
    np.testing.assert_allclose(cosent(labels, scores), wanted, rtol=1e-6)


def test_distillation_is_zero_up_to_a_rotation():
    rng = np.random.default_rng(4)
    teacher = rng.normal(size=(5, 4))
    rotation = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    assert float(similarity_distillation(teacher, 3 * teacher @ rotation)) < 1e-10

    def loop(student):
        def cos(x, i, j):
            return x[i] @ x[j] / np.linalg.norm(x[i]) / np.linalg.norm(x[j])

        gaps = [(cos(teacher, i, j) - cos(student, i, j)) ** 2 for i in range(5) for j in range(5)]
        return 100 * np.mean(gaps)

    student = rng.normal(size=(5, 3)).astype("float32")
    value, gradient = with_gradient(lambda x: similarity_distillation(teacher, x), student)
    np.testing.assert_allclose(value, loop(student.astype("float64")), rtol=1e-5)
    np.testing.assert_allclose(gradient, slopes(loop, student), atol=1e-3, rtol=1e-4)


def test_columns_of_other_tasks_get_exactly_no_gradient():
    rng = np.random.default_rng(5)
    scores = (rng.normal(size=(4, 5)) * [[1], [1], [1e4], [30]]).astype("float32")
    labels = np.array([0, 3, 1, 4])
    value, gradient = with_gradient(lambda s: multi_task_crossentropy(labels, s, (2, 3)), scores)
    columns = [range(2) if label < 2 else range(2, 5) for label in labels]
    for row, label, own in zip(range(4), labels, columns):
        exact = scores[row].astype("float64")
        top = max(exact[i] for i in own)
        wanted = top + np.log(sum(np.exp(exact[i] - top) for i in own)) - exact[label]
        np.testing.assert_allclose(value[row], wanted, rtol=1e-5, atol=1e-6)
        assert all(gradient[row, i] == 0 for i in range(5) if i not in own)


def test_tasks_must_add_up():
    with pytest.raises(ValueError, match=r"tasks=\(2, 2\) add up to 4.*have 5"):
        multi_task_crossentropy(np.array([0]), np.zeros((1, 5)), (2, 2))


@pytest.mark.parametrize("loss", [CoSENTLoss(scale=10.0), MultiTaskCrossentropy(tasks=(2, 2))])
def test_as_keras_losses(loss):
    loss = check_serialization(loss)
    model = keras.Sequential([keras.layers.Dense(4)])
    for jit in (False, True):
        model.compile("sgd", loss, jit_compile=jit)
        history = model.fit(np.eye(6), np.array([0, 0, 1, 1, 3, 3]), batch_size=6, verbose=0)
        assert np.isfinite(history.history["loss"][0])


def test_an_odd_number_of_rows_is_refused():
    with pytest.raises(ValueError, match="expected an even number of rows, found 3"):
        pair_cosines(np.ones((3, 4), "float32"))


def test_the_interactive_form_learns_the_order_of_scores():
    """One model reads both sentences and ends in a score; labels are of any scale."""
    rng = np.random.default_rng(6)
    pairs = rng.normal(size=(32, 6)).astype("float32")
    labels = np.floor(pairs[:, 0] * 2)  # classes in order
    model = keras.Sequential([keras.layers.Dense(1)])
    loss = CoSENTLoss(scale=1.0, from_vectors=False)
    model.compile(keras.optimizers.Adam(0.1), loss)
    first = float(loss(labels, model(pairs)))
    wanted = cosent_loop(labels, np.asarray(model(pairs))[:, 0], 1.0)
    np.testing.assert_allclose(first, wanted, rtol=1e-6)
    model.fit(pairs, labels, batch_size=32, epochs=60, verbose=0)
    scores = np.asarray(model(pairs))[:, 0]
    ranks = [np.argsort(np.argsort(x)) for x in (scores, pairs[:, 0])]
    assert np.corrcoef(*ranks)[0, 1] > 0.9
