import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bert4keras_ext.data import sequence_padding
from tests.shared import oracle

ROWS = st.lists(st.lists(st.integers(1, 30000), max_size=20), min_size=1, max_size=6)


def cases():
    return json.loads((oracle("bert4keras") / "snippets.json").read_text())["sequence_padding"]


@pytest.mark.parametrize("case", cases(), ids=lambda case: str(case["kwargs"]))
def test_as_bert4keras(case):
    result = sequence_padding(case["seqs"], **case["kwargs"])
    assert result.tolist() == case["result"]["out"]
    # A batch with an empty row stays integer here; bert4keras makes it float64.
    expected = "int64" if [] in case["seqs"] else case["result"]["dtype"]
    assert result.dtype == expected


@given(ROWS, st.sampled_from(["post", "pre"]), st.one_of(st.none(), st.integers(0, 25)))
def test_every_row_is_there(rows, mode, length):
    result = sequence_padding(rows, length=length, mode=mode)
    width = max(map(len, rows)) if length is None else length
    assert result.shape == (len(rows), width)
    assert result.dtype == np.int64
    for row, padded in zip(rows, result.tolist()):
        kept, zeros = row[:width], [0] * (width - len(row[:width]))
        assert padded == (kept + zeros if mode == "post" else zeros + kept)


@given(st.lists(ROWS, min_size=1, max_size=4), st.sampled_from(["post", "pre"]))
def test_two_dimensions(tables, mode):
    result = sequence_padding(tables, seq_dims=2, mode=mode, value=-1)
    assert result.shape[1] == max(map(len, tables))
    assert result.shape[2] == max(len(row) for table in tables for row in table)
    for table, padded in zip(tables, result.tolist()):
        kept = [[n for n in row if n != -1] for row in padded]
        kept = kept[: len(table)] if mode == "post" else kept[-len(table) :]
        assert kept == table


@pytest.mark.parametrize("longest, expected", [(1, 32), (32, 32), (33, 64)])
def test_multiple(longest, expected):
    assert sequence_padding([[1] * longest, [1]], multiple=32).shape == (2, expected)
    assert sequence_padding([[1] * longest], length=7, multiple=32).shape == (1, 7)


def test_one_length_given_the_other_found():
    assert sequence_padding([[[1, 2], [3]]], length=[None, 5], seq_dims=2).shape == (1, 2, 5)
    assert sequence_padding([[[1, 2]]], seq_dims=2, multiple=[None, 8]).shape == (1, 1, 8)


def test_dtypes():
    rows = [np.array([1, 2], "int32"), np.array([3], "int32")]
    assert sequence_padding(rows).dtype == np.int32
    assert sequence_padding([[1], [0.5]]).dtype == np.float64
    assert sequence_padding([[], []]).dtype == np.int64
    assert sequence_padding([[1]], dtype="float32").dtype == np.float32
    assert sequence_padding([np.ones((2, 3)), np.ones((1, 3))]).shape == (2, 2, 3)
    assert np.isneginf(sequence_padding([[1.0, 2.0], [1.0]], value=-np.inf)[1, 1])


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"inputs": []}, "at least one row"),
        ({"inputs": [1, 2]}, "bare number"),
        ({"inputs": [1, 2], "length": 3}, "bare number"),
        ({"inputs": [[1]], "mode": "left"}, "'post' or 'pre'"),
        ({"inputs": [[1]], "seq_dims": 0}, "seq_dims >= 1"),
        ({"inputs": [[[1]]], "seq_dims": 2, "length": 3}, "one entry for each"),
        ({"inputs": [[1]], "value": 0.5}, "int64 can hold"),
        ({"inputs": [[1]], "value": -np.inf}, "int64 can hold"),
        ({"inputs": [[[1, 2]], [[1]]]}, "inner shapes"),
        ({"inputs": [[1, [2]]]}, "nested as deep"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        sequence_padding(**arguments)


def test_empty_arrays_say_what_they_are_empty_of():
    padded = sequence_padding([np.zeros((0, 16), "float32")] * 2, length=5)
    assert padded.shape == (2, 5, 16) and padded.dtype == "float32"
    assert sequence_padding([[], []], length=2).dtype == "int64"
    assert sequence_padding([[], [1.5]]).tolist() == [[0.0], [1.5]]


def test_rows_that_are_all_empty():
    """Sparse labels of spans, in a batch without any."""
    for dtype in (None, "int32"):
        padded = sequence_padding([[], []], seq_dims=2, length=(2, 3), dtype=dtype)
        assert padded.shape == (2, 2, 3) and not padded.any()
        assert padded.dtype == (dtype or "int64")
    assert sequence_padding([[], []], seq_dims=2).shape == (2, 0, 0)
    assert sequence_padding([[], []], seq_dims=3, length=(1, 2, 3), value=7).tolist() == (
        np.full((2, 1, 2, 3), 7).tolist()
    )


def test_values_and_lengths_that_cannot_be():
    with pytest.raises(ValueError, match="padding value that int64 can hold"):
        sequence_padding([[1]], 2, value=float("nan"))
    with pytest.raises(ValueError, match="expected length >= 0, received -1"):
        sequence_padding([[1]], -1)
