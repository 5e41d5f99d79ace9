"""Models on JAX: recorded outputs of each family, and training with our layers, losses, dropout."""

import keras
import numpy as np
import pytest

from bert4keras_ext.backend import set_recompute
from bert4keras_ext.layers import (
    ConditionalRandomField,
    EfficientGlobalPointer,
    GlobalPointer,
    MaximumEntropyMarkovModel,
)
from bert4keras_ext.losses import GlobalPointerCrossentropy, SimBERTLoss
from bert4keras_ext.models import build_transformer_model
from tests.models.recorded_models import check_bert4keras_case

# One of each family, with as many different options as there are families.
CASES = ["bert_nsp_mlm", "bert_hierarchical", "bert_residual_attention", "bert_cond_ln",
         "albert_mlm_nsp", "nezha_mlm", "roformer_unilm", "roformer_v2_mlm", "electra", "gpt",
         "gpt2_ml", "t5.1.0", "mt5.1.1_nocross", "gau_alpha_mlm"]  # fmt: skip
CONFIG = {
    "vocab_size": 11,
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "hidden_act": "gelu",
    "max_position_embeddings": 16,
    "type_vocab_size": 2,
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
}
TOKENS = np.random.default_rng(0).integers(1, 11, (8, 6))
TOKENS[::2, 4:] = 0


@pytest.mark.parametrize("name", CASES)
def test_equals_bert4keras(name):
    check_bert4keras_case(name)


def train(model, inputs, labels=None, epochs=8):
    history = model.fit(inputs, labels, epochs=epochs, batch_size=8, verbose=0).history["loss"]
    assert np.all(np.isfinite(history)) and history[-1] < history[0]


def chain_data():
    """Labels that depend on the label before: token 3 repeats it, tokens 1 and 2 set it."""
    rng = np.random.default_rng(5)
    tokens = rng.integers(1, 4, (32, 7))
    tokens[:, 0] = rng.integers(1, 3, 32)
    labels = tokens - 1
    for t in range(1, 7):
        labels[:, t] = np.where(tokens[:, t] == 3, labels[:, t - 1], labels[:, t])
    tokens[::4, 5:] = 0
    return tokens, labels


def chain_model(layer):
    inputs = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(4, 8, mask_zero=True)(inputs)
    return keras.Model(inputs, layer(keras.layers.Dense(2)(x)))


def test_crf_trains_decodes_and_is_saved(tmp_path):
    tokens, labels = chain_data()
    crf = ConditionalRandomField(lr_multiplier=2)
    model = chain_model(crf)
    model.compile(keras.optimizers.Adam(0.05), crf.sparse_loss, metrics=[crf.sparse_accuracy])
    model.fit(tokens, labels, epochs=60, batch_size=32, verbose=0)
    logits = model.predict(tokens, verbose=0)
    decoded = np.asarray(crf.decode(logits))
    assert np.mean((decoded == labels)[tokens > 0]) > 0.95  # the scores alone know 2 of 3
    assert np.all(np.isneginf(logits[tokens == 0])) and not decoded[tokens == 0].any()
    model.save(tmp_path / "crf.keras")
    loaded = keras.models.load_model(tmp_path / "crf.keras", compile=False)
    np.testing.assert_array_equal(loaded.predict(tokens, verbose=0), logits)


def test_memm_trains_and_its_accuracy_is_for_outputs():
    tokens, labels = chain_data()
    memm = MaximumEntropyMarkovModel(lr_multiplier=2)
    model = chain_model(memm)
    model.compile(keras.optimizers.Adam(0.05), memm.sparse_loss)
    train(model, tokens, labels, epochs=60)
    assert memm.sparse_accuracy(labels, model.predict(tokens, verbose=0)) > 0.9
    model.compile("adam", memm.sparse_loss, metrics=[memm.sparse_accuracy])
    with pytest.raises(RuntimeError, match="hands no weights to metrics: leave this metric out"):
        model.fit(tokens, labels, verbose=0)


@pytest.mark.parametrize("cls", [GlobalPointer, EfficientGlobalPointer])
def test_global_pointer_behind_an_encoder_trains_from_sparse_labels(cls):
    set_recompute(True)
    encoder = build_transformer_model(CONFIG, model="roformer")
    model = keras.Model(encoder.inputs, cls(2, 4)(encoder.output))
    model.compile(keras.optimizers.Adam(0.01), GlobalPointerCrossentropy(sparse=True))
    train(model, [TOKENS, 0 * TOKENS], np.array([[[[1, 2]], [[0, 0]]]] * 8))


def test_loss_layer_trains_without_targets():
    unilm = build_transformer_model(CONFIG, application="unilm", with_mlm="linear")
    tokens, segments = unilm.inputs
    vectors = unilm.get_layer("Transformer-0-FeedForward-Norm").output[:, 0]
    outputs = SimBERTLoss()([tokens, segments, unilm.output, vectors])
    model = keras.Model(unilm.inputs, outputs)
    model.compile(keras.optimizers.Adam(0.01))
    train(model, [TOKENS, (TOKENS > 5).astype("int32")])


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_is_near_float32(policy):
    """Of one layer: 16 roundings of 2^-11 or 2^-8, as in tests/harness.py."""
    plain = build_transformer_model(CONFIG)
    keras.config.set_dtype_policy(policy)
    mixed = build_transformer_model(CONFIG)
    mixed.set_weights(plain.get_weights())
    inputs = [TOKENS, 0 * TOKENS]
    found, wanted = (model.predict(inputs, verbose=0) for model in (mixed, plain))
    tolerance = 16 * (2.0**-11 if policy == "mixed_float16" else 2.0**-8)
    kept = TOKENS > 0
    np.testing.assert_allclose(found.astype("float32")[kept], wanted[kept], atol=tolerance)
