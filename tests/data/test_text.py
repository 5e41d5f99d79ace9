import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bert4keras_ext.data import (
    convert_to_str,
    convert_to_unicode,
    is_string,
    lowercase_and_normalize,
    string_matching,
    strQ2B,
    text_segmentate,
    truncate_sequences,
)
from tests.shared import oracle

RECORDED = json.loads((oracle("bert4keras") / "snippets.json").read_text())


@pytest.mark.parametrize("case", RECORDED["truncate_sequences"])
def test_truncate_as_bert4keras(case):
    sequences = [list(sequence) for sequence in case["seqs"]]
    assert truncate_sequences(case["maxlen"], case["indices"], *sequences) == case["out"]
    assert [sequence for sequence in sequences if sequence] == case["out"]  # in place


@given(
    st.lists(st.lists(st.integers(), max_size=12), min_size=1, max_size=4),
    st.integers(0, 40),
    st.sampled_from([0, -1]),
)
def test_truncate_drops_from_the_longest(sequences, maxlen, index):
    result = [list(sequence) for sequence in sequences if sequence]
    while sum(map(len, result)) > maxlen:  # the definition, one element at a time
        max(result, key=len).pop(index)
    assert truncate_sequences(maxlen, index, *map(list, sequences)) == result


@given(st.lists(st.integers(), min_size=6, max_size=12), st.sampled_from([1, 2, -2, -3]))
def test_truncate_inside(sequence, index):
    expected = list(sequence)
    while len(expected) > 4:
        expected.pop(index)
    assert truncate_sequences(4, index, list(sequence)) == [expected]


def test_truncate_pairs_indices_with_their_own_lists():
    assert truncate_sequences(2, [-1, 0], [], [1, 2, 3]) == [[2, 3]]


def test_truncate_errors():
    with pytest.raises(ValueError, match="cannot drop"):
        truncate_sequences(0, -2, [1, 2])
    with pytest.raises(ValueError, match="expected 2 indices"):
        truncate_sequences(0, [1], [1], [2])
    with pytest.raises(TypeError, match="str"):
        truncate_sequences(1, -1, "text")


@pytest.mark.parametrize("case", RECORDED["text_segmentate"])
def test_segmentate_as_bert4keras(case):
    arguments = case["text"], case["maxlen"], case["seps"], case["strips"]
    assert text_segmentate(*arguments) == case["out"]


@given(st.text("天气。，\n好", max_size=40), st.integers(1, 20))
def test_segmentate_pieces_join_to_the_text(text, maxlen):
    pieces = text_segmentate(text, maxlen, "\n。，")
    assert "".join("".join(pieces).split()) == "".join(text.split())
    for piece in pieces:
        body = piece.rstrip("。，\n")
        assert len(body) <= maxlen or not set(body) & set("\n。，")


def test_segmentate_joins_while_it_fits():
    assert text_segmentate("ab。cd。ef", 6, "。") == ["ab。cd。", "ef"]
    assert text_segmentate("ab。cd。ef", 5, "。") == ["ab。", "cd。", "ef"]


def test_segmentate_with_longer_separators():
    assert text_segmentate("aa--bb--cc", 5, ["--"]) == ["aa--", "bb--", "cc"]


@pytest.mark.parametrize("case", RECORDED["lowercase_and_normalize"])
def test_lowercase_as_bert4keras(case):
    assert lowercase_and_normalize(case["text"]) == case["out"]


def test_lowercase_leaves_special_words():
    assert lowercase_and_normalize("Ünd [CLS]", ["[CLS]"]) == "und [CLS]"


@pytest.mark.parametrize("case", RECORDED["string_matching"])
def test_string_matching_as_bert4keras(case):
    assert string_matching(case["s"], case["k"]) is case["out"]


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E)))
def test_full_width_to_half_width(text):
    full = "".join("\u3000" if char == " " else chr(ord(char) + 0xFEE0) for char in text)
    assert strQ2B(full) == text
    assert strQ2B(text + "汉字。") == text + "汉字。"


def test_conversions():
    assert convert_to_unicode("你好".encode("gbk"), "gbk") == "你好"
    assert convert_to_str(b"a\xff") == "a"  # errors are ignored by default
    assert convert_to_str("a") == "a"
    assert is_string("a") and not is_string(b"a") and not is_string(["a"])
