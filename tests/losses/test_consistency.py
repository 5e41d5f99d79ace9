"""R-Drop against a float64 loop, in its three weightings."""

import keras
import numpy as np
import pytest
from keras import ops

from bert4keras_ext.losses.consistency import RDropLoss, r_drop, symmetric_kl
from tests.losses.common import check_serialization, slopes, with_gradient

LABELS = np.array([2, 2, 0, 0, 1, 1])


def softmax(x):
    e = np.exp(x - x.max())
    return e / e.sum()


def loop(logits, alpha, weighting):
    values = []
    for i in range(0, len(logits), 2):
        p, q = softmax(logits[i]), softmax(logits[i + 1])
        error = -np.log(p[LABELS[i]]), -np.log(q[LABELS[i + 1]])
        kl = sum(a * (np.log(a) - np.log(b)) for a, b in zip(p, q))
        kl += sum(b * (np.log(b) - np.log(a)) for a, b in zip(p, q))
        values.append({
            "article": sum(error) / 2 + alpha / 4 * kl,
            "paper": sum(error) + alpha / 2 * kl,
            "official": sum(error) / 2 + alpha / 2 * kl,
        }[weighting])  # fmt: skip
    return np.array(values)


@pytest.mark.parametrize("weighting", ["article", "paper", "official"])
def test_equals_a_float64_loop(weighting):
    logits = np.random.default_rng(0).normal(size=(6, 4)).astype("float32") * 3
    value, gradient = with_gradient(lambda x: r_drop(LABELS, x, 3.0, weighting), logits)
    np.testing.assert_allclose(value, loop(logits.astype("float64"), 3.0, weighting), rtol=1e-5)
    wanted = slopes(lambda x: loop(x, 3.0, weighting), logits)
    np.testing.assert_allclose(gradient, wanted, atol=1e-4)


def test_equal_passes_leave_the_cross_entropy():
    logits = np.repeat(np.random.default_rng(1).normal(size=(3, 4)), 2, axis=0).astype("float32")
    wanted = ops.sparse_categorical_crossentropy(LABELS, logits, from_logits=True)[::2]
    np.testing.assert_allclose(r_drop(LABELS, logits), wanted, rtol=1e-5)


def test_probabilities_as_labels_equal_indices():
    logits = np.random.default_rng(2).normal(size=(6, 4)).astype("float32")
    dense = r_drop(np.eye(4)[LABELS], logits)
    np.testing.assert_allclose(r_drop(LABELS[:, None], logits), dense, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_extreme_logits_are_finite(dtype):
    logits = ops.cast([[1e4, -1e4], [-1e4, 1e4]], dtype)
    value, gradient = with_gradient(lambda x: r_drop([0, 1], x), logits)
    assert np.all(np.isfinite(value)) and np.all(np.isfinite(gradient))
    assert float(symmetric_kl(logits[0], logits[0])) == 0


def test_as_a_keras_loss():
    loss = check_serialization(RDropLoss(alpha=2.0, weighting="paper"))
    model = keras.Sequential([keras.layers.Dropout(0.3), keras.layers.Dense(4)])
    for jit in (False, True):
        model.compile("sgd", loss, jit_compile=jit)
        history = model.fit(np.eye(6), LABELS, batch_size=6, verbose=0)
        assert np.isfinite(history.history["loss"][0])


def test_unknown_weightings_name_the_known_ones():
    with pytest.raises(ValueError, match="article.*received 'mine'"):
        RDropLoss(weighting="mine")


@pytest.mark.parametrize("soft", [False, True])
def test_masked_classes_take_no_part(soft):
    """As if they were not there, with gradient 0, not NaN."""
    scores = np.random.default_rng(7).normal(size=(4, 5)).astype("float32")
    scores[:, 3:] = -np.inf
    labels = np.array([0, 0, 2, 2])
    wide, narrow = (np.eye(n, dtype="float32")[labels] if soft else labels for n in (5, 3))
    value, gradient = with_gradient(lambda x: r_drop(wide, x), scores)
    wanted, slope = with_gradient(lambda x: r_drop(narrow, x), scores[:, :3])
    np.testing.assert_allclose(value, wanted, rtol=1e-6)
    np.testing.assert_allclose(gradient[:, :3], slope, atol=1e-6)
    assert not gradient[:, 3:].any()


def test_an_odd_number_of_rows_is_refused():
    """Three rows would broadcast silently."""
    with pytest.raises(ValueError, match="expected an even number of rows, found 3"):
        r_drop([0, 0, 0], np.zeros((3, 4), "float32"))
