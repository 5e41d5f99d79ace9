import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bert4keras_ext.data import longest_common_subsequence, longest_common_substring
from tests.shared import oracle

RECORDED = json.loads((oracle("bert4keras") / "snippets.json").read_text())
WORDS = st.text("abc", max_size=12)


@pytest.mark.parametrize("as_given", [str, list], ids=["string", "list"])
@pytest.mark.parametrize("case", RECORDED["longest_common_substring"])
def test_substring_as_bert4keras(case, as_given):
    length, ranges = longest_common_substring(as_given(case["a"]), as_given(case["b"]))
    assert [length, list(ranges)] == case["out"]


@pytest.mark.parametrize("as_given", [str, list], ids=["string", "list"])
@pytest.mark.parametrize("case", RECORDED["longest_common_subsequence"])
def test_subsequence_as_bert4keras(case, as_given):
    length, pairs = longest_common_subsequence(as_given(case["a"]), as_given(case["b"]))
    assert [length, [list(pair) for pair in pairs]] == case["out"]


@given(WORDS, WORDS)
def test_substring_is_common_and_longest(a, b):
    length, (a_start, a_end, b_start, b_end) = longest_common_substring(a, b)
    assert a[a_start:a_end] == b[b_start:b_end] and a_end - a_start == length
    assert not any(a[i : i + length + 1] in b for i in range(len(a) - length))


@given(WORDS, WORDS)
def test_subsequence_is_common_and_longest(a, b):
    length, pairs = longest_common_subsequence(a, b)
    assert all(a[i] == b[j] for i, j in pairs) and len(pairs) == length
    assert all(i < k and j < m for (i, j), (k, m) in zip(pairs, pairs[1:]))
    assert length == _by_the_book(a, b)


def _by_the_book(a, b):
    row = [0] * (len(b) + 1)
    for x in a:
        diagonal = 0
        for j, y in enumerate(b, 1):
            diagonal, row[j] = row[j], diagonal + 1 if x == y else max(row[j], row[j - 1])
    return row[-1]


def test_long_texts():
    a, b = "abcdefghij" * 300, "jihgfedcba" * 300
    assert longest_common_subsequence(a, b)[0] == _by_the_book(a, b)
    assert longest_common_substring(a + "XYZ", "XYZ" + a) == (3000, (0, 3000, 3, 3003))
