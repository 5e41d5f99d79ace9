"""RoBERTa: positions that count real tokens, padding that is not 0, names and configs."""

import json

import numpy as np
import pytest

from bert4keras_ext.checkpoints import open_checkpoint, save_checkpoint
from bert4keras_ext.models import RoBERTa, build_transformer_model
from bert4keras_ext.models.registry import model_of_type
from bert4keras_ext.models.roberta import RealTokenPositions
from tests import peers
from tests.models.families import BASE, predict, randomize

CONFIG = {
    **BASE, "model_type": "roberta", "type_vocab_size": 1, "pad_token_id": 1,
    "layer_norm_eps": 1e-5,
}  # fmt: skip
TOKENS = np.array([[0, 5, 9, 30, 2, 8], [0, 7, 2, 1, 1, 1], [0, 1, 6, 1, 4, 2]])
# Written by hand: real tokens are counted from 2 on, padding is 1 wherever it stands.
POSITIONS = np.array([[2, 3, 4, 5, 6, 7], [2, 3, 4, 1, 1, 1], [2, 1, 3, 1, 4, 5]])


def build(**kwargs):
    return build_transformer_model(CONFIG, return_keras_model=False, **kwargs)


def test_positions_count_real_tokens():
    np.testing.assert_array_equal(RealTokenPositions()(TOKENS), POSITIONS)
    with pytest.raises(ValueError, match="positions for 5 tokens.*length 6.*max_position"):
        RealTokenPositions(limit=5)(TOKENS)


def test_it_is_a_bert_with_these_positions():
    roberta = build(with_mlm="linear")
    assert type(roberta) is RoBERTa and [x.name for x in roberta.inputs] == ["Input-Token"]
    randomize(roberta)
    bert = build(model="bert", with_mlm="linear", custom_position_ids=True)
    for name, variable in bert.named_weights().items():
        variable.assign(roberta.named_weights()[name])
    (found,) = predict(roberta, [TOKENS])
    (wanted,) = predict(bert, [TOKENS, TOKENS * 0, POSITIONS])
    # float32 eps times two layers, logits up to about 10
    np.testing.assert_allclose(found[TOKENS != 1], wanted[TOKENS != 1], atol=2e-5)
    custom = build(with_mlm="linear", custom_position_ids=True)
    custom.model.set_weights(roberta.model.get_weights())
    np.testing.assert_allclose(predict(custom, [TOKENS, POSITIONS])[0], found, atol=2e-5)


def test_padding_changes_nothing():
    builder = build()
    randomize(builder)
    longer = np.pad(TOKENS, ((0, 0), (0, 3)), constant_values=1)
    (a,), (b,) = predict(builder, [TOKENS]), predict(builder, [longer])
    np.testing.assert_allclose(a[TOKENS != 1], b[:, :6][TOKENS != 1], atol=2e-5)


def test_positions_and_padding_stay_when_the_vocabulary_is_cut(tmp_path):
    whole = build(with_mlm="linear")
    randomize(whole)
    save_checkpoint(whole, tmp_path, format="huggingface")
    keep = [0, 2, 4, 1, 5, 6, 7, 8, 9, 30]  # padding is now row 3
    cut = build(with_mlm="linear", keep_tokens=keep)
    cut.load_weights_from_checkpoint(tmp_path)
    tokens = np.array([[0, 4, 9, 1, 3, 3]])
    (found,) = predict(cut, [tokens])
    (wanted,) = predict(whole, [np.array(keep)[tokens]])
    np.testing.assert_allclose(found[:, :4], wanted[:, :4][..., keep], atol=2e-5)


@pytest.mark.parametrize("model_type", ["roberta", "xlm-roberta"])
def test_folders_are_read_and_written(model_type, tmp_path):
    first = build(with_mlm="linear", with_pool=True)
    randomize(first)
    save_checkpoint(first, tmp_path, format="huggingface")
    (tmp_path / "config.json").write_text(json.dumps({**CONFIG, "model_type": model_type}))
    with open_checkpoint(tmp_path) as reader:
        names = set(reader.names())
    assert {"lm_head.bias", "lm_head.layer_norm.weight", "lm_head.dense.weight"} < names
    assert {"roberta.embeddings.token_type_embeddings.weight"} < names
    second = build_transformer_model(
        tmp_path, return_keras_model=False, with_mlm="linear", with_pool=True
    )
    for a, b in zip(predict(first, [TOKENS]), predict(second, [TOKENS])):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"with_nsp": True}, "not trained on sentence pairs.*with_pool"),
        ({"sequence_length": 23}, "sequence_length=23 exceeds the 22 trained positions"),
        ({"application": "unilm"}, "needs segment ids"),
    ],
)
def test_bad_configs(change, message):
    with pytest.raises(ValueError, match=message):
        build(**change)


def test_inputs_longer_than_the_positions():
    builder = build()
    tokens = np.full((1, 23), 5, "int32")
    with pytest.raises(Exception, match="positions for 22 tokens"):
        builder.model.predict_on_batch(tokens)


def test_transformers_loads_what_is_written(tmp_path):
    settings = {**CONFIG, "hidden_act": "relu"}  # the head's activation stays GELU
    builder = build_transformer_model(settings, with_mlm="linear", return_keras_model=False)
    peers.fill(builder)
    save_checkpoint(builder, tmp_path, format="huggingface")
    (tmp_path / "config.json").write_text(json.dumps(settings))
    mask = (TOKENS != 1).astype(int)

    def theirs():
        model = peers.loaded("RobertaForMaskedLM", tmp_path)
        return peers.logits(model, TOKENS, attention_mask=mask)

    wanted = peers.answer("roberta", tmp_path, theirs)["logits"]
    (found,) = predict(builder, [TOKENS])
    np.testing.assert_allclose(found[mask == 1], wanted[mask == 1], atol=2e-5)
    (again,) = predict(
        build_transformer_model(tmp_path, with_mlm="linear", return_keras_model=False), [TOKENS]
    )
    np.testing.assert_array_equal(again, found)


@pytest.mark.parametrize(
    "config, model",
    [
        ({"architectures": ["RobertaForMaskedLM"], "pad_token_id": 1}, "xlm_roberta"),
        ({}, "xlm_roberta"),
        ({"architectures": ["BertForMaskedLM"]}, "bert"),
        ({"pad_token_id": 0}, "bert"),
    ],
)
def test_which_roberta_a_folder_holds(config, model):
    assert model_of_type("roberta", config) == model
