"""Losses on JAX, compiled: bert4keras' recordings, and the float64 loops of tests/losses."""

import jax
import keras
import numpy as np
import pytest
from keras import ops

from bert4keras_ext import losses
from bert4keras_ext.layers import ConditionalRandomField, MaximumEntropyMarkovModel
from tests.losses.common import slopes
from tests.losses.test_contrastive import info_nce_loop, random_scores, simcse_loop
from tests.losses.test_cosent import cosent_loop
from tests.losses.test_multilabel import float64_loop, random_rows
from tests.shared import oracle

RECORDED = dict(np.load(oracle("bert4keras") / "losses.npz"))
MULTILABEL = sorted({k.split("/")[0] for k in RECORDED if "multi_" in k})
CHAINS = sorted({k.split("/")[0] for k in RECORDED if k.startswith(("crf_", "memm_"))})


def with_gradient(function, *tensors):
    """(value, gradients of its sum) by compiled functions of all tensors."""
    tensors = [ops.convert_to_tensor(x) for x in tensors]
    gradient = jax.grad(lambda *x: ops.sum(function(*x)), argnums=tuple(range(len(tensors))))
    return jax.jit(function)(*tensors), jax.jit(gradient)(*tensors)


def recorded(name, kind=""):
    prefix = f"{name}/{kind}"
    return {k.removeprefix(prefix): v for k, v in RECORDED.items() if k.startswith(prefix)}


@pytest.mark.parametrize("name", MULTILABEL)
def test_multilabel_equals_bert4keras(name):
    case = recorded(name)
    function = losses.multilabel_categorical_crossentropy
    arguments = {}
    if name.startswith("sparse"):
        function = losses.sparse_multilabel_categorical_crossentropy
        arguments["mask_zero"] = "maskzero" in name
    value, (gradient,) = with_gradient(
        lambda scores: function(case["y_true"], scores, **arguments), case["y_pred"]
    )
    np.testing.assert_allclose(value, case["loss"], atol=2e-5, rtol=2e-5)
    # As in tests/losses: the recorded sparse gradients lose digits in log(1 - exp(.)).
    tolerance = 1e-4 if name.startswith("sparse") else 2e-5
    np.testing.assert_allclose(gradient, case["d_y_pred"], atol=tolerance, rtol=2e-5)


@pytest.mark.parametrize("name", CHAINS)
def test_chains_equal_bert4keras(name):
    case = recorded(name, "sparse/")
    cls = ConditionalRandomField if name.startswith("crf") else MaximumEntropyMarkovModel
    arguments = {"hidden_dim": 3} if "hidden" in name else {}
    layer = cls(lr_multiplier=10 if "_lr" in name else 1, **arguments)
    layer.build(case["x"].shape)

    def loss(x, *weights):
        with keras.StatelessScope(state_mapping=list(zip(layer.trainable_variables, weights))):
            return layer.sparse_loss(case["y"], layer(x, mask=case.get("mask")))

    weights = [case[f"w_{i}"] for i in range(len(layer.weights))]
    value, (by_x, *by_weights) = with_gradient(loss, case["x"], *weights)
    np.testing.assert_allclose(value, case["loss"], atol=2e-5, rtol=2e-5)
    np.testing.assert_allclose(by_x, case["d_x"], atol=2e-5, rtol=2e-5)
    for i, gradient in enumerate(by_weights):
        np.testing.assert_allclose(gradient, case[f"d_w_{i}"], atol=2e-5, rtol=2e-5)


@pytest.mark.parametrize("soft", [False, True])
def test_zlpr_on_extreme_rows(soft):
    labels, scores = random_rows(0, soft)
    value, (gradient,) = with_gradient(
        lambda s: losses.multilabel_categorical_crossentropy(labels, s), scores
    )
    wanted = [float64_loop(t, s) for t, s in zip(labels, scores)]
    np.testing.assert_allclose(value, wanted, rtol=1e-6, atol=1e-6)  # float32 eps
    assert np.all(np.isfinite(gradient)) and np.all(gradient[np.isneginf(scores)] == 0)


