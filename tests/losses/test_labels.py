"""Labels that are none: -100 and anything else in padding, and labels beyond the classes."""

import keras
import numpy as np
import pytest
from keras import ops

from bert4keras_ext import losses
from bert4keras_ext.backend.keras_internals import keras_mask
from tests.losses.common import with_gradient

RNG = np.random.default_rng(0)
SCORES = RNG.normal(size=(6, 4)).astype("float32")
LABELS = np.array([1, -100, 3, 0, -1, 2])
KNOWN = LABELS >= 0

# name: a function (labels, scores) -> one value a row
SPARSE = {
    "token": losses.token_crossentropy,
    "smooth": lambda y, x: losses.token_crossentropy(y, x, label_smoothing=0.1, gamma=2.0),
    "tasks": lambda y, x: losses.multi_task_crossentropy(y, x, (1, 3)),
    "am": lambda y, x: losses.sparse_am_softmax(y, x, scale=3.0),
    "a": lambda y, x: losses.sparse_simpler_a_softmax(y, x, scale=3.0),
    "infonce": losses.contrastive_crossentropy,
    "flatnce": lambda y, x: losses.contrastive_crossentropy(y, x, "flatnce"),
}


@pytest.mark.parametrize("name", SPARSE)
@pytest.mark.parametrize("jit", [False, True])
def test_a_negative_label_is_none(name, jit):
    """Other rows as without it; its own value and gradient are 0. With open shapes as well."""
    import tensorflow as tf

    function = SPARSE[name]
    signature = [tf.TensorSpec([None], "int64"), tf.TensorSpec([None, 4], "float32")]
    traced = tf.function(function, signature, jit_compile=jit, autograph=False)
    value, gradient = with_gradient(lambda x: traced(LABELS, x), SCORES)
    wanted, slope = with_gradient(lambda x: function(np.where(KNOWN, LABELS, 0), x), SCORES)
    np.testing.assert_allclose(value[KNOWN], wanted[KNOWN], rtol=1e-5)
    np.testing.assert_allclose(gradient[KNOWN], slope[KNOWN], atol=1e-6)
    assert not value[~KNOWN].any() and not gradient[~KNOWN].any()


@pytest.mark.parametrize("name", SPARSE)
def test_a_label_beyond_the_classes_is_nan_not_another_class(name):
    value = np.asarray(SPARSE[name](np.array([0, 4, 1, 1, 1, 1]), SCORES))
    assert np.isnan(value[1]) and np.isfinite(value[[0, 2, 3, 4, 5]]).all()


@pytest.mark.parametrize(
    "loss",
    [
        losses.token_crossentropy,
        losses.AMSoftmax(),
        losses.SimplerASoftmax(),
        losses.SparseMultilabelCategoricalCrossentropy(),
        losses.SparseMultilabelCategoricalCrossentropy(mask_zero=True),
    ],
    ids=lambda x: getattr(x, "name", "token"),
)
def test_anything_may_stand_under_a_mask(loss):
    inputs = keras.Input((None, 3))
    x = keras.layers.Dense(5, use_bias=False)(keras.layers.Masking()(inputs))
    model, weights = keras.Model(inputs, x), RNG.normal(size=(3, 5))
    x = RNG.normal(size=(2, 6, 3)).astype("float32")
    x[:, 4:] = 0  # masked
    labels = np.tile([1, 2, 3, 4, -100, 99], (2, 1))
    if "multilabel" in getattr(loss, "name", ""):
        labels = labels[..., None]
    model.compile(keras.optimizers.SGD(1.0), loss)
    found = []
    for part in (slice(0, 6), slice(0, 4)):
        model.set_weights([weights])
        found.append((model.train_on_batch(x[:, part], labels[:, part]), model.get_weights()[0]))
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-5)
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-4, atol=1e-6)


def test_the_mean_of_tokens_leaves_out_what_has_no_label():
    each = np.asarray(losses.token_crossentropy(np.where(KNOWN, LABELS, 0), SCORES))
    found = losses.seq2seq_crossentropy(LABELS[None], SCORES[None])
    np.testing.assert_allclose(found, each[KNOWN].mean(), rtol=1e-5)
    mask = np.array([1, 1, 0, 1, 1, 0])
    wild = np.where(mask == 1, LABELS, 99)
    found = losses.seq2seq_crossentropy(wild[None], SCORES[None], mask[None])
    np.testing.assert_allclose(found, each[KNOWN & (mask == 1)].mean(), rtol=1e-5)


