"""Losses of logits refuse probabilities: by their origin while they are traced, else by values."""

import warnings

import keras
import numpy as np
import pytest
from keras import ops

from bert4keras_ext import losses
from bert4keras_ext.backend.logits import expect_logits, probabilities_from
from bert4keras_ext.models import build_transformer_model

CONFIG = {
    "vocab_size": 12, "hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 1,
    "intermediate_size": 8, "hidden_act": "gelu", "max_position_embeddings": 8,
}  # fmt: skip
TOKENS = np.array([[2, 5, 3, 6, 7, 3]] * 2)
SEGMENTS = np.array([[0, 0, 0, 1, 1, 1]] * 2)
LABELS = np.array([0, 0, 1, 1])
ONE_HOT = np.eye(3)[LABELS]
SPANS = np.array([[[[1, 2]]]] * 4)


def r_drop_mean(y_true, y_pred):
    return ops.mean(losses.r_drop(y_true, y_pred))


def disagreement(y_true, y_pred):
    return losses.symmetric_kl(y_pred, y_true)


# name: (loss, labels)
LOSSES = {
    "token_crossentropy": (losses.token_crossentropy, LABELS),
    "seq2seq_crossentropy": (losses.seq2seq_crossentropy, LABELS),
    "r_drop": (r_drop_mean, LABELS),
    "symmetric_kl": (disagreement, ONE_HOT),
    "RDropLoss": (losses.RDropLoss(), LABELS),
    "MultiTaskCrossentropy": (losses.MultiTaskCrossentropy((1, 2)), LABELS),
    "Multilabel": (losses.MultilabelCategoricalCrossentropy(), ONE_HOT),
    "SparseMultilabel": (losses.SparseMultilabelCategoricalCrossentropy(), LABELS[:, None]),
    "AMSoftmax": (losses.AMSoftmax(), LABELS),
    "am_softmax": (losses.am_softmax, ONE_HOT),
    "SimplerASoftmax": (losses.SimplerASoftmax(), LABELS),
    "simpler_a_softmax": (losses.simpler_a_softmax, ONE_HOT),
    "contrastive_crossentropy": (losses.contrastive_crossentropy, LABELS),
}


def head(activation, policy=None):
    inputs = keras.Input((3,))
    outputs = keras.layers.Dense(3, activation=activation, dtype=policy, name="head")(inputs)
    return keras.Model(inputs, outputs)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize(
    "activation, options",
    [("softmax", {}), ("sigmoid", {"jit_compile": True}), ("softmax", {"run_eagerly": True})],
)
def test_compiled_losses_refuse_a_softmax_or_sigmoid(name, activation, options):
    loss, labels = LOSSES[name]
    model = head(activation)
    model.compile("sgd", loss, **options)
    with pytest.raises(ValueError, match="expects .*, found probabilities"):
        model.train_on_batch(np.ones((4, 3)), labels)