def test_sparse_spans_equal_dense_ones():
    rng = np.random.default_rng(1)
    scores = rng.normal(size=(2, 3, 5, 5)).astype("float32")
    scores[:, :, 0, 0] = -np.inf  # (0, 0) fills rows up, so it is no span
    spans = np.array([[[[1, 2], [3, 3]], [[0, 0], [0, 0]], [[0, 4], [0, 0]]]] * 2)
    dense = np.zeros_like(scores)
    for b, h, k in np.ndindex(2, 3, 2):
        if spans[b, h, k].any():
            dense[(b, h, *spans[b, h, k])] = 1
    sparse = with_gradient(lambda s: losses.sparse_global_pointer_crossentropy(spans, s), scores)
    whole = with_gradient(lambda s: losses.global_pointer_crossentropy(dense, s), scores)
    for found, wanted in zip(jax.tree.leaves(sparse), jax.tree.leaves(whole)):
        np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-6)


def test_contrastive_losses():
    scores, targets = random_scores(0)
    value, (gradient,) = with_gradient(
        lambda s: losses.contrastive_crossentropy(targets, s), scores
    )
    np.testing.assert_allclose(value, info_nce_loop(scores, targets), rtol=1e-6, atol=1e-6)
    assert np.all(np.isfinite(gradient))
    _, (flat,) = with_gradient(
        lambda s: losses.contrastive_crossentropy(targets, s, "flatnce"), scores
    )
    assert np.all(np.isfinite(flat))
    vectors = np.random.default_rng(3).normal(size=(6, 4)).astype("float32")
    loss = losses.ContrastiveLoss(scale=5.0, reduction=None)
    value, (gradient,) = with_gradient(lambda x: loss(np.zeros((6, 1)), x), vectors)
    np.testing.assert_allclose(value, simcse_loop(vectors, 5.0), rtol=1e-5)
    np.testing.assert_allclose(gradient, slopes(lambda x: simcse_loop(x, 5.0), vectors), atol=1e-5)


@pytest.mark.parametrize("size", [1, 1e4])
def test_cosent(size):
    labels = [2, 0, 1, 1, 2]
    scores = (np.random.default_rng(4).normal(size=5) * size).astype("float32")
    value, (gradient,) = with_gradient(lambda s: losses.cosent(labels, s, 1.0), scores)
    np.testing.assert_allclose(value, cosent_loop(labels, scores, 1.0), rtol=1e-6, atol=1e-6)
    assert np.all(np.isfinite(gradient))


def test_row_losses_equal_their_formulas():
    """Float64, written out: multi-task softmax, margins, R-Drop, label smoothing."""
    scores = np.random.default_rng(5).uniform(-1, 1, (4, 5)).astype("float32")
    labels, x = np.array([0, 3, 1, 4]), scores.astype("float64")
    rows = np.arange(4)

    def crossentropy(x):
        return np.log(np.exp(x).sum(-1)) - x[rows, labels]

    own = np.where((np.arange(5) < 2) == (labels < 2)[:, None], x, -np.inf)
    shifted = x - 0.35 * np.eye(5)[labels]
    p = np.exp(x) / np.exp(x).sum(-1, keepdims=True)
    divergence = ((p[0::2] - p[1::2]) * np.log(p[0::2] / p[1::2])).sum(-1)
    errors = crossentropy(x)
    wanted = {
        "tasks": crossentropy(own),
        "margin": crossentropy(30 * shifted),
        "r_drop": (errors[0::2] + errors[1::2]) / 2 + divergence,
        "smooth": 0.9 * errors - 0.1 * np.log(p).mean(-1),
    }
    found = {
        "tasks": losses.multi_task_crossentropy(labels, scores, (2, 3)),
        "margin": losses.sparse_am_softmax(labels, scores),
        "r_drop": losses.r_drop(labels, scores),
        "smooth": losses.token_crossentropy(labels, scores, label_smoothing=0.1),
    }
    for name in wanted:
        np.testing.assert_allclose(found[name], wanted[name], rtol=1e-5, atol=1e-5, err_msg=name)


def test_gaussian_distances_have_finite_gradients_where_both_are_equal():
    eye, zeros = np.eye(3, dtype="float32"), np.zeros(3, "float32")
    for function in (losses.full_kl, losses.full_bhattacharyya, losses.full_wasserstein):
        value, gradients = with_gradient(function, zeros, eye, zeros, eye)
        np.testing.assert_allclose(value, 0, atol=1e-6)
        assert all(np.all(np.isfinite(gradient)) for gradient in gradients), function.__name__
