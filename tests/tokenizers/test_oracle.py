"""Every recorded entry of bert4keras 0.11.5: tokens, ids, segments, rematch, decode."""

import json

import pytest

from bert4keras_ext.tokenizers import SpTokenizer, Tokenizer, load_vocab
from tests.shared import oracle

FOLDER = oracle("bert4keras", "tokenizer")
VOCAB = FOLDER / "vocab.txt"
RECORDED = json.loads((FOLDER / "tokenizer.json").read_text(encoding="utf-8"))
SP_MODEL = oracle("bert4keras", "sp", "sp.model")
SP_RECORDED = json.loads(oracle("bert4keras", "sp", "sp.json").read_text(encoding="utf-8"))

TOKENIZERS = {lower: Tokenizer(VOCAB, do_lower_case=lower) for lower in (False, True)}
# bert4keras counted in the lower-cased text, where İ has become two letters: its spans are one too
# far and the last points behind the text. Ours are right.
CORRECTED_SPANS = {("İstanbul", True): [[], [0, 1], [2], [3], [4], [5], [6], [7], []]}


@pytest.mark.parametrize("lower", [False, True])
def test_cases(lower):
    tokenizer = TOKENIZERS[lower]
    cases = [case for case in RECORDED["cases"] if case["lower"] == lower]
    assert len(cases) == 248
    for case in cases:
        text, tokens = case["text"], tokenizer.tokenize(case["text"])
        ids, segments = tokenizer.encode(text)
        assert tokens == case["tokens"], text
        assert (ids, segments) == (case["ids"], case["segments"]), text
        assert tokenizer.tokenize(text, maxlen=8) == case["maxlen8"], text
        assert tokenizer.decode(ids) == case["decode"], text
        assert tokenizer.decode(ids, tokens) == case["decode_from_tokens"], text
        spans = CORRECTED_SPANS.get((text, lower), case["rematch"])
        assert tokenizer.rematch(text, tokens) == spans, text


def test_options():
    for case in RECORDED["options"]:
        tokenizer, text = Tokenizer(VOCAB, do_lower_case=True, **case["kwargs"]), case["text"]
        assert tokenizer.tokenize(text) == case["tokens"], case
        assert list(tokenizer.encode(text)) == case["enc"], case
        # With token_start=None the pair has 11 ids for maxlen=10: recorded so, and kept.
        assert list(tokenizer.encode(text, "中文", maxlen=10)) == case["enc_pair"], case


def test_pairs():
    for case in RECORDED["pairs"]:
        out = TOKENIZERS[True].encode(
            case["first"],
            case["second"],
            maxlen=case["maxlen"],
            pattern=case["pattern"],
            truncate_from=case["truncate_from"],
        )
        assert list(out) == case["out"], case


def test_pre_tokenize():
    def two_letters(text):
        return [text[i : i + 2] for i in range(0, len(text), 2)]

    tokenizer = Tokenizer(VOCAB, do_lower_case=True, pre_tokenize=two_letters)
    for case in RECORDED["pre_tokenize_2chars"]:
        assert tokenizer.tokenize(case["text"]) == case["tokens"]


def test_pre_tokenize_with_jieba():
    jieba = pytest.importorskip("jieba")
    recorded = RECORDED["pre_tokenize_jieba"]
    token_dict = load_vocab(VOCAB)
    for word in recorded["extra"]:
        token_dict[word] = len(token_dict)
    tokenizer = Tokenizer(
        token_dict, do_lower_case=True, pre_tokenize=lambda text: jieba.cut(text, HMM=False)
    )
    for case in recorded["cases"]:
        tokens = tokenizer.tokenize(case["text"])
        assert tokens == case["tokens"]
        assert tokenizer.encode(case["text"])[0] == case["ids"]
        assert tokenizer.rematch(case["text"], tokens) == case["rematch"]


def test_simplified():
    recorded = RECORDED["simplified"]
    first = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    token_dict, keep_tokens = load_vocab(VOCAB, simplified=True, startswith=first)
    assert len(token_dict) == recorded["size"]
    assert list(token_dict) == recorded["tokens"]
    assert list(token_dict.values()) == list(range(recorded["size"]))
    assert keep_tokens == recorded["keep_tokens"]


def test_sentencepiece():
    tokenizer = SpTokenizer(SP_MODEL, token_start=None, token_end="</s>")
    for case in SP_RECORDED:
        ids, segments = tokenizer.encode(case["text"])
        assert tokenizer.tokenize(case["text"]) == case["tokens"]
        assert [ids, segments] == case["enc"]
        assert tokenizer.decode(ids) == case["decode"]
        assert list(tokenizer.encode(case["text"], "你好", maxlen=10)) == case["enc_pair"]
