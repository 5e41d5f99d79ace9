"""mT5's table for other vocabularies: T5-PEGASUS', a trimmed one, one with new words."""

import json
import random

import numpy as np
import pytest

from bert4keras_ext.checkpoints import load_checkpoint
from bert4keras_ext.checkpoints.vocabulary import VocabularyEdit
from bert4keras_ext.tokenizers import (
    SpTokenizer,
    Tokenizer,
    compact_mt5_tokenizer,
    compound_tokens_for,
    load_keep_tokens,
    load_vocab,
    save_vocab,
    transfer_vocabulary,
)
from tests.checkpoints.fake import FakeBuilder, bert_shapes, published
from tests.shared import shared

MODEL = shared("data", "vocab", "sentencepiece_cn.model")
KEEP_TOKENS = shared("data", "vocab", "sentencepiece_cn_keep_tokens.json")
VOCAB = shared("data", "vocab", "t5_pegasus_vocab_50000.txt")
# float64 averages, stored as float32; their order of summation may tip the last bit.
ONE_ULP = 2.0**-23


@pytest.fixture(scope="module")
def sp_tokenizer():
    return SpTokenizer(MODEL, token_start=None, token_end=None)


@pytest.fixture(scope="module")
def vocab():
    return load_vocab(VOCAB)


def rows_by_the_definition(token, i, model):
    """The rows of the pieces' table whose average a token starts from."""
    if i < 106:
        return [2]
    continues = token.startswith("##") and token != "##"
    text = token[2:] if continues else token
    for piece in (text, "▁" + text) if continues else ("▁" + text, text):
        if model.piece_to_id(piece) != 2:
            return [model.piece_to_id(piece)]
    return model.encode(text)


def expected_table(vocab, model, table):
    rows = [rows_by_the_definition(token, i, model) for token, i in vocab.items()]
    return np.array([table[row].astype("float64").mean(0) for row in rows]), rows


def test_every_row_of_the_published_vocabulary(vocab, sp_tokenizer):
    model = sp_tokenizer.sp_model
    table = np.random.default_rng(0).normal(size=(len(model), 4)).astype("float32")
    keep_tokens, compound_tokens = transfer_vocabulary(vocab, sp_tokenizer)
    assert len(keep_tokens) + len(compound_tokens) == 50000
    assert len(keep_tokens) > 13000 and len(compound_tokens) > 36000
    assert keep_tokens[:106] == [2] * 106
    expected, rows = expected_table(vocab, model, table)
    edit = VocabularyEdit(len(model), 50000, keep_tokens, compound_tokens)
    found = edit.apply(table, 0)
    np.testing.assert_allclose(found, expected, rtol=ONE_ULP, atol=1e-7)
    # Tokens with one piece are that piece's row, bit for bit.
    single = [i for i, row in enumerate(rows) if len(row) == 1]
    np.testing.assert_array_equal(found[single], table[[rows[i][0] for i in single]])
    # The same along the other axis, as an output layer has it.
    np.testing.assert_array_equal(edit.apply(table.T, 1), found.T)


def test_ways_to_say_the_same(vocab, sp_tokenizer):
    expected = transfer_vocabulary(vocab, sp_tokenizer)
    assert transfer_vocabulary(VOCAB, MODEL) == expected
    assert transfer_vocabulary(str(VOCAB), str(MODEL), num_special=106) == expected
    assert expected.keep_tokens is expected[0] and expected.compound_tokens is expected[1]


def test_trimmed_model_and_whole_checkpoint(vocab, sp_tokenizer):
    ids = load_keep_tokens(KEEP_TOKENS)
    keep_tokens, compound_tokens = transfer_vocabulary(vocab, sp_tokenizer)
    whole = transfer_vocabulary(vocab, sp_tokenizer, keep_tokens=ids)
    assert whole.keep_tokens == [ids[i] for i in keep_tokens]
    assert whole.compound_tokens == {k: [ids[i] for i in v] for k, v in compound_tokens.items()}
    assert max(whole.keep_tokens) > len(ids)
    with pytest.raises(ValueError, match="each of the tokenizer's 32596 tokens, found 3 ids"):
        transfer_vocabulary(vocab, sp_tokenizer, keep_tokens=ids[:3])


