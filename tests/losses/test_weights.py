"""Sample weights of losses whose rows belong together, against float64 loops and copies of rows."""

import keras
import numpy as np
import pytest
from keras import ops

from bert4keras_ext import losses
from bert4keras_ext.losses.sequences import seq2seq_crossentropy
from tests.losses.test_consistency import LABELS, loop
from tests.losses.test_contrastive import simcse_loop
from tests.losses.test_cosent import cosent_loop

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(6, 4)).astype("float32")
WEIGHTS = np.array([0.5, 1.5, 2.0, 2.0, 0.0, 0.0])
OF_PAIRS = WEIGHTS.reshape(3, 2).mean(axis=1)
ORDER = np.array([2, 2, 0, 0, 1, 1])  # labels of pairs, for CoSENT


def reduced(values, weights, reduction):
    total = {"sum": 1.0, "sum_over_batch_size": len(values)}
    return np.sum(values * weights) / total.get(reduction, sum(weights))


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", "mean_with_sample_weight"])
@pytest.mark.parametrize("column", [False, True])
def test_a_pair_of_r_drop_weighs_the_mean_of_its_rows(reduction, column):
    weights = WEIGHTS[:, None] if column else WEIGHTS
    found = losses.RDropLoss(alpha=3.0, reduction=reduction)(LABELS, ROWS, weights)
    wanted = reduced(loop(ROWS.astype("float64"), 3.0, "article"), OF_PAIRS, reduction)
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_values_of_pairs_are_weighted_one_by_one():
    found = losses.RDropLoss(alpha=3.0, reduction=None)(np.eye(4)[LABELS], ROWS, WEIGHTS)
    wanted = loop(ROWS.astype("float64"), 3.0, "article") * OF_PAIRS
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    twice = losses.RDropLoss(alpha=3.0)(LABELS, ROWS, 2.0)
    np.testing.assert_allclose(twice, 2 * losses.RDropLoss(alpha=3.0)(LABELS, ROWS), rtol=1e-6)


def weighted_cosent_loop(labels, scores, weights, scale=20.0):
    total = 1.0
    for a in range(len(labels)):
        for b in range(len(labels)):
            if labels[a] > labels[b]:
                total += weights[a] * weights[b] * np.exp(scale * (scores[b] - scores[a]))
    return np.log(total)


def pair_cosines_loop(rows):
    unit = rows.astype("float64") / np.linalg.norm(rows, axis=1, keepdims=True)
    return (unit[0::2] * unit[1::2]).sum(axis=1)


@pytest.mark.parametrize("column", [False, True])
def test_cosent_weighs_each_term(column):
    weights = WEIGHTS + 0.25
    wanted = weighted_cosent_loop(ORDER[::2], pair_cosines_loop(ROWS), OF_PAIRS + 0.25)
    given = weights[:, None] if column else weights
    np.testing.assert_allclose(losses.CoSENTLoss()(ORDER, ROWS, given), wanted, rtol=1e-5)
    scores = ROWS[:, :1]
    wanted = weighted_cosent_loop(ORDER, scores[:, 0].astype("float64"), weights, 1.0)
    loss = losses.CoSENTLoss(scale=1.0, from_vectors=False)
    np.testing.assert_allclose(loss(ORDER, scores, given), wanted, rtol=1e-5)


def test_a_whole_weight_is_that_many_copies():
    counts = np.array([1, 3, 0, 2, 1, 2])
    scores, teacher = ROWS[:, 0], RNG.normal(size=(6, 3))
    copies = np.repeat(np.arange(6), counts)
    np.testing.assert_allclose(
        losses.cosent(ORDER, scores, 3.0, counts),
        cosent_loop(ORDER[copies], scores[copies], 3.0),
        rtol=1e-5,
    )
    np.testing.assert_allclose(
        losses.similarity_distillation(teacher, ROWS, sample_weight=counts),
        losses.similarity_distillation(teacher[copies], ROWS[copies]),
        rtol=1e-5,
    )
    nothing = losses.similarity_distillation(teacher, ROWS, sample_weight=0 * counts)
    assert float(nothing) == float(losses.cosent(ORDER, scores, 3.0, 0 * counts)) == 0


