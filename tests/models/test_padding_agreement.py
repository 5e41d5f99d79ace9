"""The tokenizer pads with what the model masks, wherever [PAD] stands in the vocabulary."""

import logging

import numpy as np
import pytest

from bert4keras_ext.data import DataGenerator, sequence_padding
from bert4keras_ext.models import build_transformer_model
from bert4keras_ext.models.checks import padding_row
from bert4keras_ext.tokenizers import Tokenizer, load_vocab, save_vocab, transfer_vocabulary
from tests.models.families import BASE, FAMILIES

NAMES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "好", "##好", "天", "气", "很", "ab", "##c"]
NAMES += [chr(0x4E00 + i) for i in range(40 - len(NAMES))]
ORDERS = [
    ["[PAD]", "[UNK]", "[CLS]", "[SEP]"],
    ["[UNK]", "[CLS]", "[SEP]", "[PAD]"],
    ["天", "[CLS]", "[PAD]", "[SEP]", "[UNK]"],
    ["[UNK]", "[CLS]", "[SEP]"],  # none at all: both call 0 padding
]


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory):
    path = tmp_path_factory.mktemp("vocabulary") / "vocab.txt"
    save_vocab(path, {name: i for i, name in enumerate(NAMES)})
    return path


def check_agreement(model, tokenizer, pad):
    texts = ["好天气", "天"]  # an unknown token and id 0 are not padding but at the end
    ids, _ = tokenizer.encode_batch(texts, pad_to_multiple_of=8)
    rows = [tokenizer.encode(text)[0] for text in texts]
    np.testing.assert_array_equal(ids, sequence_padding(rows, value=pad, multiple=8))
    np.testing.assert_array_equal(ids, DataGenerator([0], multiple=8).pad(rows, value=pad))
    for row, padded in zip(rows, ids):
        alone = model([np.array([row]), np.zeros((1, len(row)))], training=False)
        padded = model([padded[None], np.zeros((1, len(padded)))], training=False)
        found = np.array(padded)[:, : len(row)]
        np.testing.assert_allclose(found, np.array(alone), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("compound", [None, [[5, 6]], {2: [3, 4]}, {"0": [3, 4], "4": [5]}])
@pytest.mark.parametrize("startswith", ORDERS)
def test_simplified_vocabularies(vocabulary, startswith, compound):
    token_dict, keep_tokens = load_vocab(vocabulary, simplified=True, startswith=startswith)
    names = list(token_dict)
    if isinstance(compound, dict):
        for place in map(int, compound):
            names.insert(place, f"new{place}")
    else:
        names += ["new"] * len(compound or [])
    if "[PAD]" not in names and isinstance(compound, dict):
        return
    tokenizer = Tokenizer({name: i for i, name in enumerate(names)})
    builder = build_transformer_model(
        {**BASE, "num_hidden_layers": 1}, keep_tokens=keep_tokens, compound_tokens=compound,
        return_keras_model=False,
    )  # fmt: skip
    assert builder.pad_token_id == (tokenizer._token_pad_id or 0)
    if compound is None or "[PAD]" in startswith:
        check_agreement(builder.model, tokenizer, builder.pad_token_id)


@pytest.mark.parametrize("model", ["albert", "roformer", "gpt", "t5.1.1", "modernbert"])
def test_other_families_mask_the_same_row(model):
    keep_tokens = [7, 1, 2, 0, *range(8, 20)]
    builder = build_transformer_model(
        {**BASE, **FAMILIES[model], "num_hidden_layers": 1}, model=model, keep_tokens=keep_tokens,
        return_keras_model=False,
    )  # fmt: skip
    assert builder.pad_token_id == builder.layers["Embedding-Token"].padding_id == 3


def test_moved_padding_is_told(caplog):
    config = {**BASE, "num_hidden_layers": 1}
    with caplog.at_level(logging.WARNING):
        build_transformer_model(config, keep_tokens=[0, 3, 4])
        assert "padding" not in caplog.text
        build_transformer_model(config, keep_tokens=[3, 4, 0])
    assert "padding token at row 2" in caplog.text and "value=2" in caplog.text


def test_rows_of_padding():
    assert padding_row(None) == padding_row(0) == 0
    assert padding_row(0, None, {0: [5], 2: [6]}) == 1 and padding_row(1, None, {"2": [6]}) == 1
    assert padding_row(1, [5, 1, 0]) == 1 and padding_row(-1, [5, 0]) == -1
    # A table made of another's: <unk>'s row for every special token, <pad>'s for none.
    assert padding_row(0, [2, 2, 2, 7, 0]) == 0 and padding_row(0, [2, 7, 0, 0]) == 0


def test_a_transferred_vocabulary_has_its_padding_first():
    token_dict = {"[UNK]": 0, "[PAD]": 1}
    with pytest.raises(ValueError, match="'\\[PAD\\]' as token 0.*found it as token 1"):
        transfer_vocabulary(token_dict, None)
