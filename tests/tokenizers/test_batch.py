"""encode_batch: the same rows as encode, padded or not."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bert4keras_ext.tokenizers import Tokenizer
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
    padded = TOKENIZER.encode_batch(*arguments, multiple=multiple)
    longest = max((len(ids) for ids, _ in rows), default=0)
    width = longest if multiple is None else -(-longest // multiple) * multiple
    for array, lists in zip(padded, ragged):
        assert array.dtype == np.int32 and array.shape == (len(rows), width)
        assert array.tolist() == [row + [0] * (width - len(row)) for row in lists]


@settings(max_examples=150)
@given(
    st.lists(st.tuples(texts, texts), min_size=16, max_size=24),
    st.booleans(),
    st.sampled_from([None, 5, 12]),
    st.sampled_from(["S*E*E", "S*ES*E"]),
    st.sampled_from(["left", "right", 1]),
    st.sampled_from([{}, {"token_start": None}, {"token_end": None}, {"do_lower_case": False}]),
)
def test_large_batches_equal_single_encodes(pairs, paired, maxlen, pattern, truncate_from, options):
    """At least FEWEST_TEXTS: all of them at once."""
    tokenizer = small_tokenizer(**{"do_lower_case": True, **options})
    assert tokenizer._can_encode_at_once(pairs) or "Σ" in str(pairs)
    first, second = (list(part) for part in zip(*pairs))
    arguments = (first, second if paired else None, maxlen, pattern, truncate_from)
    try:
        ragged = tokenizer.encode_batch(*arguments, padding=False)
    except ValueError as error:  # a start that is not there, or nothing left to drop
        with pytest.raises(ValueError, match=re.escape(str(error)[:40])):
            tokenizer.encode_batch(*arguments)
        return
    padded = tokenizer.encode_batch(*arguments)
    width = max(map(len, ragged[0]))
    for array, lists in zip(padded, ragged):
        assert array.dtype == np.int32
        assert array.tolist() == [row + [0] * (width - len(row)) for row in lists]


class Shouting(Tokenizer):
    def encode(self, first_text, *arguments):
        return super().encode(first_text + "！", *arguments)


def test_what_a_subclass_overrides_is_called():
    tokenizer = Shouting(small_tokenizer()._token_dict)
    ids = tokenizer.encode_batch(["你好"] * 20)[0]
    assert ids.tolist() == [tokenizer.encode("你好")[0]] * 20


def test_surrogates_and_astral_characters():
    texts = ["a\ud800你", "\U00020000好", "\U0001f600", "", " ", "\uffff"] * 4
    tokenizer = small_tokenizer(do_lower_case=True)
    rows = [tokenizer.encode(text)[0] for text in texts]
    found = tokenizer.encode_batch(texts)[0]
    assert [row[: len(ids)].tolist() for row, ids in zip(found, rows)] == rows


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
        ({"multiple": -8}, ValueError, "multiple: expected a positive"),
        ({"length": 6, "pad_to_multiple_of": 4}, ValueError, "found 6 and 4"),
        ({"multiple": 8, "pad_to_multiple_of": 4}, ValueError, "one thing: found 8 and 4"),
    ],
)
def test_bad_arguments(arguments, kind, message):
    with pytest.raises(kind, match=message):
        TOKENIZER.encode_batch(**{"texts": ["ab 你好"], **arguments})


def test_errors_name_the_row():
    with pytest.raises(TypeError, match="found NoneType") as caught:
        TOKENIZER.encode_batch(["a", None])
    assert caught.value.__notes__ == ["This was text number 1 of the batch (from 0)."]


def test_errors_of_large_batches_are_those_of_single_texts():
    texts = ["你"] * 17 + ["你好你好你好"]
    with pytest.raises(ValueError, match="cannot drop 4 of 8 tokens") as caught:
        TOKENIZER.encode_batch(texts, maxlen=4, truncate_from=6)
    assert caught.value.__notes__ == ["This was text number 17 of the batch (from 0)."]
    with pytest.raises(ValueError, match="truncate_from: expected 'right', 'left'"):
        TOKENIZER.encode_batch(texts, maxlen=20, truncate_from="middle")  # though nothing is cut


def test_hugging_faces_name_of_multiple_serves_too():
    by_name = TOKENIZER.encode_batch(["北京"], pad_to_multiple_of=16)
    np.testing.assert_array_equal(by_name, TOKENIZER.encode_batch(["北京"], multiple=16))
    assert by_name[0].shape == (1, 16)