def test_a_pair_of_r_drop_without_labels_must_still_agree():
    labels = np.array([1, 1, -100, -100, 2, 2])
    value, gradient = with_gradient(lambda x: losses.r_drop(labels, x), SCORES)
    kl = np.asarray(losses.symmetric_kl(SCORES[0::2], SCORES[1::2]))
    np.testing.assert_allclose(value[1], kl[1], rtol=1e-5)  # alpha / 4 is 1
    wanted = losses.r_drop(np.maximum(labels, 0), SCORES)
    np.testing.assert_allclose(value[[0, 2]], np.asarray(wanted)[[0, 2]], rtol=1e-5)
    assert np.isfinite(gradient).all()
    x = ops.convert_to_tensor(SCORES)
    x._keras_mask = ops.convert_to_tensor(np.array([1, 1, 0, 0, 1, 1], "bool"))
    assert keras_mask(x) is not None
    for padding in (-100, 99):
        labels[2:4] = padding
        np.testing.assert_allclose(losses.RDropLoss()(labels, x), value[[0, 2]].mean(), rtol=1e-5)


@pytest.mark.parametrize("mask_zero", [False, True])
@pytest.mark.parametrize("jit", [False, True])
def test_negative_indices_fill_up_sparse_labels(mask_zero, jit):
    import tensorflow as tf

    indices = np.array([[3, -100], [-1, 1], [-1, -1], [2, 1], [1, 3], [-100, 2]])
    dense = np.zeros((6, 4))
    for row, columns in enumerate(indices):
        dense[row, columns[columns >= 0]] = 1
    scores = SCORES.copy()
    if mask_zero:
        scores[:, 0] = -np.inf
    wanted, slope = with_gradient(
        lambda x: losses.multilabel_categorical_crossentropy(dense, x), scores
    )
    function = tf.function(
        lambda x: losses.sparse_multilabel_categorical_crossentropy(indices, x, mask_zero),
        jit_compile=jit,
        autograph=False,
    )
    value, gradient = with_gradient(function, scores)
    np.testing.assert_allclose(value, wanted, rtol=1e-5)
    np.testing.assert_allclose(gradient, slope, atol=1e-6)


def test_spans_may_be_filled_up_with_negative_ones_and_must_fit():
    scores = RNG.normal(size=(1, 1, 3, 3)).astype("float32")
    wanted = losses.sparse_global_pointer_crossentropy([[[[0, 1], [0, 0]]]], scores)
    for filling in ([-1, -1], [-100, -100], [2, -100]):
        found = losses.sparse_global_pointer_crossentropy([[[[0, 1], filling]]], scores)
        np.testing.assert_allclose(found, wanted, rtol=1e-6)
    for beyond in ([0, 4], [3, 3]):
        found = losses.sparse_global_pointer_crossentropy([[[[0, 1], beyond]]], scores)
        assert np.isnan(found).all()


@pytest.mark.parametrize("form, shape", [("simcse", (1, 3)), ("pairs", (1, 2, 3))])
@pytest.mark.parametrize("method", ["infonce", "flatnce"])
def test_one_row_left_to_a_replica_counts_nothing(form, shape, method):
    """As one of two replicas gets it at the end of the data; and none at all."""
    import tensorflow as tf

    loss = losses.ContrastiveLoss(form=form, method=method)
    traced = tf.function(
        lambda x: loss(tf.zeros(tf.shape(x)[:1]), x),
        [tf.TensorSpec([None, *shape[1:]])],
        autograph=False,
    )
    for rows in (1, 0):
        value, gradient = with_gradient(traced, np.ones((rows, *shape[1:]), "float32"))
        # FlatNCE is always 1 where there is a partner, with a gradient of 0 without others.
        assert float(value) == (1 if (form, method, rows) == ("pairs", "flatnce", 1) else 0)
        assert not gradient.any()


def test_a_replica_with_half_a_pair_too_many_fails():
    import tensorflow as tf

    traced = tf.function(
        lambda x: losses.ContrastiveLoss()(x[:, 0], x), [tf.TensorSpec([None, 3])], autograph=False
    )
    with pytest.raises(tf.errors.InvalidArgumentError, match="expected an even number of rows"):
        traced(np.ones((3, 3), "float32"))
    with pytest.raises(ValueError, match="expected an even number of rows, found 3"):
        losses.ContrastiveLoss()(np.zeros(3), np.ones((3, 3), "float32"))


def test_simbert_on_a_replica_without_rows():
    import tensorflow as tf

    layer = losses.SimBERTLoss()
    empty = [tf.zeros((0, 3), "int32"), tf.zeros((0, 3)), tf.zeros((0, 3, 5)), tf.zeros((0, 2))]
    assert float(layer.compute_loss(empty)) == 0
