"""Every loss with open batch and length: graphs, sample weights, `fit` from any source, XLA."""

import numpy as np
import pytest

from bert4keras_ext import losses
from bert4keras_ext.layers import ConditionalRandomField, MaximumEntropyMarkovModel
from tests.open_shapes import (
    Example,
    check_export,
    check_fit_of_layer,
    check_fit_of_loss,
    check_loss,
    check_open_function,
    check_open_graph,
)

# Losses of inputs without weights are fitted too: what counts is that they can be.
pytestmark = pytest.mark.filterwarnings("ignore:The model does not have any trainable weights")

RNG = np.random.default_rng(0)
FLAT = RNG.normal(size=(4, 6)).astype("float32")  # rows of logits, or vectors
DEEP = RNG.normal(size=(4, 3, 6)).astype("float32")  # sequences of them
SPANS = RNG.normal(size=(4, 2, 5, 5)).astype("float32")
SPANS[:, :, 3] = SPANS[..., 3] = -np.inf
COSINES = np.tanh(DEEP)
CLASSES = RNG.integers(0, 6, 4).astype("int32")
PLACES = RNG.integers(0, 6, (4, 3)).astype("int32")
MARKS = RNG.integers(0, 2, (4, 3, 6)).astype("float32")
SPAN_MARKS = RNG.integers(0, 2, (4, 2, 5, 5)).astype("float32")
SPAN_PAIRS = np.array([[0, 1], [1, 2], [0, 0]], "int32") * np.ones((4, 2, 1, 1), "int32")
SIMILARITIES = RNG.normal(size=(4, 4)).astype("float32")
FACTORS = RNG.normal(size=(4, 3, 3)).astype("float32")
COVARIANCES = np.eye(3, dtype="float32") + np.einsum("nij,nkj->nik", FACTORS, FACTORS)
TABLE = np.ones((4, 3), "float32")
B, BL = (0,), (0, 1)

# Longer, shorter; of spans no shorter than their labels.
SIZES = (
    (lambda n: n, lambda n: n),
    (lambda n: 2 * n, lambda n: n + 1),
    (lambda n: 2, lambda n: max(n - 2, 2)),
)


def chain(cls):
    layer = cls()
    layer.build((None, None, 6))
    return layer.sparse_loss


# name: (loss, (y_true, y_pred), their open axes, the axes of weights)
LOSSES = {
    "AMSoftmax": (losses.AMSoftmax(), (PLACES, COSINES), (BL, BL), BL),
    "AMSoftmax, dense": (losses.AMSoftmax(sparse=False), (MARKS, COSINES), (BL, BL), BL),
    "CoSENTLoss": (losses.CoSENTLoss(), (np.array([1, 1, 0, 0]), FLAT), (B, B), None),
    "CoSENTLoss, scores": (
        losses.CoSENTLoss(from_vectors=False), (CLASSES, FLAT[:, :1]), (B, B), None),
    "ContrastiveLoss": (losses.ContrastiveLoss(), (CLASSES, FLAT), (B, B), B),
    "ContrastiveLoss, pairs": (
        losses.ContrastiveLoss(form="pairs", symmetric=B), (CLASSES, DEEP), (B, BL), B),
    "GlobalPointerCrossentropy": (
        losses.GlobalPointerCrossentropy(), (SPAN_MARKS, SPANS), ((0, 2, 3), (0, 2, 3)), B),
    "GlobalPointerCrossentropy, sparse": (
        losses.GlobalPointerCrossentropy(sparse=B), (SPAN_PAIRS, SPANS),
        ((0, 2), (0, 2, 3)), B),
    "MultiTaskCrossentropy": (losses.MultiTaskCrossentropy((2, 4)), (CLASSES, FLAT), (B, B), B),
    "MultilabelCategoricalCrossentropy": (
        losses.MultilabelCategoricalCrossentropy(), (MARKS, DEEP), (BL, BL), BL),
    "RDropLoss": (losses.RDropLoss(), (CLASSES, FLAT), (B, B), None),
    "SimplerASoftmax": (losses.SimplerASoftmax(), (PLACES, COSINES), (BL, BL), BL),
    "SimplerASoftmax, dense": (
        losses.SimplerASoftmax(sparse=False), (MARKS, COSINES), (BL, BL), BL),
    "SparseMultilabelCategoricalCrossentropy": (
        losses.SparseMultilabelCategoricalCrossentropy(mask_zero=B), (PLACES[:, :, None], DEEP),
        (BL, BL), BL),
    # Functions as losses of compile().
    "multilabel_categorical_crossentropy": (
        losses.multilabel_categorical_crossentropy, (MARKS, DEEP), (BL, BL), BL),
    "global_pointer_crossentropy": (
        losses.global_pointer_crossentropy, (SPAN_MARKS, SPANS), ((0, 2, 3), (0, 2, 3)), B),
    "sparse_global_pointer_crossentropy": (
        losses.sparse_global_pointer_crossentropy, (SPAN_PAIRS, SPANS), ((0, 2), (0, 2, 3)), B),
    "sparse_multilabel_categorical_crossentropy": (
        losses.sparse_multilabel_categorical_crossentropy, (PLACES[:, :, None], DEEP),
        (BL, BL), BL),
    "am_softmax": (losses.am_softmax, (MARKS, COSINES), (BL, BL), BL),
    "simpler_a_softmax": (losses.simpler_a_softmax, (MARKS, COSINES), (BL, BL), BL),
    "sparse_am_softmax": (losses.sparse_am_softmax, (PLACES, COSINES), (BL, BL), BL),
    "sparse_simpler_a_softmax": (
        losses.sparse_simpler_a_softmax, (PLACES, COSINES), (BL, BL), BL),
    "token_crossentropy": (losses.token_crossentropy, (PLACES, DEEP), (BL, BL), BL),
    "seq2seq_crossentropy": (losses.seq2seq_crossentropy, (PLACES, DEEP), (BL, BL), None),
    "r_drop": (losses.r_drop, (CLASSES, FLAT), (B, B), None),
    "contrastive_crossentropy": (
        losses.contrastive_crossentropy, (np.arange(4) % 2, SIMILARITIES), (B, BL), B),
    "crf.sparse_loss": (chain(ConditionalRandomField), (PLACES, DEEP), (BL, BL), B),
    "memm.sparse_loss": (chain(MaximumEntropyMarkovModel), (PLACES, DEEP), (BL, BL), None),
}  # fmt: skip

