"""SpTokenizer beyond the recorded entries: rematch, translation, wrong models."""

import copy
import pickle
import re

import numpy as np
import pytest

from bert4keras_ext.tokenizers import SpTokenizer
from tests.shared import oracle, shared

MODEL = oracle("bert4keras", "sp", "sp.model")
T5 = {"token_start": None, "token_end": "</s>"}


@pytest.fixture(scope="module")
def tokenizer():
    return SpTokenizer(MODEL, **T5)


@pytest.fixture(scope="module")
def byte_tokenizer():
    return SpTokenizer(shared("data", "vocab", "sentencepiece_cn.model"), **T5)


def test_attributes(tokenizer):
    assert tokenizer.vocab_size == tokenizer._vocab_size == 120
    assert (tokenizer._token_pad, tokenizer._token_pad_id) == ("<pad>", 0)
    assert (tokenizer._token_unk, tokenizer._token_unk_id) == ("<unk>", 2)
    assert (tokenizer._token_end, tokenizer._token_end_id) == ("</s>", 1)
    assert tokenizer._token_start_id is None and tokenizer._token_mask_id is None
    assert tokenizer.encode_batch(["hello", ""])[0].tolist() == [
        [tokenizer.token_to_id("▁hello"), 1],
        [1, 0],
    ]


def test_translate_and_pre_tokenize():
    tokenizer = SpTokenizer(MODEL, token_translate={"好": "你"}, **T5)
    text = "hello 好 你好 world"
    assert tokenizer.tokenize(text) == ["▁hello", "▁", "你", "▁你好", "▁world", "</s>"]
    assert tokenizer.decode(tokenizer.encode(text)[0]) == text
    spans = tokenizer.rematch(text, tokenizer.tokenize(text))
    assert spans == [[0, 1, 2, 3, 4], [], [6], [8, 9], [11, 12, 13, 14, 15], []]
    tokenizer = SpTokenizer(MODEL, pre_tokenize=list, **T5)
    assert tokenizer.tokenize("h你") == ["▁", "h", "▁", "你", "</s>"]
    assert tokenizer.rematch("h你", tokenizer.tokenize("h你")) == [[], [0], [], [1], []]


def test_decode_leaves_out_control_tokens_and_unused_rows(tokenizer):
    hello = tokenizer.token_to_id("▁hello")
    assert tokenizer.decode([0, hello, 1, 120, 250000]) == "hello"
    assert tokenizer.ids_to_tokens([hello, 120]) == ["▁hello", ""]
    for call in (tokenizer.decode, tokenizer.ids_to_tokens):
        with pytest.raises(ValueError, match="expected ids from 0 to 119, found -100"):
            call([hello, -100])


def test_decode_translates_control_tokens_back():
    """CPM writes "<cls>", a control piece, for line ends, and reads them from it."""
    tokenizer = SpTokenizer(MODEL, token_translate={"▁world": "<pad>"}, **T5)
    ids = tokenizer.encode("hello world")[0]
    assert ids[1] == tokenizer._token_pad_id
    assert tokenizer.decode(ids) == "hello world"


def test_rematch(tokenizer):
    text = "ＨＥＬＬＯ  hello 你好㍿ガé,2020"
    tokens = tokenizer.tokenize(text)
    spans = tokenizer.rematch(text, tokens)
    assert len(spans) == len(tokens) and spans[-1] == []
    assert spans[tokens.index("▁hello")] == [7, 8, 9, 10, 11]
    assert spans[tokens.index("你好") if "你好" in tokens else tokens.index("▁你好")] == [13, 14]
    assert spans[tokens.index("2020")] == list(range(len(text) - 4, len(text)))
    covered = {i for span in spans for i in span}
    assert covered == {i for i, ch in enumerate(text) if not ch.isspace()}


def test_halves_of_surrogate_pairs_are_replaced(tokenizer):
    text = "你好\ud840 hello\udc00"
    tokens = tokenizer.tokenize(text)
    assert tokens == tokenizer.tokenize("你好\ufffd hello\ufffd")
    assert tokenizer.rematch(text, tokens)[tokens.index("▁hello")] == [4, 5, 6, 7, 8]
    assert tokenizer.encode_batch([text])[0].tolist() == [tokenizer.encode(text)[0]]


def cut_as_cpm(text):
    """A space and a line end become characters, as in CPM's scripts."""
    return [part.replace(" ", "▂").replace("\n", "▃") for part in re.findall(r"\w+|\W", text)]


@pytest.mark.parametrize("text", ["he\u0301llo 你好", "ﾊﾞ hello", "你 好\nhello,  你"])
@pytest.mark.parametrize("pre_tokenize", [list, str.split, cut_as_cpm])
def test_rematch_of_words(pre_tokenize, text):
    """Each character that is no space, whatever the words: at least in one token, in order."""
    tokenizer = SpTokenizer(MODEL, pre_tokenize=pre_tokenize, **T5)
    spans = tokenizer.rematch(text, tokenizer.tokenize(text))
    found = [i for span in spans for i in span]
    assert found == sorted(found)
    kept = range(len(text)) if pre_tokenize is cut_as_cpm else np.flatnonzero(
        [not ch.isspace() for ch in text]
    )  # fmt: skip
    assert sorted(set(found)) == list(kept)


