"""Losses of sequences against float64 loops, and as layers of a model."""

import keras
import numpy as np
import pytest

from bert4keras_ext.losses.sequences import (
    Seq2SeqLoss,
    SimBERTLoss,
    seq2seq_crossentropy,
    token_crossentropy,
)
from tests.losses.common import slopes, with_gradient
from tests.losses.test_contrastive import simcse_loop

RNG = np.random.default_rng(0)
TOKENS = RNG.integers(0, 6, (3, 5))
LOGITS = RNG.normal(size=(3, 5, 6)).astype("float32") * 3
MASK = np.array([[1, 1, 1, 1, 1], [0, 0, 1, 1, 0], [0, 0, 0, 0, 0]])


def token_loop(tokens, logits, smoothing=0.0, gamma=0.0):
    values = np.zeros(tokens.shape)
    for place in np.ndindex(*tokens.shape):
        row = np.asarray(logits[place], "float64")
        logs = row - row.max() - np.log(np.exp(row - row.max()).sum())
        target = logs[tokens[place]]
        loss = -(1 - smoothing) * target - smoothing * logs.mean()
        values[place] = loss * (1 - np.exp(target)) ** gamma
    return values


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_tokens_equal_a_float64_loop(smoothing, gamma):
    value, gradient = with_gradient(
        lambda x: token_crossentropy(TOKENS, x, smoothing, gamma), LOGITS
    )
    wanted = token_loop(TOKENS, LOGITS, smoothing, gamma)
    np.testing.assert_allclose(value, wanted, rtol=1e-5, atol=1e-6)
    slope = slopes(lambda x: token_loop(TOKENS, x, smoothing, gamma), LOGITS)
    np.testing.assert_allclose(gradient, slope, atol=1e-4)


def test_focal_equals_keras():
    labels = np.eye(6)[TOKENS]
    wanted = keras.losses.CategoricalFocalCrossentropy(
        alpha=1.0, gamma=2.0, from_logits=True, reduction=None
    )(labels, LOGITS)
    np.testing.assert_allclose(token_crossentropy(TOKENS, LOGITS, gamma=2.0), wanted, rtol=1e-4)


def test_only_counted_tokens_are_averaged():
    wanted = token_loop(TOKENS, LOGITS)[MASK == 1].mean()
    np.testing.assert_allclose(seq2seq_crossentropy(TOKENS, LOGITS, MASK), wanted, rtol=1e-5)
    wild = LOGITS.copy()
    wild[MASK == 0] = np.nan  # what stands in padding does not reach the loss
    value, gradient = with_gradient(lambda x: seq2seq_crossentropy(TOKENS, x, MASK), wild)
    np.testing.assert_allclose(value, wanted, rtol=1e-5)
    assert np.all(np.isfinite(gradient[MASK == 1]))
    assert float(seq2seq_crossentropy(TOKENS, LOGITS, MASK * 0)) == 0


def test_extreme_logits_are_finite():
    for size in (1e4, -1e4):
        value, gradient = with_gradient(
            lambda x: token_crossentropy(TOKENS, x, 0.1, 2.0), LOGITS * np.float32(size)
        )
        assert np.all(np.isfinite(value)) and np.all(np.isfinite(gradient))


def run(layer, inputs):
    layer(inputs)
    (loss,) = layer.losses
    return float(loss)


def test_the_layer_predicts_the_next_token():
    found = run(Seq2SeqLoss(), [TOKENS, MASK, LOGITS])
    shifted = token_loop(TOKENS[:, 1:], LOGITS[:, :-1])
    np.testing.assert_allclose(found, shifted[MASK[:, 1:] == 1].mean(), rtol=1e-5)


def test_simbert_adds_both_losses():
    vectors = RNG.normal(size=(4, 3)).astype("float32")
    tokens, logits = TOKENS[[0, 1, 2, 0]], LOGITS[[0, 1, 2, 0]]
    mask = np.ones((4, 5))
    found = run(SimBERTLoss(scale=5.0, contrastive_weight=0.5), [tokens, mask, logits, vectors])
    wanted = token_loop(tokens[:, 1:], logits[:, :-1]).mean()
    wanted += 0.5 * simcse_loop(vectors, 5.0).mean()
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_in_a_model_that_has_no_other_loss(tmp_path):
    tokens, segments = keras.Input((None,), dtype="int32"), keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(6, 8, mask_zero=True)(tokens)
    logits = keras.layers.Dense(6)(x)
    vectors = keras.layers.GlobalAveragePooling1D()(x)
    outputs = SimBERTLoss(label_smoothing=0.1)([tokens, segments, logits, vectors])
    model = keras.Model([tokens, segments], outputs)
    model.compile("adam")
    inputs = [TOKENS[[0, 1, 2, 0]], np.ones((4, 5), "int32")]
    first = model.train_on_batch(inputs)
    for _ in range(20):
        last = model.train_on_batch(inputs)
    assert np.isfinite(first) and last < first
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    assert again.layers[-1].get_config() == model.layers[-1].get_config()


def test_masked_classes_take_no_part():
    """As if they were not there, label smoothing included, with gradient 0, not NaN."""
    scores = np.random.default_rng(8).normal(size=(4, 5)).astype("float32")
    scores[:, 3:] = -np.inf
    labels = np.array([0, 1, 2, 2])

    def function(x):
        return token_crossentropy(labels, x, label_smoothing=0.1, gamma=2.0)

    value, gradient = with_gradient(function, scores)
    wanted, slope = with_gradient(function, scores[:, :3])
    np.testing.assert_allclose(value, wanted, rtol=1e-6)
    np.testing.assert_allclose(gradient[:, :3], slope, atol=1e-6)
    assert not gradient[:, 3:].any()


def test_a_masked_token_without_any_class_leaves_gradients_finite():
    scores = np.array([[[1.0, 2.0], [-np.inf, -np.inf]]], "float32")
    value, gradient = with_gradient(
        lambda x: seq2seq_crossentropy([[0, 0]], x, np.array([[1, 0]])), scores
    )
    assert np.isfinite(value) and np.all(np.isfinite(gradient)) and not gradient[0, 1].any()