# name: (arguments, their open axes): functions that are no losses of compile() by themselves.
FUNCTIONS = {
    "cosent": ((CLASSES, FLAT[:, 0]), (B, B)),
    "diagonal_bhattacharyya": ((DEEP,) * 4, (BL,) * 4),
    "diagonal_kl": ((DEEP,) * 4, (BL,) * 4),
    "diagonal_wasserstein": ((DEEP,) * 4, (BL,) * 4),
    "full_bhattacharyya": ((TABLE, COVARIANCES) * 2, (B,) * 4),
    "full_kl": ((TABLE, COVARIANCES) * 2, (B,) * 4),
    "full_wasserstein": ((TABLE, COVARIANCES, 2 * TABLE, 2 * COVARIANCES), (B,) * 4),
    "kl_to_standard_normal": ((DEEP, DEEP), (BL, BL)),
    "log_gap": ((np.arange(4) % 2, SIMILARITIES), (B, BL)),
    "multi_task_crossentropy": ((CLASSES, FLAT), (B, B)),
    "multilabel_probabilities": ((DEEP,), (BL,)),
    "pair_cosines": ((FLAT,), (B,)),
    "pair_similarities": ((FLAT, FLAT, FLAT), (B, B, B)),
    "simcse_similarities": ((FLAT,), (B,)),
    "similarity_distillation": ((FLAT, 2 * FLAT), (B, B)),
    "symmetric_kl": ((DEEP, DEEP + 1), (BL, BL)),
}

TOKENS = RNG.integers(0, 6, (4, 3)).astype("int32")
LAYERS = {
    "Seq2SeqLoss": (losses.Seq2SeqLoss, {}, [TOKENS, TOKENS % 2, DEEP]),
    "SimBERTLoss": (losses.SimBERTLoss, {}, [TOKENS, TOKENS % 2, DEEP, FLAT]),
}


def test_every_loss_is_here():
    named = {name.split(",")[0] for name in (*LOSSES, *FUNCTIONS, *LAYERS)}
    assert named >= set(losses.__all__) - {"Loss"}


def function_of(name):
    if name != "multi_task_crossentropy":
        return getattr(losses, name)
    return lambda y_true, y_pred: losses.multi_task_crossentropy(y_true, y_pred, (2, 4))


@pytest.mark.parametrize("name", LOSSES)
def test_graphs_of_losses(name):
    loss, arrays, axes, weights = LOSSES[name]
    check_loss(loss, arrays, axes, SIZES, weights)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_graphs_of_functions(name):
    check_open_function(function_of(name), *FUNCTIONS[name], SIZES)


@pytest.mark.parametrize("name", LAYERS)
def test_graphs_and_exports_of_layers(name, tmp_path):
    cls, config, inputs = LAYERS[name]
    check_open_graph(cls(**config), Example(inputs))
    check_export(cls(**config), Example(inputs), tmp_path)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", [*LOSSES, *FUNCTIONS])
def test_xla(name):
    if name in FUNCTIONS:
        check_open_function(function_of(name), *FUNCTIONS[name], SIZES, jit=True)
    else:
        loss, arrays, axes, weights = LOSSES[name]
        check_loss(loss, arrays, axes, SIZES, weights, jit=True)


@pytest.mark.exhaustive
@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("name", LOSSES)
def test_fit(name, jit):
    loss, arrays, axes, weights = LOSSES[name]
    check_fit_of_loss(loss, arrays, axes, SIZES, weights, jit)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", LAYERS)
def test_fit_of_layers(name):
    cls, config, inputs = LAYERS[name]
    check_fit_of_layer(cls(**config), Example(inputs))