def test_contrastive_rows_weigh_as_they_ask():
    found = losses.ContrastiveLoss(scale=5.0)(ORDER, ROWS, WEIGHTS)
    np.testing.assert_allclose(found, np.mean(simcse_loop(ROWS, 5.0) * WEIGHTS), rtol=1e-5)
    pairs = ROWS.reshape(3, 2, 4)
    loss = losses.ContrastiveLoss(scale=5.0, form="pairs", reduction=None)
    found = loss(np.zeros(3), pairs, OF_PAIRS[:, None])
    np.testing.assert_allclose(found, loss(np.zeros(3), pairs) * OF_PAIRS, rtol=1e-6)


def masked(x, mask):
    x = ops.convert_to_tensor(x)
    x._keras_mask = ops.convert_to_tensor(mask)
    return x


def test_a_mask_of_rows_leaves_out_pairs():
    mask = np.array([True, True, True, False, True, True])
    loss = losses.RDropLoss(alpha=3.0)
    kept = loop(ROWS.astype("float64"), 3.0, "article")[[0, 2]]
    np.testing.assert_allclose(loss(LABELS, masked(ROWS, mask)), kept.mean(), rtol=1e-5)
    weighted = losses.RDropLoss(alpha=3.0, reduction="sum")(LABELS, masked(ROWS, mask), WEIGHTS)
    np.testing.assert_allclose(weighted, np.sum(kept * OF_PAIRS[[0, 2]]), rtol=1e-5)
    mask = mask[[0, 1, 3, 3, 4, 5]]
    found = losses.CoSENTLoss()(ORDER, masked(ROWS, mask))
    wanted = weighted_cosent_loop([2, 1], pair_cosines_loop(ROWS)[[0, 2]], [1, 1])
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


ALL = {
    "RDropLoss": losses.RDropLoss(),
    "CoSENTLoss": losses.CoSENTLoss(),
    "CoSENTLoss scores": losses.CoSENTLoss(from_vectors=False),
    "ContrastiveLoss": losses.ContrastiveLoss(),
    "MultiTaskCrossentropy": losses.MultiTaskCrossentropy((2, 2)),
}


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("shape", [(6, 6), (6, 2), (3,), (1,), (6, 1, 1)])
def test_weights_that_are_not_one_a_row_are_refused(name, shape):
    rows = ROWS[:, :1] if name.endswith("scores") else ROWS
    with pytest.raises(ValueError, match="expected sample_weight with one number for each row"):
        ALL[name](ORDER, rows, np.ones(shape))


class Batches(keras.utils.PyDataset):
    def __init__(self, batch):
        super().__init__()
        self.batch = batch

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return self.batch


@pytest.mark.parametrize(
    "name, ways", [("RDropLoss", 4), ("CoSENTLoss", 2), ("ContrastiveLoss", 1)]
)
def test_in_fit(name, ways):
    """By class_weight, a PyDataset under XLA, arrays and tf.data: the same loss."""
    import tensorflow as tf

    loss = ALL[name]
    model = keras.Sequential([keras.layers.Dense(4)])
    model.build((None, 4))
    by_class = {0: 1.0, 1: 0.5, 2: 2.0}
    weights = np.array([by_class[label] for label in ORDER], "float32")
    wanted = float(loss(ORDER, model(ROWS), weights))
    assert abs(wanted - float(loss(ORDER, model(ROWS)))) > 1e-4
    batch = (ROWS, ORDER, weights[:, None])
    known = [
        {"x": ROWS, "y": ORDER, "class_weight": by_class, "batch_size": 6},
        {"x": Batches(batch)},
        {"x": ROWS, "y": ORDER, "sample_weight": weights, "batch_size": 6},
        {"x": tf.data.Dataset.from_tensors(batch)},
    ]
    for jit, given in zip((False, True, False, False), known[:ways]):
        model.compile(keras.optimizers.SGD(0.0), loss, jit_compile=jit)
        found = model.fit(**given, shuffle=False, verbose=0).history["loss"]
        np.testing.assert_allclose(found, [wanted], rtol=1e-4)


def test_weights_of_tokens_may_be_fractions():
    tokens, logits = RNG.integers(0, 4, (2, 3)), RNG.normal(size=(2, 3, 4))
    weights = np.array([[0.1, 0.0, 0.2], [0.3, 0.0, 0.0]])
    each = np.asarray(losses.token_crossentropy(tokens, logits))
    wanted = np.sum(each * weights) / np.sum(weights)
    np.testing.assert_allclose(seq2seq_crossentropy(tokens, logits, weights), wanted, rtol=1e-5)
