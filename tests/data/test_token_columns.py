"""The vectorised padding beside sequence_padding, row by row."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bert4keras_ext.data import TokenRows, sequence_padding
from bert4keras_ext.data.token_columns import Column, gather

SEQUENCES = st.lists(st.lists(st.integers(1, 99), max_size=9), min_size=1, max_size=12)
GROUPS = st.lists(
    st.lists(st.lists(st.integers(1, 99), max_size=6), max_size=4), min_size=1, max_size=8
)


def column_of(field):
    return TokenRows.from_rows([(row,) for row in field]).columns[0]


def some(data, count):
    return np.array(data.draw(st.lists(st.integers(0, count - 1), min_size=1, max_size=9)))


@given(SEQUENCES, st.data(), st.one_of(st.none(), st.integers(0, 12)), st.integers(-3, 3))
def test_sequences_are_padded_as_sequence_padding_does(field, data, length, value):
    column, places = column_of([[7], *field]), some(data, len(field) + 1)
    chosen = [([7], *field)[place] for place in places]
    found = column.padded(places, lambda longest: longest if length is None else length, value)
    expected = sequence_padding(chosen, length=length, value=value)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.int32
    assert column.lengths(places).tolist() == [len(row) for row in chosen]
    for place, row in zip(places, chosen):
        assert column[place].tolist() == row


@given(GROUPS, st.data(), st.integers(-3, 3))
def test_groups_are_padded_in_both_dimensions(field, data, value):
    field = [[[7], [8, 9]], *field]
    column, places = column_of(field), some(data, len(field))
    chosen = [field[place] for place in places]
    found = column.padded(places, lambda longest: longest, value)
    np.testing.assert_array_equal(found, sequence_padding(chosen, value=value, seq_dims=2))
    longest = [max(map(len, group), default=0) for group in chosen]
    assert column.lengths(places).tolist() == longest
    for place, group in zip(places, chosen):
        assert [row.tolist() for row in column[place]] == group


@given(SEQUENCES, st.data())
def test_selected_rows_are_rows(field, data):
    column, places = column_of([[7], *field]), some(data, len(field) + 1)
    chosen = column.select(places)
    assert len(chosen) == len(places)
    part = chosen.select(slice(1, None))
    expected = [([7], *field)[place] for place in places][1:]
    assert [part[i].tolist() for i in range(len(part))] == expected


def test_numbers():
    column = column_of([0.5, 1.0, 2.0])
    assert column.values.dtype == np.float32 and column[1] == 1.0
    assert column.padded(np.array([2, 0]), None).tolist() == [2.0, 0.5]
    assert column.lengths(np.array([2, 0])).tolist() == [0, 0]
    assert column.select(slice(1, None)).values.tolist() == [1.0, 2.0]


def test_a_run_at_the_end_and_no_runs_at_all():
    assert gather(np.arange(3), np.array([2]), np.array([1]), 4, -1).tolist() == [[2, -1, -1, -1]]
    assert gather(np.zeros(0, "int32"), np.array([0]), np.array([0]), 2, 5).tolist() == [[5, 5]]
    assert column_of([[], []]).padded(np.array([0, 1]), lambda n: n + 1).tolist() == [[0], [0]]


def test_a_padding_that_is_no_id_is_refused():
    column = Column(np.array([1, 2], "int32"), [(np.array([0]), np.array([2]))])
    with pytest.raises(TypeError):
        column.padded(np.array([0]), lambda longest: 4, 0.5)
