"""NEZHA: recorded models, relative positions, names in checkpoints, errors."""

import json
import logging

import numpy as np
import pytest

from bert4keras_ext.checkpoints import save_checkpoint
from bert4keras_ext.models import build_transformer_model
from tests import peers
from tests.models.families import BASE, build, inputs_of, predict, randomize
from tests.models.recorded_models import (
    bert4keras_cases,
    check_bert4keras_case,
    check_hugging_face_case,
)

INPUTS = ["input_ids", "token_type_ids"]
RECORDED = [n for n, case in bert4keras_cases().items() if case["model"] == "nezha"]


@pytest.mark.parametrize("name", RECORDED)
def test_equals_bert4keras(name):
    check_bert4keras_case(name, tolerance=2e-5)


@pytest.mark.parametrize("name, output, kwargs", [
    ("nezha_model", "out_pooler_output", {"with_pool": True}),
    ("nezha_mlm", "out_logits", {"with_mlm": "linear"}),  # 75 tokens: beyond 64
    ("nezha_pretraining_clip", "out_pooler_output", {"with_pool": True}),
    ("nezha_pretraining_clip", "out_seq_relationship_logits", {"with_nsp": "linear"}),
    ("nezha_pretraining_clip", "out_prediction_logits", {"with_mlm": "linear"}),
])  # fmt: skip
def test_heads_equal_transformers(name, output, kwargs):
    mask = None if output in ("out_pooler_output", "out_seq_relationship_logits") else True
    mask = mask and "attention_mask"
    check_hugging_face_case(name, output, INPUTS, mask=mask, **kwargs)


@pytest.mark.parametrize("name", ["nezha_model", "nezha_mlm", "nezha_pretraining_clip"])
def test_states_equal_transformers(name):
    check_hugging_face_case(name, "out_last_hidden_state", INPUTS, mask="attention_mask")


def test_the_table_is_fixed_and_sinusoidal():
    layer = build("nezha", max_relative_position=5).layers["Embedding-Relative-Position"]
    assert not layer.trainable_weights
    angles = np.arange(11)[:, None] * 10000.0 ** (-np.arange(4) / 4)
    table = layer.get_weights()[0]
    np.testing.assert_allclose(table[:, 0::2], np.sin(angles), atol=1e-6)
    np.testing.assert_allclose(table[:, 1::2], np.cos(angles), atol=1e-6)


def copied(builder, weights):
    for name, variable in builder.named_weights().items():
        variable.assign(weights[name])
    return builder


@pytest.mark.parametrize("application", ["encoder", "lm"])
def test_position_ids_make_the_distances(application):
    """Ids that differ by more than the reach are all alike; a shift changes nothing."""
    options = {"max_relative_position": 3, "application": application}
    plain = build("nezha", **options)
    randomize(plain)
    custom = copied(build("nezha", custom_position_ids=True, **options), plain.named_weights())
    arrays = inputs_of(plain)
    arrays[0][arrays[0] == 0] = 5
    counting = np.tile(np.arange(8), (4, 1))

    def by(ids):
        return predict(custom, [*arrays, ids])[0]

    np.testing.assert_allclose(by(counting + 1000), predict(plain, arrays)[0], atol=1e-5)
    np.testing.assert_allclose(by(counting * 3), by(counting * 10), atol=1e-5)
    assert np.abs(by(counting) - by(counting * 3)).max() > 1e-2


def test_keys_and_values_of_different_width():
    builder = build("nezha", attention_head_size=6, attention_key_size=4)
    tables = [w.shape for n, w in builder.named_weights().items() if "Relative" in n]
    assert tables == [(129, 4), (129, 6)]


def test_inputs_may_be_longer_than_max_position():
    long = [np.ones((1, 100), "int32"), np.zeros((1, 100), "int32")]
    assert predict(build("nezha"), long)[0].shape == (1, 100, 40)


@pytest.mark.parametrize("format", ["tensorflow", "huggingface"])
def test_the_table_is_not_written_and_not_missed(format, tmp_path, caplog):
    builder = build("nezha")
    with caplog.at_level(logging.WARNING):
        names = save_checkpoint(builder, tmp_path / "m", format=format)
    assert not caplog.records and "Embedding-Relative-Position/embeddings" not in names
    first = "bert/" if format == "tensorflow" else "nezha."
    assert all(n.startswith((first, "cls")) for n in names.values())


@pytest.mark.parametrize("base", ["nezha.", "bert.", ""])
def test_files_with_buffers_and_other_prefixes(base, tmp_path):
    """Files of before transformers knew NEZHA begin with "bert.", and hold the positions."""
    builder = build("nezha", with_mlm=False)
    randomize(builder)
    save_checkpoint(builder, tmp_path, format="huggingface")
    from safetensors.numpy import load_file

    arrays = {
        name.replace("nezha.", base, 1): array
        for name, array in load_file(tmp_path / "model.safetensors").items()
    }
    buffer = "encoder.layer.0.attention.self.relative_positions_encoding.positions_encoding"
    arrays[base + buffer] = np.zeros((24, 24, 8), "float32")
    again = build("nezha", with_mlm=False)
    report = again.load_weights_from_checkpoint(arrays)
    assert not report.unused and not report.missing
    arrays = inputs_of(builder)
    np.testing.assert_array_equal(predict(again, arrays)[0], predict(builder, arrays)[0])


def test_transformers_loads_what_is_written(tmp_path):
    builder = build("nezha", max_relative_position=4)
    peers.fill(builder)
    save_checkpoint(builder, tmp_path, format="huggingface")
    config = {**BASE, "max_relative_position": 4, "layer_norm_eps": 1e-7}
    (tmp_path / "config.json").write_text(json.dumps({**config, "model_type": "nezha"}))
    tokens, segments = inputs_of(builder)

    def theirs():
        from transformers.models.deprecated.nezha import NezhaForMaskedLM  # until version 4

        return peers.logits(peers.loaded(NezhaForMaskedLM, tmp_path), tokens, segments)

    wanted = peers.answer("nezha", tmp_path, theirs)["logits"]
    found = predict(builder, [tokens, segments])[0]
    np.testing.assert_allclose(found[tokens > 0], wanted[tokens > 0], atol=5e-5)


def test_an_impossible_reach_is_named():
    with pytest.raises(ValueError, match="max_relative_position expects a positive.*received 0"):
        build_transformer_model(BASE, model="nezha", max_relative_position=0)
