"""encode_batch: the same rows as encode, padded or not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tokenizers.common import small_tokenizer, texts

TOKENIZER = small_tokenizer(do_lower_case=True)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(texts, texts), max_size=6),
    st.booleans(),
    st.sampled_from([None, 5, 12]),
    st.sampled_from(["S*E*E", "S*ES*E"]),
    st.sampled_from(["left", "right"]),
    st.sampled_from([None, 1, 8]),
)
def test_equals_single_encodes(pairs, paired, maxlen, pattern, truncate_from, multiple):
    first = [a for a, _ in pairs]
    second = [b for _, b in pairs] if paired else None
    rows = [
        TOKENIZER.encode(a, b if paired else None, maxlen, pattern, truncate_from) for a, b in pairs
    ]
    arguments = (first, second, maxlen, pattern, truncate_from)
    ragged = TOKENIZER.encode_batch(*arguments, padding=False)
    assert ragged == ([ids for ids, _ in rows], [segments for _, segments in rows])
    padded = TOKENIZER.encode_batch(*arguments, pad_to_multiple_of=multiple)
    longest = max((len(ids) for ids, _ in rows), default=0)
    width = longest if multiple is None else -(-longest // multiple) * multiple
    for array, lists in zip(padded, ragged):
        assert array.dtype == np.int32 and array.shape == (len(rows), width)
        assert array.tolist() == [row + [0] * (width - len(row)) for row in lists]


def test_length_and_pad_token():
    tokenizer = small_tokenizer(token_pad="b")
    ids, segments = tokenizer.encode_batch(["你", "你好"], ["好", "a"], length=7)
    pad = tokenizer._token_pad_id
    assert pad != 0 and ids.tolist()[0] == [2, 6, 3, 7, 3, pad, pad]
    assert segments.tolist() == [[0, 0, 0, 1, 1, 0, 0], [0, 0, 0, 0, 1, 1, 0]]
    assert tokenizer.encode_batch([], length=4)[0].shape == (0, 4)
    assert tokenizer.encode_batch(iter(np.array(["你", "好"])))[0].shape == (2, 3)


@pytest.mark.parametrize(
    "arguments, kind, message",
    [
        ({"texts": "你好"}, TypeError, "texts: expected a list of texts, found one str"),
        ({"second_texts": "b"}, TypeError, "second_texts: expected a list of texts, found one str"),
        ({"second_texts": []}, ValueError, r"expected as many as texts \(1\), found 0"),
        ({"length": 4}, ValueError, "rows of at most 4 tokens, found one of 5"),
        ({"length": 0}, ValueError, "length: expected a positive integer or None, found 0"),
        ({"pad_to_multiple_of": -8}, ValueError, "pad_to_multiple_of: expected a positive"),
        ({"length": 6, "pad_to_multiple_of": 4}, ValueError, "found 6 and 4"),
    ],
)
def test_bad_arguments(arguments, kind, message):
    with pytest.raises(kind, match=message):
        TOKENIZER.encode_batch(**{"texts": ["ab 你好"], **arguments})


def test_errors_name_the_row():
    with pytest.raises(TypeError, match="found NoneType") as caught:
        TOKENIZER.encode_batch(["a", None])
    assert caught.value.__notes__ == ["This was text number 1 of the batch (from 0)."]