@pytest.mark.parametrize("name", LOSSES)
def test_logits_pass_without_a_word(name):
    loss, labels = LOSSES[name]
    model = head(None)
    model.compile("sgd", loss, run_eagerly=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.train_on_batch(np.ones((4, 3)), labels)


@pytest.mark.parametrize("sparse", [True, False])
def test_spans(sparse):
    inputs = keras.Input((1, 3, 3))
    model = keras.Model(inputs, keras.layers.Activation("sigmoid")(inputs))
    model.compile("sgd", losses.GlobalPointerCrossentropy(sparse=sparse))
    labels = SPANS if sparse else np.zeros((4, 1, 3, 3))
    with pytest.raises(ValueError, match="expects logits, found probabilities .*a sigmoid"):
        model.evaluate(np.ones((4, 1, 3, 3)), labels, verbose=0)


def test_half_precision_is_seen_through():
    model = head("softmax", "mixed_float16")
    model.compile("sgd", losses.RDropLoss())
    with pytest.raises(ValueError, match="found probabilities .*a softmax, .*head"):
        model.train_on_batch(np.ones((4, 3)), LABELS)


class Subclassed(keras.Model):
    def __init__(self, squash):
        super().__init__()
        self.dense, self.squash = keras.layers.Dense(3), squash

    def call(self, x):
        return self.squash(self.dense(x))


def shares(x):
    x = ops.exp(x)
    return x / ops.sum(x, axis=-1, keepdims=True)


@pytest.mark.parametrize(
    "squash",
    [
        ops.softmax,
        keras.layers.Softmax(),
        shares,
        lambda x: ops.exp(ops.log_softmax(x)),
        lambda x: ops.reshape(ops.transpose(ops.softmax(x)), (-1, 3)),
        lambda x: ops.stop_gradient(ops.sigmoid(x))[:, :3],
        lambda x: ops.clip(ops.softmax(x), 1e-7, 1 - 1e-7),
        lambda x: ops.concatenate([ops.softmax(x[:, :2]), ops.sigmoid(x[:, 2:])], axis=1),
        lambda x: ops.stack([ops.softmax(x), ops.softmax(-x)], axis=1)[:, 0],
    ],
)
def test_subclassed_models(squash):
    model = Subclassed(squash)
    model.compile("sgd", losses.token_crossentropy)
    with pytest.raises(ValueError, match="found probabilities"):
        model.train_on_batch(np.ones((4, 3)), LABELS)


@pytest.mark.parametrize(
    "squash",
    [
        ops.log_softmax, lambda x: 9 * ops.softmax(x), lambda x: ops.log(ops.sigmoid(x)),
        lambda x: ops.concatenate([ops.softmax(x[:, :2]), x[:, 2:]], axis=1),
        lambda x: ops.maximum(ops.sigmoid(x), x),
    ],
)  # fmt: skip
def test_what_is_made_of_probabilities_may_be_logits(squash):
    model = Subclassed(squash)
    model.compile("sgd", losses.token_crossentropy)
    assert np.isfinite(model.train_on_batch(np.ones((4, 3)), LABELS))


def test_symbolic_tensors_are_followed_through_layers_and_models():
    x = keras.Input((3,))
    inner = keras.Model(x, keras.layers.Dense(2, "softmax", name="inner")(x))
    moved = keras.layers.Reshape((1, 2))(ops.cast(inner(x), "float16")[:, :2])
    assert probabilities_from(moved) == 'a softmax, "inner"'
    clipped = ops.clip(inner(x), 1e-7, 1.0)
    assert probabilities_from(keras.layers.Concatenate()([clipped, moved[:, 0]])) is not None
    assert probabilities_from(keras.layers.Concatenate()([clipped, x])) is None
    each = keras.layers.TimeDistributed(keras.layers.Dense(2, "softmax"))
    assert probabilities_from(each(keras.Input((2, 3)))) is not None
    assert probabilities_from(keras.layers.Dense(2)(inner(x))) is None
    assert probabilities_from(x) is None


def test_values_are_warned_of_in_eager_execution():
    rows = np.array([[0.2, 0.8], [0.5, 0.5]], "float32")
    for scores in (rows, ops.convert_to_tensor(rows)):
        with pytest.warns(UserWarning, match="token_crossentropy expects logits, found rows"):
            losses.token_crossentropy(np.array([0, 1]), scores)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for scores in (np.eye(3), np.zeros((2, 3)), np.ones((2, 1)), rows - 1, np.ones((0, 3))):
            expect_logits("loss", scores)


@pytest.fixture(scope="module")
def heads():
    """Probabilities, as the builder gives them by default, and the inputs they are made of."""
    unilm = build_transformer_model(CONFIG, application="unilm", with_mlm=True)
    gpt = build_transformer_model(CONFIG, model="gpt")
    tied = build_transformer_model({**CONFIG, "hidden_act": "relu"}, model="t5.1.0")
    gated = {**CONFIG, "hidden_act": ["gelu", "linear"]}
    own = build_transformer_model(gated, model="t5.1.1")
    return {"unilm": unilm, "gpt": gpt, "t5.1.0": tied, "t5.1.1": own}


@pytest.mark.parametrize("family", ["unilm", "gpt", "t5.1.0", "t5.1.1"])
def test_loss_layers_refuse_the_builders_probabilities_at_once(heads, family):
    model = heads[family]
    targets = keras.Input((None,), dtype="int32")
    with pytest.raises(ValueError, match='found probabilities .*a softmax, .*with_lm="linear"'):
        losses.Seq2SeqLoss()([model.inputs[0], targets, model.output])
    with pytest.raises(ValueError, match='with_mlm="linear"'):
        vectors = keras.Input((4,))
        losses.SimBERTLoss()([model.inputs[0], targets, model.output, vectors])


@pytest.mark.parametrize("family", ["unilm", "t5.1.1"])
def test_compiled_losses_refuse_the_builders_probabilities(heads, family):
    model = heads[family]
    model.compile("sgd", losses.token_crossentropy)
    with pytest.raises(ValueError, match='a softmax, .*with_mlm="linear".*with_lm="linear"'):
        model.train_on_batch([TOKENS, SEGMENTS], TOKENS)


def test_a_subclass_may_want_probabilities():
    class Likelihood(losses.Seq2SeqLoss):
        def compute_loss(self, inputs, mask=None):
            return -ops.mean(ops.log(inputs[2]))

    tokens, targets = keras.Input((4,), dtype="int32"), keras.Input((4,), dtype="int32")
    x = keras.layers.Embedding(5, 5)(tokens)
    outputs = Likelihood()([tokens, targets, keras.layers.Softmax()(x)])
    model = keras.Model([tokens, targets], outputs)
    model.compile("sgd")
    assert model.train_on_batch([TOKENS[:, :4] % 5, SEGMENTS[:, :4]]) > 1
