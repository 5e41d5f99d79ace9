"""Models on JAX: recorded outputs of each family, and training with our layers, losses, dropout."""

import keras
import numpy as np
import pytest

from bert4keras_ext.backend import set_recompute
from bert4keras_ext.layers import ConditionalRandomField, EfficientGlobalPointer, GlobalPointer
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


def test_crf_trains_decodes_and_is_saved(tmp_path):
    inputs = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(11, 8, mask_zero=True)(inputs)
    crf = ConditionalRandomField(lr_multiplier=10)
    model = keras.Model(inputs, crf(keras.layers.Dense(3)(x)))
    model.compile(keras.optimizers.Adam(0.05), crf.sparse_loss, metrics=[crf.sparse_accuracy])
    train(model, TOKENS, TOKENS % 3)
    logits = model.predict(TOKENS, verbose=0)
    assert np.all(np.isneginf(logits[::2, 4:]))
    assert not np.asarray(crf.decode(logits))[::2, 4:].any()
    model.save(tmp_path / "crf.keras")
    loaded = keras.models.load_model(tmp_path / "crf.keras", compile=False)
    np.testing.assert_array_equal(loaded.predict(TOKENS, verbose=0), logits)


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