def test_special_tokens_anywhere(sp_tokenizer):
    tokens = ["[PAD]", "天", "[UNK]", "<S>", "的的", "##的", "##", "<", "\U00014646"]
    token_dict = {token: i for i, token in enumerate(tokens)}
    keep_tokens, compound_tokens = transfer_vocabulary(token_dict, sp_tokenizer)
    model = sp_tokenizer.sp_model
    mark = model.piece_to_id
    assert mark("▁##") == mark("▁天") == 2  # unknown
    assert keep_tokens == [2, mark("天"), 2, 2, mark("的"), mark("##"), mark("▁<")]
    assert compound_tokens == {4: model.encode("的的"), 8: model.encode("\U00014646")}
    assert transfer_vocabulary(token_dict, sp_tokenizer, num_special=5).keep_tokens[:5] == [2] * 5
    with pytest.raises(ValueError, match="num_special: expected 0 to 9"):
        transfer_vocabulary(token_dict, sp_tokenizer, num_special=10)
    with pytest.raises(ValueError, match="expected the ids 0 to 1"):
        transfer_vocabulary({"[PAD]": 0, "天": 2}, sp_tokenizer)


def test_word_start_mark(sp_tokenizer):
    """A word's beginning is looked up with the mark first, its continuation without."""
    mark = sp_tokenizer.sp_model.piece_to_id
    assert 2 not in (mark("▁in"), mark("in")) and mark("▁in") != mark("in")
    token_dict = {"[UNK]": 0, "in": 1, "##in": 2}
    assert transfer_vocabulary(token_dict, sp_tokenizer) == ([2, mark("▁in"), mark("in")], {})


def test_loaded_into_a_model(vocab, sp_tokenizer):
    """Through load_checkpoint: ids that interleave pieces and compounds stay what they are."""
    picked = list(vocab)[::97]
    token_dict = {token: i for i, token in enumerate(picked)}
    keep_tokens, compound_tokens = transfer_vocabulary(token_dict, sp_tokenizer, num_special=2)
    assert min(compound_tokens) < len(keep_tokens)
    small = {"hidden": 4, "inner": 6, "layers": 1}
    source = FakeBuilder(bert_shapes(vocab=len(sp_tokenizer.sp_model), **small), seed=1)
    target = FakeBuilder(
        bert_shapes(vocab=len(picked), **small),
        keep_tokens=keep_tokens,
        compound_tokens=json.loads(json.dumps(compound_tokens)),  # keys become strings
    )
    load_checkpoint(target, published(source))
    for weight in ("Embedding-Token/embeddings", "MLM-Bias/beta"):
        table, found = source.values()[weight], target.values()[weight]
        for token, i in token_dict.items():
            rows = rows_by_the_definition(token, 0 if i < 2 else 106, sp_tokenizer.sp_model)
            expected = table[rows].astype("float64").mean(0)
            np.testing.assert_allclose(found[i], expected, rtol=ONE_ULP, atol=1e-7)


def test_compact_model_and_its_list():
    tokenizer, keep_tokens = compact_mt5_tokenizer(MODEL, KEEP_TOKENS)
    assert tokenizer.vocab_size == 32596 and len(keep_tokens) == 32598
    # mT5: <pad>, </s>, <unk> and 256 bytes come first, 100 sentinels are the last of 250100.
    assert keep_tokens[:259] == list(range(259))
    assert tokenizer.tokens_to_ids(["<pad>", "</s>", "<unk>", "<0x00>"]) == [0, 1, 2, 3]
    for n in (0, 99):
        i = tokenizer.token_to_id(f"▁<extra_id_{n}>")
        assert keep_tokens[i] == 250099 - n
    assert keep_tokens[32596:] == [250100, 250101]
    ids, segments = tokenizer.encode("今天天气很好。Hello!")
    assert ids[-1] == 1 and ids[0] != 1 and 2 not in ids
    assert tokenizer.decode(ids) == "今天天气很好。Hello!"
    # A compact table's row of an id is the whole table's row of the id it had there.
    table = np.arange(250112)
    assert VocabularyEdit(250112, 32598, keep_tokens).apply(table, 0)[ids].tolist() == [
        keep_tokens[i] for i in ids
    ]


