"""Extractive n-grams against all substrings of the passages."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from bert4keras_ext.generation import BeamSearch, ExtractiveNgrams, GreedySearch
from tests.generation.toy import assert_close, generated_of, run, table_of

VOCABULARY, END = 5, 4
passages = st.lists(st.lists(st.integers(0, END - 1), max_size=6), max_size=3)


def substrings(passages, size):
    return {tuple(p[k : k + size]) for p in passages for k in range(len(p) - size + 1)}


def is_extractive(ids, passages, n):
    """Whether every n tokens in a row (all, if there are fewer) stand in one passage."""
    size = len(ids) if n is None else min(n, len(ids))
    found = substrings(passages, size)
    return not ids or all(tuple(ids[k:][:size]) in found for k in range(len(ids) - size + 1))


def allowed(processor, news, rows=None):
    scores = ops.zeros((len(news), len(news[0]), VOCABULARY))
    found = ops.convert_to_numpy(processor(scores, generated_of(news, rows=rows)))
    assert set(np.unique(found)) <= {0.0, -np.inf}
    return found == 0


@st.composite
def beginnings(draw):
    """(passages of two rows, texts of two rows and two continuations), extractive or not."""
    of_rows = [draw(passages), draw(passages)]
    length = draw(st.integers(0, 5))
    news = []
    for row in of_rows:
        known = sorted(substrings(row, length))
        text = st.lists(st.integers(0, END - 1), min_size=length, max_size=length)
        text = st.one_of(text, st.sampled_from(known)) if known else text
        news.append([list(draw(text)), list(draw(text))])
    return of_rows, news


@settings(max_examples=60)
@given(beginnings(), st.sampled_from([None, 1, 2, 3, 4]))
def test_what_may_follow(case, n):
    of_rows, news = case
    found = allowed(ExtractiveNgrams(of_rows, n, END), news)
    for row, texts, of_row in zip(of_rows, news, found):
        for ids, of_text in zip(texts, of_row):
            last = ids if n is None else ids[max(len(ids) - n + 1, 0) :]
            longer = substrings(row, len(last) + 1)
            expected = [(*last, token) in longer for token in range(VOCABULARY)]
            assert of_text.tolist() == [*expected[:END], True]


@pytest.mark.parametrize("n", [None, 1, 2, 3])
@pytest.mark.parametrize("search", [GreedySearch, BeamSearch])
def test_whole_answers(search, n):
    rng = np.random.default_rng(0)
    of_rows = [[rng.integers(0, END, 9).tolist() for _ in range(2)] for _ in range(4)]
    pairs = [(0, 1), (2, 2), (1, 0), (3, 1)]
    width = 1 if search is GreedySearch else 3
    processors = [ExtractiveNgrams(of_rows, n, END)]
    found = run(search(width=width, end_ids=(END,), processors=processors), table_of(5), pairs, 8)
    answers = [(ids, row) for row, texts in zip(of_rows, found) for ids, _ in texts]
    assert all(is_extractive(ids, row, n) for ids, row in answers)
    assert max(len(ids) for ids, _ in answers) > 1


def test_rows_say_whose_passages_count():
    processor = ExtractiveNgrams([[[0]], [[1]], [[2]]], 1, END)
    found = allowed(processor, [[[]], [[]]], rows=[2, 0])
    assert found[:, 0].tolist() == [
        [False, False, True, False, True],
        [True] + 3 * [False] + [True],
    ]


def test_no_answer_goes_across_two_passages():
    processor = ExtractiveNgrams([[[0, 1], [2, 3]]], None, END)
    assert allowed(processor, [[[1]]])[0, 0].tolist() == [False] * 4 + [True]
    processor = ExtractiveNgrams([[[0, 1], [2, 3]]], 2, END)
    assert allowed(processor, [[[0, 1]]])[0, 0].tolist() == [False] * 4 + [True]


@pytest.mark.parametrize("n", [None, 2])
def test_without_passages_or_tokens_only_the_end_is_left(n):
    for row in ([], [[]], [[], []]):
        found = allowed(ExtractiveNgrams([row, [[1]]], n, (END, 0)), [[[]], [[]]])
        assert found[0, 0].tolist() == [True, False, False, False, True]
        assert found[1, 0].tolist() == [True, True, False, False, True]
    without_end = ExtractiveNgrams([[]], n)
    assert not allowed(without_end, [[[]]]).any()


def test_arrays_are_passages_too():
    lists = [[[0, 1, 2], [3]], [[1, 1, 1]]]
    arrays = [[np.array(p) for p in row] for row in lists]
    news = [[[0, 1]], [[1, 1]]]
    for n in (None, 2):
        expected = allowed(ExtractiveNgrams(lists, n, END), news)
        np.testing.assert_array_equal(expected, allowed(ExtractiveNgrams(arrays, n, END), news))
    whole = ExtractiveNgrams([np.array([[0, 1], [2, 3]])], 1, np.int64(END))
    assert allowed(whole, [[[]]]).all()


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("n", [None, 3])
def test_in_compiled_programs(n, jit_compile):
    of_rows = [[[0, 1, 2, 3, 0, 2]], [[1, 1, 2], [3, 2, 1, 0]]]
    search = BeamSearch(width=2, end_ids=(END,), processors=[ExtractiveNgrams(of_rows, n, END)])
    arguments = search, table_of(5), [(0, 1), (2, 3)], 7
    assert_close(run(*arguments, jit_compile=jit_compile), run(*arguments))


@pytest.mark.parametrize(
    "bad", [[[5, 6]], ["text"], [[["a"]]], [[[0.5]]], [[[-1]]], [3], [[[[1]]]]]
)
def test_what_are_no_passages(bad):
    with pytest.raises((TypeError, ValueError), match="expected .* found .* in row 0"):
        ExtractiveNgrams(bad)


def test_bad_settings():
    with pytest.raises(ValueError, match="expected n of at least 1"):
        ExtractiveNgrams([[[1]]], 0)
    with pytest.raises(ValueError, match=r"ids of the 5 tokens of the model, found \[7\]"):
        allowed(ExtractiveNgrams([[[1, 7]]], 1, END), [[[]]])
    with pytest.raises(ValueError, match=r"ids of the 5 tokens of the model, found \[5\]"):
        allowed(ExtractiveNgrams([[[1]]], 1, 5), [[[]]])
