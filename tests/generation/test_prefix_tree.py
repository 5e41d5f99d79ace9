"""The prefix tree against comparisons with all sequences."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from bert4keras_ext.generation import BeamSearch, GreedySearch, PrefixTree, Sampling
from tests.generation.toy import generated_of, run, table_of

VOCABULARY, END = 6, 5
sequences = st.lists(st.lists(st.integers(0, 4), max_size=5), min_size=1, max_size=12)
PAIRS = [(0, 1), (2, 2), (1, 0), (3, 1)]


def allowed(tree, news, vocabulary=VOCABULARY):
    scores = ops.zeros((len(news), len(news[0]), vocabulary))
    return ops.convert_to_numpy(tree(scores, generated_of(news))) == 0


def may_follow(sequences, ids, ends=(END,)):
    same = [s for s in map(list, sequences) if s[: len(ids)] == list(ids)]
    next_ = {s[len(ids)] for s in same if len(s) > len(ids)}
    return next_ | (set(ends) if any(len(s) == len(ids) for s in same) else set())


@settings(max_examples=60)
@given(sequences, st.data())
def test_what_may_follow(sequences, data):
    tree, length = PrefixTree(sequences, END), data.draw(st.integers(0, 6))
    long_enough = [s[:length] for s in sequences if len(s) >= length]
    text = st.lists(st.integers(0, 4), min_size=length, max_size=length)
    text = st.one_of(text, st.sampled_from(long_enough)) if long_enough else text
    news = [[data.draw(text), data.draw(text)], [data.draw(text), data.draw(text)]]
    found = allowed(tree, news)
    for row, of_row in zip(news, found):
        for ids, of_text in zip(row, of_row):
            assert set(np.flatnonzero(of_text)) == may_follow(sequences, ids)


def test_a_large_tree():
    rng = np.random.default_rng(0)
    lists = [rng.integers(0, 3000, rng.integers(1, 8)).tolist() for _ in range(30000)]
    tree = PrefixTree(lists, 3000)
    assert len(set(zip(tree.keys.tolist(), tree.checks.tolist()))) == len(tree.keys)
    assert len(tree.keys) == len({tuple(s[:k]) for s in lists for k in range(len(s) + 1)})
    for length in range(7):
        news = [[s[:length]] for s in lists[:300] if len(s) >= length]
        news.append([[3000] * length])
        for (ids,), of_row in zip(news, allowed(tree, news, 3001)):
            expected = {s[length] for s in lists if len(s) > length and s[:length] == ids}
            expected |= {3000} if ids in lists else set()
            assert set(np.flatnonzero(of_row[0])) == expected


@pytest.mark.parametrize("jit_compile", [None, False, True])
def test_searches_find_listed_sequences_alone(jit_compile):
    listed = [[1, 2], [1, 2, 3], [3], [0, 0, 0, 0], [], [4, 1]]
    tree, ends = PrefixTree(listed, END), (END,)
    noise = np.random.default_rng(0).random((4, 6, 3), "float32")
    for search, arrays in (
        (GreedySearch(end_ids=ends, processors=[tree]), {}),
        (BeamSearch(width=3, end_ids=ends, processors=[tree]), {}),
        (Sampling(width=3, end_ids=ends, processors=[tree]), {"noise": noise}),
    ):
        for row in run(search, table_of(6), PAIRS, 6, jit_compile=jit_compile, **arrays):
            assert all(ids in listed for ids, _ in row)


def test_a_wide_beam_orders_all_sequences():
    listed = [[1, 2], [1, 2, 3], [3], [0, 0, 0, 0], []]
    search = BeamSearch(width=8, end_ids=(END,), processors=[PrefixTree(listed, END)])
    for row in run(search, table_of(6), PAIRS, 6):
        assert sorted(ids for ids, score in row if score > -np.inf) == sorted(listed)


def test_several_ends_follow_each_sequence():
    tree = PrefixTree([[1], [1, 2]], (4, 5))
    assert np.flatnonzero(allowed(tree, [[[1]]])).tolist() == [2, 4, 5]
    assert np.flatnonzero(allowed(tree, [[[1, 2]]])).tolist() == [4, 5]


def test_the_empty_sequence_alone():
    tree = PrefixTree([[]], END)
    assert np.flatnonzero(allowed(tree, [[[]]])).tolist() == [END]
    assert not allowed(tree, [[[END]]]).any()


def test_arrays_and_repetitions_make_the_same_tree():
    lists = [[1, 2], [3, 4]]
    for same in (np.array(lists), [*lists, [1, 2]], (tuple(s) for s in lists)):
        tree = PrefixTree(same, np.int64(END))
        assert np.flatnonzero(allowed(tree, [[[1]], [[3]]])[:, 0].any(0)).tolist() == [2, 4]


@pytest.mark.parametrize(
    "sequences, end_id, match",
    [
        ([], END, "at least one allowed sequence and an end token, found 0 and 1"),
        ([[1]], (), "at least one allowed sequence and an end token, found 1 and 0"),
        ([[1, END, 2]], END, r"without an end token .* found it in \[1, 5, 2\]"),
        ([[1, -2]], END, "found negative ones"),
    ],
)
def test_bad_input(sequences, end_id, match):
    with pytest.raises(ValueError, match=match):
        PrefixTree(sequences, end_id)


@pytest.mark.parametrize("sequences, end_id", [([[1, 6]], END), ([[6]], END), ([[1]], 6)])
def test_ids_outside_of_the_vocabulary_are_refused(sequences, end_id):
    with pytest.raises(ValueError, match=r"ids of the 6 tokens of the model, found \[6\]"):
        allowed(PrefixTree(sequences, end_id), [[[1]]])
