"""ZLPR against bert4keras' recordings and a float64 double loop, dense, soft and sparse."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from keras import ops

from bert4keras_ext.losses import (
    GlobalPointerCrossentropy,
    MultilabelCategoricalCrossentropy,
    SparseMultilabelCategoricalCrossentropy,
    global_pointer_crossentropy,
    multilabel_categorical_crossentropy,
    multilabel_probabilities,
    sparse_global_pointer_crossentropy,
    sparse_multilabel_categorical_crossentropy,
)
from tests.shared import oracle

RECORDED = dict(np.load(oracle("bert4keras") / "losses.npz"))
CASES = sorted({k.split("/")[0] for k in RECORDED if "multi_" in k})


def with_gradient(function, *tensors):
    """(value, gradient of its sum with respect to the last tensor)."""
    import tensorflow as tf

    x = tf.convert_to_tensor(tensors[-1])
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = function(*tensors[:-1], x)
        total = tf.reduce_sum(value)
    return np.asarray(value), np.asarray(tf.cast(tape.gradient(total, x), "float32"))


def float64_loop(labels, scores):
    """One row, one class at a time; large sums through the largest term."""
    terms = {"negative": [0.0], "positive": [0.0]}
    for t, s in zip(labels.astype("float64"), scores.astype("float64")):
        if np.isneginf(s):
            continue
        if t > 0:
            terms["positive"].append(-s + np.log(t))
        if t < 1:
            terms["negative"].append(s + np.log(1 - t))
    return sum(max(v) + np.log(sum(np.exp(x - max(v)) for x in v)) for v in terms.values())


@pytest.mark.parametrize("name", CASES)
def test_equals_bert4keras(name):
    case = {k.split("/")[1]: v for k, v in RECORDED.items() if k.startswith(f"{name}/")}
    function = multilabel_categorical_crossentropy
    if name.startswith("sparse"):
        zero = "maskzero" in name

        def function(y_true, y_pred):
            return sparse_multilabel_categorical_crossentropy(y_true, y_pred, zero)

    value, gradient = with_gradient(function, case["y_true"], case["y_pred"])
    np.testing.assert_allclose(value, case["loss"], atol=2e-5, rtol=2e-5)
    labels, scores = case["y_true"], case["y_pred"].astype("float64")
    if name.startswith("sparse"):
        labels = np.zeros_like(scores)
        np.put_along_axis(labels, case["y_true"].astype(int), 1, -1)
        scores[..., 0] = -np.inf if zero else scores[..., 0]
    np.testing.assert_allclose(gradient, float64_gradient(labels, scores), atol=2e-6)
    # bert4keras' gradients with mask_zero lose digits in log(1 - exp(.)): they are up to 6.1e-5
    # off the float64 gradient, ours 1.8e-7 in all these cases.
    tolerance = 8e-5 if "maskzero" in name else 2e-5
    np.testing.assert_allclose(gradient, case["d_y_pred"], atol=tolerance, rtol=2e-5)


def float64_gradient(labels, scores):
    """A class gets its share of the sum (1 and the weighted exponentials) that it stands in."""
    known = np.isfinite(scores)
    found = np.zeros_like(scores)
    for sign, weights in ((1, (1 - labels) * known), (-1, labels * known)):
        terms = weights * np.exp(sign * np.where(known, scores, 0))
        found += sign * terms / (1 + terms.sum(-1, keepdims=True))
    return found


def random_rows(seed, soft, classes=7, rows=50):
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(rows, classes)) * rng.choice([1, 30, 1e4], size=(rows, 1))
    scores = np.round(scores, 3)  # ties happen
    scores[rng.random(scores.shape) < 0.1] = -np.inf
    scores[-1] = -np.inf
    labels = (rng.random(scores.shape) < 0.4).astype("float64")
    if soft:
        labels = np.where(rng.random(scores.shape) < 0.7, rng.random(scores.shape), labels)
    return labels.astype("float32"), scores.astype("float32")


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("seed", [0, 1])
def test_equals_a_float64_loop(seed, soft):
    labels, scores = random_rows(seed, soft)
    value, gradient = with_gradient(multilabel_categorical_crossentropy, labels, scores)
    wanted = [float64_loop(t, s) for t, s in zip(labels, scores)]
    # float32 eps on values of up to 1e4
    np.testing.assert_allclose(value, wanted, rtol=1e-6, atol=1e-6)
    assert np.all(np.isfinite(gradient)) and np.all(gradient[np.isneginf(scores)] == 0)
    step = np.zeros_like(labels[0], "float64")
    for row in range(5):
        for column in np.flatnonzero(np.isfinite(scores[row])):
            step[:] = 0
            step[column] = 1e-5
            a, b = (float64_loop(labels[row], scores[row].astype("float64") + sign * step)
                    for sign in (1, -1))  # fmt: skip
            assert abs((a - b) / 2e-5 - gradient[row, column]) < 1e-3


@pytest.mark.parametrize("mask_zero", [False, True])
def test_sparse_equals_dense_on_extreme_scores(mask_zero):
    rng = np.random.default_rng(2)
    scores = (rng.normal(size=(40, 9)) * rng.choice([1, 30, 1e4], size=(40, 1))).astype("float32")
    scores[rng.random(scores.shape) < 0.1] = -np.inf
    indices = np.stack([rng.choice(np.arange(1, 9), 3, replace=False) for _ in range(40)])
    indices[::2, 2] = 0 if mask_zero else indices[::2, 2]
    dense = np.zeros_like(scores)
    np.put_along_axis(dense, indices, 1, -1)
    masked = scores.copy()
    if mask_zero:
        masked[:, 0] = -np.inf

    def sparse(y_true, y_pred):
        return sparse_multilabel_categorical_crossentropy(y_true, y_pred, mask_zero)

    value, gradient = with_gradient(sparse, indices, scores)
    wanted, slope = with_gradient(multilabel_categorical_crossentropy, dense, masked)
    np.testing.assert_allclose(value, wanted, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(gradient, slope, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_computed_in_float32(dtype):
    labels, scores = random_rows(3, soft=True)
    scores = np.clip(scores, -6e4, 6e4)
    half = ops.cast(scores, dtype)
    value, gradient = with_gradient(multilabel_categorical_crossentropy, labels, half)
    rounded = ops.convert_to_numpy(ops.cast(half, "float32"))
    wanted = [float64_loop(t, s) for t, s in zip(labels, rounded)]
    np.testing.assert_allclose(value, wanted, rtol=1e-6, atol=1e-6)
    assert value.dtype == "float32" and np.all(np.isfinite(gradient))


@given(arrays("float32", (6,), elements=st.floats(-50, 50, width=32)), st.permutations(range(6)))
@settings(max_examples=30, deadline=None)
def test_the_order_of_classes_does_not_matter(scores, order):
    labels = np.array([1, 0, 0.3, 1, 0.9, 0], "float32")
    order = np.array(order)
    a = multilabel_categorical_crossentropy(labels, scores)
    b = multilabel_categorical_crossentropy(labels[order], scores[order])
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_soft_labels_are_met_at_sigmoid_of_twice_the_score():
    labels = np.array([0.1, 0.5, 0.8], "float32")
    scores = np.log(labels / (1 - labels)) / 2
    np.testing.assert_allclose(multilabel_probabilities(scores), labels, atol=1e-6)
    _, gradient = with_gradient(multilabel_categorical_crossentropy, labels, scores)
    np.testing.assert_allclose(gradient, 0, atol=1e-6)


def test_spans_sparse_and_dense_agree():
    rng = np.random.default_rng(4)
    scores = rng.normal(size=(2, 3, 5, 5)).astype("float32")
    scores[:, :, 0, 0] = -np.inf  # (0, 0) fills rows up, so it is no span
    spans = np.array([[[[1, 2], [3, 3]], [[0, 0], [0, 0]], [[0, 4], [0, 0]]]] * 2)
    dense = np.zeros_like(scores)
    for b, h, k in np.ndindex(2, 3, 2):
        if spans[b, h, k].any():
            dense[(b, h, *spans[b, h, k])] = 1
    np.testing.assert_allclose(
        sparse_global_pointer_crossentropy(spans, scores),
        global_pointer_crossentropy(dense, scores),
        rtol=1e-6,
    )


@pytest.mark.parametrize(
    "loss, labels",
    [
        (MultilabelCategoricalCrossentropy(), np.eye(4, dtype="float32")),
        (SparseMultilabelCategoricalCrossentropy(mask_zero=True), np.arange(4)[:, None]),
    ],
)
def test_as_keras_losses_with_fit_and_xla(loss, labels):
    model = keras.Sequential([keras.layers.Dense(4)])
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert again.get_config() == loss.get_config()
    for jit in (False, True):
        model.compile("sgd", again, jit_compile=jit)
        assert np.isfinite(model.fit(np.eye(4), labels, verbose=0).history["loss"][0])


def test_span_losses_as_keras_losses():
    scores = ops.convert_to_tensor(np.random.default_rng(5).normal(size=(2, 3, 4, 4)), "float32")
    spans = np.array([[[[1, 2]]] * 3] * 2)
    sparse = GlobalPointerCrossentropy(sparse=True)
    assert sparse.get_config()["sparse"] is True
    assert np.isfinite(float(sparse(spans, scores)))


def test_no_dense_label_tensor_is_made_from_sparse_ones():
    """Nothing in the graph of the sparse loss is as wide as the logits but the logits' own."""
    import tensorflow as tf

    graph = tf.function(sparse_multilabel_categorical_crossentropy).get_concrete_function(
        tf.TensorSpec((4, 3), "int32"), tf.TensorSpec((4, 1000), "float32")
    )
    kinds = {node.op for node in graph.graph.as_graph_def().node}
    assert "OneHot" not in kinds and "ScatterNd" not in kinds


@pytest.mark.parametrize("jit", [False, True])
def test_a_batch_without_any_positive_class_at_all(jit):
    """Rows filled up to the longest have no column at all then."""
    import tensorflow as tf

    scores = np.random.default_rng(6).normal(size=(2, 3, 4, 4)).astype("float32")
    scores[:, :, 0, 0] = -np.inf
    function = tf.function(sparse_global_pointer_crossentropy, jit_compile=jit)
    found = function(np.zeros((2, 3, 0, 2), "int32"), scores)
    wanted = global_pointer_crossentropy(np.zeros_like(scores), scores)
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_labels_of_the_other_form_are_refused():
    scores = np.zeros((2, 3, 5, 5), "float32")
    with pytest.raises(ValueError, match=r"pairs \(batch, heads, k, 2\), found \(2, 3, 5, 5\)"):
        GlobalPointerCrossentropy(sparse=True)(scores, scores)
    with pytest.raises(ValueError, match=r"scores, \(2, 3, 5, 5\), found \(2, 3, 4, 2\); .*sparse"):
        GlobalPointerCrossentropy()(np.zeros((2, 3, 4, 2)), scores)
