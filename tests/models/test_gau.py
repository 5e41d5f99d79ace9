"""GAU_alpha against bert4keras' recordings, and the options that are its own."""

import json

import keras
import numpy as np
import pytest

from bert4keras_ext.checkpoints import open_checkpoint, save_checkpoint
from bert4keras_ext.models import build_transformer_model
from tests.models.families import build, inputs_of, predict, randomize
from tests.models.recorded_models import BERT4KERAS, bert4keras_cases, check_bert4keras_case

CASES = ["gau_alpha", "gau_alpha_mlm"]


@pytest.mark.parametrize("name", CASES)
def test_equals_bert4keras(name):
    # Float32 rounding through two layers, logits up to 8: a few units of 2^-21.
    check_bert4keras_case(name, tolerance=1e-5)


def test_published_names_are_written(tmp_path):
    """The file has exactly the variables that bert4keras' own has."""
    case = bert4keras_cases()["gau_alpha_mlm"]
    folder = BERT4KERAS / case["name"]
    builder = build_transformer_model(
        folder / "config.json", folder / "model.ckpt", model="gau_alpha",
        return_keras_model=False, **case["kwargs"],
    )  # fmt: skip
    save_checkpoint(builder, tmp_path / "model.ckpt")
    with (
        open_checkpoint(tmp_path / "model.ckpt") as ours,
        open_checkpoint(folder / "model.ckpt") as theirs,
    ):
        assert {n: list(ours.shape(n)) for n in ours.names()} == case["variables"]
        for name in ours.names():
            np.testing.assert_array_equal(ours.read(name), theirs.read(name))


def test_what_the_published_config_leaves_out(tmp_path):
    """Without attention_key_size queries have 128 channels; the number of heads means nothing."""
    config = dict(vocab_size=40, hidden_size=18, num_hidden_layers=1, num_attention_heads=1,
                  intermediate_size=24, hidden_act="swish")  # fmt: skip
    (tmp_path / "bert_config.json").write_text(json.dumps(config))
    builder = build_transformer_model(
        tmp_path / "bert_config.json", model="gau_alpha", return_keras_model=False
    )
    unit = builder.layers["Transformer-0-GatedAttentionUnit"]
    assert unit.i_dense.kernel.shape == (18, 2 * 24 + 128)
    assert unit.normalization == "softmax_plus" and not unit.use_bias


def test_initial_weights():
    """Deviation width^-1/2 layers^-1/3: of the inputs' width, or a small table's second axis."""
    builder = build_transformer_model(
        dict(vocab_size=11000, hidden_size=256, num_hidden_layers=8, num_attention_heads=1,
             intermediate_size=512, hidden_act="swish"),
        model="gau_alpha", return_keras_model=False,
    )  # fmt: skip
    weights = builder.named_weights()
    unit = "Transformer-3-GatedAttentionUnit"
    for name, width in (
        ("Embedding-Token/embeddings", 256), ("Embedding-Segment/embeddings", 256),
        (f"{unit}/i_dense/kernel", 256), (f"{unit}/o_dense/kernel", 512),
    ):  # fmt: skip
        values = weights[name].numpy()
        error = 4 / np.sqrt(2 * values.size)  # four deviations of a sample deviation
        assert abs(values.std() / (width**-0.5 / 2) - 1) < error + 1e-3, name
    other = weights["Transformer-4-GatedAttentionUnit/i_dense/kernel"].numpy()
    assert np.abs(other - weights[f"{unit}/i_dense/kernel"].numpy()).max() > 0.01


def test_residual_scores_reach_the_next_layer():
    """They change the result, unless the first layer's scores are all zero."""
    plain, residual = build("gau_alpha"), build("gau_alpha", residual_attention_scores=True)
    randomize(plain)
    for name, variable in residual.named_weights().items():
        variable.assign(plain.named_weights()[name])
    arrays = inputs_of(plain)
    a, b = predict(plain, arrays)[0], predict(residual, arrays)[0]
    assert np.abs(a - b).max() > 1e-3
    unit = "Transformer-0-GatedAttentionUnit"
    for name in ("q_scaleoffset", "k_scaleoffset"):
        residual.named_weights()[f"{unit}/{name}/gamma"].assign(np.zeros(8))
        plain.named_weights()[f"{unit}/{name}/gamma"].assign(np.zeros(8))
    np.testing.assert_allclose(predict(residual, arrays)[0], predict(plain, arrays)[0], atol=1e-5)


def test_pre_norm():
    builder = build("gau_alpha", pre_norm=True)
    names = [layer.name for layer in builder.model.layers]
    unit = "Transformer-0-GatedAttentionUnit"
    assert names.index(f"{unit}-Norm") < names.index(unit) < names.index("Output-Norm")
    assert np.all(np.isfinite(predict(builder, inputs_of(builder))[0]))


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_heads_are_float32(policy):
    keras.config.set_dtype_policy(policy)
    builder = build("gau_alpha")
    (found,) = predict(builder, inputs_of(builder))
    assert found.dtype == np.float32 and np.all(np.isfinite(found))


@pytest.mark.parametrize(
    "change, message",
    [
        ({"rotary_value": True, "attention_head_size": 8}, "leave out rotary_value"),
        ({"with_pool": True}, "no pooler"),
        ({"attention_key_size": 7}, "multiple of 2, received 7"),
        ({"use_bias": True}, "use_bias=False"),
    ],
)
def test_bad_values(change, message):
    with pytest.raises(ValueError, match=message):
        build("gau_alpha", **change)