def test_rematch_of_words_that_are_not_in_the_text():
    tokenizer = SpTokenizer(MODEL, pre_tokenize=lambda text: ["hello", "moon"], **T5)
    with pytest.raises(ValueError, match="expected pre_tokenize to cut.*'moon' nowhere"):
        tokenizer.rematch("hello world", tokenizer.tokenize("hello world"))


def test_rematch_of_bytes(byte_tokenizer):
    text = "a😀你"
    tokens = byte_tokenizer.tokenize(text)
    assert "<0xF0>" in tokens, "the model falls back on bytes"
    spans = byte_tokenizer.rematch(text, tokens)
    assert [span for span, token in zip(spans, tokens) if token.startswith("<0x")] == [[1]] * 4
    assert spans[-2:] == [[2], []]


def test_rematch_of_white_space_in_bytes(byte_tokenizer):
    tokens = byte_tokenizer.tokenize("a\x85b")
    assert "<0xC2>" in tokens
    found = dict(zip(tokens, byte_tokenizer.rematch("a\x85b", tokens)))
    assert found["<0xC2>"] == found["<0x85>"] == []
    assert [0] in found.values() and [2] in found.values()


def test_rematch_of_a_character_in_several_tokens(byte_tokenizer):
    tokens = byte_tokenizer.tokenize("½")
    assert len([token for token in tokens if token.strip("▁")]) > 2
    spans = byte_tokenizer.rematch("½", tokens)
    assert [span for span, token in zip(spans[:-1], tokens) if token.strip("▁")] == (
        [[0]] * (len(tokens) - 1 - tokens.count("▁"))
    )


def test_start_and_end_that_are_ordinary_pieces():
    tokenizer = SpTokenizer(MODEL, token_start="▁hello", token_end="world")
    text = "2020"
    spans = tokenizer.rematch(text, tokenizer.tokenize(text))
    assert spans[0] == spans[-1] == [] and spans[-2] == [0, 1, 2, 3]


def test_rematch_refuses_foreign_tokens(tokenizer):
    with pytest.raises(ValueError, match="found 'world' at position 1, which does not occur"):
        tokenizer.rematch("hello 你好", ["▁hello", "world"])


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))])
def test_copies(tokenizer, duplicate):
    assert duplicate(tokenizer).encode("hello 你好") == tokenizer.encode("hello 你好")


def test_wrong_models(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected a SentencePiece model, found no file"):
        SpTokenizer(tmp_path / "none.model")
    for content in (b"", b"[PAD]\n[UNK]\n"):
        (tmp_path / "vocab.txt").write_bytes(content)
        with pytest.raises(ValueError, match="expected a SentencePiece model .* use Tokenizer"):
            SpTokenizer(tmp_path / "vocab.txt")
    with pytest.raises(ValueError, match=r"token_start: expected '\[CLS\]' .* token_start=None"):
        SpTokenizer(MODEL)


def test_texts_that_are_no_str(tokenizer):
    for text in (None, b"a", 3):
        with pytest.raises(TypeError, match="text: expected str"):
            tokenizer.encode(text)
    with pytest.raises(TypeError, match="text: expected str"):
        tokenizer.rematch(None, [])


def test_names_of_pad_and_unk_are_heard():
    assert SpTokenizer(MODEL, **T5, token_pad="</s>")._token_pad_id == 1
    assert SpTokenizer(MODEL, **T5, token_unk="<unk>")._token_unk_id == 2
    with pytest.raises(ValueError, match="token_pad: expected a piece.*found '.PAD.'.*<pad>"):
        SpTokenizer(MODEL, **T5, token_pad="[PAD]")
    with pytest.raises(ValueError, match="token_unk: expected '<unk>'.*found '.UNK.'"):
        SpTokenizer(MODEL, **T5, token_unk="[UNK]")
    with pytest.raises(TypeError, match="token_pda"):
        SpTokenizer(MODEL, **T5, token_pda="<pad>")


def test_texts_and_empty_words():
    tokenizer = SpTokenizer(MODEL, **T5)
    tokens = tokenizer.tokenize("ꙮꙮ 天气")
    assert tokenizer.encode(tokens) == tokenizer.encode("ꙮꙮ 天气")
    with pytest.raises(TypeError, match="is several tokens"):
        tokenizer.encode(["今天天气很好，ꙮꙮ", "你好"])
    words = SpTokenizer(MODEL, **T5, pre_tokenize=lambda text: ["", *text, ""])
    assert words.tokenize("天") == SpTokenizer(MODEL, **T5).tokenize("天")
