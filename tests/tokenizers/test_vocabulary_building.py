"""Vocabularies counted from a corpus."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bert4keras_ext.tokenizers import (
    JiebaSegmenter,
    Tokenizer,
    build_vocabulary,
    count_tokens,
    load_vocab,
    save_vocab,
    t5_pegasus_tokenizer,
)
from tests.shared import shared

FIRST = ["[PAD]", "[unused1]", "[UNK]", "[CLS]", "[SEP]", "<S>"]
BASE = {token: i for i, token in enumerate([*FIRST, "", *"天气我很好。", "a", "##b", "<", ">"])}


class Words:
    """Words that spaces part, as a segmenter."""

    words = ["天气", "很好", "Big", "好"]

    def __call__(self, text):
        return text.split()

    def most_frequent_words(self, count):
        return self.words[:count]


def test_order_and_size():
    texts = ["天气 很好 。", "天气 好 。", "天气 很 ab", "我 X [UNK]", "很 很"]
    # 天气 3 times, 很 3, 。 2, and once: 很好, 好, a, ##b, 我; X is not known.
    ranked = ["天气", "很", "。", "##b", "a", "好", "很好", "我"]
    assert ranked[:2] == sorted(ranked[:2]) and ranked[3:] == sorted(ranked[3:])
    for size in range(7, 15):
        found = build_vocabulary(iter(texts), BASE, size, Words())
        assert list(found.items()) == [(t, i) for i, t in enumerate([*FIRST, *ranked[: size - 6]])]
    assert build_vocabulary(texts, BASE, 50, Words(), dictionary_words=1) == {
        token: i for i, token in enumerate([*FIRST, "很", "天气", "。", "好", "##b", "a", "我"])
    }
    assert "天气" not in build_vocabulary(texts, BASE, 50)  # without a segmenter


def test_case():
    texts = ["Big Big 好"]
    assert list(build_vocabulary(texts, BASE, 50, Words()))[6:] == ["好"]
    cased = build_vocabulary(texts, BASE, 50, Words(), do_lower_case=False)
    assert list(cased)[6:] == ["Big", "好"]


def test_tokens_to_keep():
    with pytest.raises(ValueError, match="more than the 9 tokens"):
        build_vocabulary(["好"], BASE, 9, Words(), keep=["我", "[E]", "新词"])
    found = build_vocabulary(["好 好 天"], BASE, 10, Words(), keep=["我", "[E]", "新词", "我"])
    assert list(found) == [*FIRST, "我", "[E]", "新词", "好"]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text("天气我很好aAbB。 x", max_size=12), max_size=6), st.integers(7, 14))
def test_counts_by_the_definition(texts, size):
    tokenizer = Tokenizer(
        {**BASE, "天气": len(BASE), "很好": len(BASE) + 1}, do_lower_case=True, pre_tokenize=Words()
    )
    counts = Counter(token for text in texts for token in tokenizer.tokenize(text)[1:-1])
    counts = {token: n for token, n in counts.items() if token in tokenizer._token_dict}
    assert count_tokens(texts, tokenizer) == counts
    ranked = sorted(counts, key=lambda token: (-counts[token], token))
    found = build_vocabulary(texts, BASE, size, Words())
    assert list(found) == [*FIRST, *ranked][:size]


def test_real_corpus(tmp_path):
    """Google's vocabulary and jieba's words: what is left is what the corpus is made of."""
    pytest.importorskip("jieba")
    path = shared("data", "vocab", "google_chinese_bert_vocab_21128.txt")
    corpus = shared("data", "corpus", "CLUECorpusSmall_sampled.txt").read_text(encoding="utf-8")
    texts, base, segmenter = corpus.split("\n")[:200], load_vocab(path), JiebaSegmenter()
    found = build_vocabulary(texts, path, 4000, segmenter)
    assert list(found.values()) == list(range(4000))
    assert list(found)[:106] == [token for token in base if base[token] < 106]
    save_vocab(tmp_path / "vocab.txt", found)
    assert load_vocab(tmp_path / "vocab.txt") == found

    known = {*base, *segmenter.most_frequent_words(200000)}
    plain, counts = Tokenizer(path, do_lower_case=True), Counter()
    for text in texts:
        for word in segmenter(plain._normalize(text)):
            counts.update([word] if word in known else plain.tokenize(word)[1:-1])
    del counts["[UNK]"]
    ranked = sorted(known & counts.keys(), key=lambda token: (-counts[token], token))
    assert list(found)[106:] == ranked[: 4000 - 106]
    tokens = t5_pegasus_tokenizer(found, segmenter).tokenize(texts[0])
    assert max(map(len, tokens[1:-1])) > 1  # words


def test_workers_count_the_same():
    texts = ["天气 很好 。", "天气 好 ab"] * 300
    alone = build_vocabulary(texts, BASE, 20, Words())
    assert build_vocabulary(iter(texts), BASE, 20, Words(), workers=2) == alone


def test_progress(capfd):
    build_vocabulary(["好"], BASE, 20)
    assert capfd.readouterr().err == ""
    build_vocabulary(["好"], BASE, 20, progress=True)
    assert "counting tokens" in capfd.readouterr().err


def test_wrong_arguments():
    with pytest.raises(ValueError, match="more than the 6 tokens that always stay"):
        build_vocabulary(["好"], BASE, 6)
    with pytest.raises(TypeError, match="found one str"):
        build_vocabulary("好", BASE, 20)
    with pytest.raises(TypeError, match="expected str, found int"):
        build_vocabulary(["好", 3], BASE, 20)
    with pytest.raises(ValueError, match=r"expected '\[UNK\]' in the vocabulary"):
        build_vocabulary(["好"], {"[PAD]": 0, "好": 1}, 20)
