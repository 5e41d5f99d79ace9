"""Processors against loops over lists."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from bert4keras_ext.generation import (
    ForbiddenTokens,
    GreedySearch,
    MinNewTokens,
    NoRepeatNgram,
    RepetitionPenalty,
)
from tests.generation.toy import generated_of, run, table_of

VOCABULARY = 5
tokens = st.integers(0, VOCABULARY - 1)
# Rows of a prompt and new tokens, as many for each of two continuations.
rows = st.integers(0, 7).flatmap(
    lambda length: st.lists(
        st.tuples(
            st.lists(tokens, max_size=5),
            st.lists(st.lists(tokens, min_size=length, max_size=length), min_size=2, max_size=2),
        ),
        min_size=1,
        max_size=3,
    )
)


def scores_of(rows, seed=0):
    shape = (len(rows), 2, VOCABULARY)
    return np.random.default_rng(seed).normal(0, 1, shape).astype("float32")


def processed(processor, scores, rows):
    prompts, news = zip(*rows)
    return ops.convert_to_numpy(processor(ops.array(scores), generated_of(news, prompts)))


@settings(max_examples=40)
@given(rows, st.sampled_from([0.5, 1.3, 2.0]))
def test_repetition_penalty(rows, penalty):
    scores = scores_of(rows)
    scores[0, 0, 1] = -np.inf
    expected = scores.copy()
    for i, (prompt, news) in enumerate(rows):
        for j, new in enumerate(news):
            for token in {*prompt, *new}:
                s = scores[i, j, token]
                expected[i, j, token] = s / penalty if s > 0 else s * penalty
    np.testing.assert_allclose(processed(RepetitionPenalty(penalty), scores, rows), expected, 1e-6)


@settings(max_examples=40)
@given(rows, st.integers(1, 4))
def test_no_ngram_comes_twice(rows, size):
    scores = scores_of(rows)
    expected = scores.copy()
    for i, (prompt, news) in enumerate(rows):
        for j, new in enumerate(news):
            text = [*prompt, *new]
            ngrams = {tuple(text[k : k + size]) for k in range(len(text) - size + 1)}
            last = text[len(text) - size + 1 :] if len(text) >= size else None
            for token in range(VOCABULARY):
                if last is not None and (*last, token) in ngrams:
                    expected[i, j, token] = -np.inf
    np.testing.assert_array_equal(processed(NoRepeatNgram(size), scores, rows), expected)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_text_without_repetitions(size):
    """Whole texts, of a model that would go round and round."""
    table = table_of(4)
    table[...] = table[:1]  # the same at each place
    for row in run(GreedySearch(processors=[NoRepeatNgram(size)]), table, [(0, 1), (2, 3)], 24):
        ids = row[0][0]
        ngrams = [tuple(ids[k : k + size]) for k in range(len(ids) - size + 1)]
        assert len(ngrams) == len(set(ngrams))
    assert size > 1 or len(ids) == 4  # all were used, then it ended


def test_min_new_tokens():
    scores = np.zeros((1, 1, 4), "float32")
    for length in range(5):
        generated = generated_of([[[1] * length]])
        found = ops.convert_to_numpy(MinNewTokens(3, (0, 2))(ops.array(scores), generated))
        early = [-np.inf, 0, -np.inf, 0] if length < 3 else [0] * 4
        assert found.tolist() == [[early]]
    found = run(
        GreedySearch(end_ids=(1,), processors=[MinNewTokens(5, 1)]), table_of(3), [(0, 1)], 7
    )
    assert len(found[0][0][0]) >= 5


@pytest.mark.parametrize("ids", [[0, 3], (3, 0), np.array([0, 3]), {0, 3}])
def test_forbidden_tokens(ids):
    found = ForbiddenTokens(ids)(ops.ones((2, 3, 4)), None)
    expected = np.tile([-np.inf, 1, 1, -np.inf], (2, 3, 1))
    np.testing.assert_array_equal(ops.convert_to_numpy(found), expected)
    none = ForbiddenTokens([])(ops.ones((1, 1, 4)), None)
    assert ops.convert_to_numpy(none).tolist() == [[[1.0] * 4]]


@pytest.mark.parametrize("processor", [ForbiddenTokens([1, 4]), MinNewTokens(2, -1)])
def test_ids_outside_of_the_vocabulary_are_refused(processor):
    with pytest.raises(ValueError, match=r"expected ids of the 4 tokens of the model, found \["):
        processor(ops.zeros((1, 1, 4)), generated_of([[[1]]]))


@pytest.mark.parametrize(
    "make", [lambda: RepetitionPenalty(0), lambda: RepetitionPenalty(-1), lambda: NoRepeatNgram(0)]
)
def test_settings_without_a_meaning_are_refused(make):
    with pytest.raises(ValueError, match="expected .* found"):
        make()
