"""rematch: each token's characters, also where letters change their number."""

import re
import unicodedata

import pytest
from hypothesis import given, settings

from bert4keras_ext.tokenizers import Tokenizer
from bert4keras_ext.tokenizers.characters import lower_and_strip_accents
from bert4keras_ext.tokenizers.rematch import traced_lower
from tests.tokenizers.common import small_tokenizer, texts

TOKENIZERS = {lower: small_tokenizer(do_lower_case=lower) for lower in (False, True)}


def spans_of(text, lower=True, **kwargs):
    tokenizer = small_tokenizer(do_lower_case=lower, **kwargs)
    return tokenizer.rematch(text, tokenizer.tokenize(text))[1:-1]


@settings(max_examples=300, deadline=None)
@given(texts)
def test_traced_lower_is_the_tokenizers_normal_form(text):
    letters, sources = traced_lower(text)
    assert letters == lower_and_strip_accents(text)
    assert len(sources) == len(letters)
    assert all(0 <= i < len(text) for i in sources)


@settings(max_examples=300, deadline=None)
@given(texts)
def test_spans_rebuild_the_tokens(text):
    for lower, tokenizer in TOKENIZERS.items():
        tokens = tokenizer.tokenize(text)
        spans = tokenizer.rematch(text, tokens)
        assert len(spans) == len(tokens) and spans[0] == spans[-1] == []
        letters, sources = traced_lower(text) if lower else (text, range(len(text)))
        for token, span in zip(tokens[1:-1], spans[1:-1]):
            # One index a letter, and each letter is one that this character became.
            assert len(span) == len(token.removeprefix("##"))
            for letter, i in zip(token.removeprefix("##"), span):
                assert letter in [c for c, j in zip(letters, sources) if j == i]


@settings(max_examples=200, deadline=None)
@given(texts)
def test_spans_increase_and_leave_out_only_what_vanishes(text):
    # Without reordered marks the spans increase from first to last.
    text = "".join(c for c in text if not unicodedata.combining(c))
    for lower, tokenizer in TOKENIZERS.items():
        indices = sum(tokenizer.rematch(text, tokenizer.tokenize(text)), [])
        assert indices == sorted(indices)
        for i in set(range(len(text))) - set(indices):
            ch = text[i]
            plain = lower_and_strip_accents(ch) if lower else ch
            vanishes = not plain.translate(tokenizer._get_derived().spacing).split()
            assert vanishes, repr(ch)


@pytest.mark.parametrize(
    "text, spans",
    [
        ("İb", [[0], [1]]),  # lower case of İ is two letters, of which the dot is dropped
        ("İİİ你", [[0], [1], [2], [3]]),
        ("ΑΣ你", [[0], [1], [2]]),  # final sigma
        ("ΑΣΑ", [[0], [1], [2]]),  # sigma inside a word
        ("ΑΣ.ΑΣ", [[0], [1], [2], [3], [4]]),
        ("Éa", [[0], [1]]),
        ("E\u0301\u0327a", [[0], [3]]),
        ("ßẞ你", [[0, 1], [2]]),
        ("ﬁ你", [[0], [1]]),
        ("가", [[0], [0]]),  # one syllable, two letters, two tokens
        ("e\u302e\U0001d165", [[0, 2, 1]]),  # NFD puts the marks into another order
        ("a\u200b你\x00\ufffda", [[0], [2], [5]]),
        ("  a  b ", [[2], [5]]),
    ],
)
def test_letters_that_change(text, spans):
    assert spans_of(text) == spans


def test_cased():
    assert spans_of("éa", lower=False) == [[0], [1]]
    assert spans_of("\x00a\tb", lower=False) == [[1], [3]]


def test_pre_tokenize_and_translate():
    assert spans_of("hello 你好", pre_tokenize=str.split) == [[0, 1, 2, 3, 4], [6], [7]]
    translate = {"hello": "word", "你": "[unused1]"}
    assert spans_of("word hello 你好", token_translate=translate) == [
        [0, 1, 2, 3],
        [5, 6, 7, 8, 9],
        [11],
        [12],
    ]


def test_special_tokens_have_no_characters():
    tokenizer = small_tokenizer(token_start="<", token_end=".")
    assert tokenizer.rematch("a<.", tokenizer.tokenize("a<.")) == [[], [0], [1], [2], []]
    assert tokenizer.rematch("你犇好", ["[CLS]", "你", "[UNK]", "好"]) == [[], [0], [], [2]]


def test_foreign_tokens_are_refused():
    with pytest.raises(ValueError, match="found 'hello' at position 1, which does not occur"):
        small_tokenizer().rematch("你好", ["[CLS]", "hello"])
    with pytest.raises(ValueError, match="found '你' at position 2"):
        small_tokenizer().rematch("你好", ["[CLS]", "好", "你"])
    with pytest.raises(TypeError, match="text: expected str, found NoneType"):
        small_tokenizer().rematch(None, [])


def keeping(*words):
    """A pre_tokenize that keeps some words whole and cuts the rest into characters."""
    pattern = "|".join(map(re.escape, words))
    return lambda text: re.findall(f"{pattern}|.", text)


@pytest.mark.parametrize(
    "text, spans",
    [
        ("[MASK]MASK天", [[], range(6, 10), [10]]),
        ("天[MASK]MASK", [[0], [], range(7, 11)]),
        ("[MASK][MASK]MASK", [[], [], range(12, 16)]),
        ("MASK[MASK]天", [range(0, 4), [], [10]]),
        (" [MASK] MASK", [[], range(8, 12)]),
        ("[MASK]", [[]]),
        ("[CLS]天[SEP]天", [[], [5], [], [11]]),
        ("天[MASK]", [[0], []]),
    ],
)
@pytest.mark.parametrize("lower", [False, True])
def test_special_tokens_that_stand_in_the_text(text, spans, lower):
    names = ["[UNK]", "[CLS]", "[SEP]", "[MASK]", "MASK", "mask", "天"]
    names = {name: i for i, name in enumerate(names)}
    upper = {"[mask]": "[MASK]", "[cls]": "[CLS]", "[sep]": "[SEP]"}
    cut = keeping("[MASK]", "[CLS]", "[SEP]", "MASK", *upper, "mask", " ")

    def pre_tokenize(text):
        return [upper.get(word, word) for word in cut(text)]

    tokenizer = Tokenizer(names, do_lower_case=lower, pre_tokenize=pre_tokenize)
    tokens = tokenizer.tokenize(text)
    assert tokenizer.rematch(text, tokens) == [[], *map(list, spans), []]
    assert tokenizer.rematch(text, tokens[:-1]) == [[], *map(list, spans)]


def test_special_tokens_in_place_of_words():
    """Nothing of the text is skipped for them, though one is written further on."""
    names = {name: i for i, name in enumerate(["[UNK]", "[CLS]", "[SEP]", "[MASK]", "好"])}

    def pre_tokenize(text):
        return [word.replace("天", "[MASK]") for word in keeping("[MASK]")(text)]

    tokenizer = Tokenizer(names, pre_tokenize=pre_tokenize)
    text = "天好[MASK]好"
    tokens = tokenizer.tokenize(text)
    assert tokens == ["[CLS]", "[MASK]", "好", "[MASK]", "好", "[SEP]"]
    assert tokenizer.rematch(text, tokens) == [[], [], [1], [], [8], []]