def test_a_trimmed_model_cuts_as_the_whole_one(tmp_path):
    """Pieces that texts do not need are taken out of a model: the ids are the subset's."""
    pb2 = pytest.importorskip("sentencepiece.sentencepiece_model_pb2")
    whole = SpTokenizer(MODEL, token_start=None, token_end="</s>")
    corpus = shared("data", "corpus", "CLUECorpusSmall_sampled.txt").read_text(encoding="utf-8")
    texts = corpus.split("\n")[:60]
    used = {i for text in texts for i in whole.encode(text)[0]}
    spare = random.Random(0).sample(range(whole.vocab_size), 2000)
    kept = sorted({*range(259), *used, *spare})
    proto = pb2.ModelProto()
    proto.ParseFromString(MODEL.read_bytes())
    pieces = [proto.pieces[i] for i in kept]
    trimmed = pb2.ModelProto()
    trimmed.CopyFrom(proto)
    del trimmed.pieces[:]
    trimmed.pieces.extend(pieces)
    (tmp_path / "small.model").write_bytes(trimmed.SerializeToString())
    (tmp_path / "keep.json").write_text(json.dumps(kept))
    small, keep_tokens = compact_mt5_tokenizer(tmp_path / "small.model", tmp_path / "keep.json")
    assert small.vocab_size == len(kept) < whole.vocab_size / 4
    for text in texts:
        assert [keep_tokens[i] for i in small.encode(text)[0]] == whole.encode(text)[0]


@pytest.mark.parametrize(
    "content, message",
    [
        ("[0, 1, 2]", "each of the tokenizer's 32596 tokens, found 3"),
        ("[0, -1]", "integers from 0"),
        ('{"a": 1}', "found {'a': 1}"),
        ("[0, 1.5]", "integers from 0"),
        ("[1, 2, 1]", "each id once"),
        ("[1, 2", "expected a JSON list"),
    ],
)
def test_wrong_lists(content, message, tmp_path):
    (tmp_path / "keep.json").write_text(content)
    with pytest.raises(ValueError, match=message):
        compact_mt5_tokenizer(MODEL, tmp_path / "keep.json")


NAMES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"北京大学", "##s", "word", "a"]


def bert(**kwargs):
    return Tokenizer({name: i for i, name in enumerate(NAMES)}, **kwargs)


@pytest.mark.parametrize("edges", [{}, {"token_start": None}, {"token_end": None}])
def test_new_words_start_from_their_pieces(edges):
    found = compound_tokens_for(["北京", "大学", "words", "京都"], bert(**edges))
    assert found == [[4, 5], [6, 7], [9, 8], [5, 1]]


def test_new_words_in_a_model(tmp_path):
    """The whole way: new vocabulary, tokenizer with words, table with averages."""
    words = ["北京", "北京大学"]
    vocab = {name: i for i, name in enumerate([*NAMES, *words])}
    save_vocab(tmp_path / "vocab.txt", vocab)
    compound_tokens = compound_tokens_for(words, bert())
    source = FakeBuilder(bert_shapes(vocab=len(NAMES)), seed=1)
    target = FakeBuilder(bert_shapes(vocab=len(vocab)), compound_tokens=compound_tokens)
    load_checkpoint(target, published(source))
    table = source.values()["Embedding-Token/embeddings"]
    found = target.values()["Embedding-Token/embeddings"]
    np.testing.assert_array_equal(found[: len(NAMES)], table)
    np.testing.assert_allclose(found[-2:], [table[4:6].mean(0), table[4:8].mean(0)], rtol=1e-6)
    tokenizer = Tokenizer(tmp_path / "vocab.txt", pre_tokenize=lambda text: [text])
    assert tokenizer.encode("北京大学")[0] == [2, len(NAMES) + 1, 3]


@pytest.mark.parametrize(
    "words, message",
    [
        (["大"], "'大', which is in the vocabulary"),
        (["word"], "in the vocabulary"),
        (["北京", "北京"], "'北京', which is given twice"),
        ([" "], "no token at all"),
    ],
)
def test_words_that_are_not_new(words, message):
    with pytest.raises(ValueError, match=message):
        compound_tokens_for(words, bert())
