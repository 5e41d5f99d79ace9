"""A bad config fails when the model is built, and says what was expected, found, and to be done."""

import numpy as np
import pytest

from bert4keras_ext.checkpoints import CheckpointError, save_checkpoint
from bert4keras_ext.models import build_transformer_model
from tests.models.families import BASE, build


@pytest.mark.parametrize(
    "change, message",
    [
        ({"num_attention_heads": 3}, "hidden_size=16.*num_attention_heads=3.*attention_head_size"),
        ({"hidden_size": 0}, "hidden_size expects a positive integer, received 0"),
        ({"num_hidden_layers": 2.0}, "num_hidden_layers expects a positive integer"),
        ({"vocab_size": "40"}, "vocab_size expects a positive integer, received '40'"),
        ({"max_position_embeddings": -1}, "max_position expects a positive integer"),
        ({"sequence_length": 25}, "sequence_length=25 exceeds the 24 trained positions.*max_pos"),
        ({"hidden_act": "gleu"}, "gleu"),
        ({"hidden_dropout_prob": 1.5}, "dropout_rate expects a number from 0 to below 1"),
        ({"keep_tokens": [0, -1]}, "keep_tokens expects.*0 or more"),
        ({"keep_tokens": []}, "keep_tokens expects"),
        ({"attention_normalization": "sparsemax"}, "softmax_plus.*received 'sparsemax'"),
        ({"model": "brt"}, "unknown model 'brt': expected one of .*'bert'"),
        ({"application": "seq2seq"}, "application expects one of.*received 'seq2seq'"),
    ],
)
def test_bad_values(change, message):
    with pytest.raises(ValueError, match=message):
        build_transformer_model(BASE, **change)


@pytest.mark.parametrize("key", ["vocab_size", "hidden_size", "num_hidden_layers", "hidden_act"])
def test_missing_keys_are_named(key):
    config = {k: v for k, v in BASE.items() if k != key}
    with pytest.raises(ValueError, match=f"lacks \\['{key}'\\].*add the keys"):
        build_transformer_model(config)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, '{"vocab_size": ' + "1" * 5000])
def test_files_that_no_json_reader_survives(tmp_path, text):
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="config.json is not a JSON file.*expected"):
        build_transformer_model(path)


def test_unknown_types_of_a_folder_name_the_known_ones(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "whisper"}')
    with pytest.raises(ValueError, match="'whisper'.*'bert'"):
        build_transformer_model(tmp_path)


def test_a_vocabulary_larger_than_the_checkpoints(tmp_path):
    save_checkpoint(build("bert"), tmp_path / "m.safetensors", format="native")
    with pytest.raises(CheckpointError, match="Embedding-Token(.|\n)*40(.|\n)*50"):
        build_transformer_model({**BASE, "vocab_size": 50}, tmp_path / "m.safetensors")


def test_inputs_longer_than_the_positions():
    builder = build("bert")
    tokens = np.ones((1, 25), "int32")
    with pytest.raises(Exception, match="Embedding-Position knows 24 positions.*larger max_pos"):
        builder.model.predict_on_batch([tokens, tokens * 0])
    with pytest.raises(ValueError, match="knows 24 positions, received an input of length 25"):
        builder.model([tokens, tokens * 0])
