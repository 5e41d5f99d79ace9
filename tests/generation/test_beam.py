"""Beam search: against a slow one with lists, against all texts there are, and greedy search."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bert4keras_ext.generation import BeamSearch, ForbiddenTokens, GreedySearch, MinNewTokens
from tests.generation.slow_beam import slow_beam
from tests.generation.toy import all_texts, assert_close, run, table_of

PAIRS = [(0, 1), (2, 2), (1, 0)]


def assert_same(found, expected):
    """Of one row: the texts, and scores as good as float32 gives; what is missing is -inf."""
    there = [(ids, score) for ids, score in found if score > -np.inf]
    assert [ids for ids, _ in there] == [ids for ids, _ in expected]
    np.testing.assert_allclose(
        [score for _, score in there], [score for _, score in expected], rtol=1e-5, atol=1e-5
    )
    assert all(ids == [] for ids, score in found[len(there) :])


searches = st.fixed_dictionaries(
    {
        "width": st.integers(1, 7),
        "end_ids": st.lists(st.integers(0, 4), max_size=3, unique=True).map(tuple),
        "length_penalty": st.sampled_from([0.0, 0.5, 1.0, 2.0, -1.0]),
        "early_stopping": st.sampled_from([True, False, "never"]),
        "temperature": st.sampled_from([1.0, 0.5, 3.0]),
    }
)


@settings(max_examples=30)
@given(searches, st.integers(2, 5), st.integers(1, 7), st.integers(0, 3), st.integers(0, 10**6))
def test_equals_a_slow_one(settings, vocabulary, limit, minimum, seed):
    end_ids = tuple(i for i in settings["end_ids"] if i < vocabulary)
    settings = {**settings, "end_ids": end_ids}
    table = table_of(vocabulary, seed)
    pairs = [(a % vocabulary, b % vocabulary) for a, b in PAIRS]
    search = BeamSearch(**settings, processors=[MinNewTokens(minimum, end_ids)])
    found = run(search, table, pairs, limit)
    for row, pair in zip(found, pairs):

        def too_early(ids):
            return end_ids if len(ids) < minimum else ()

        assert_same(row, slow_beam(table, pair, limit, forbid=too_early, **settings))


@pytest.mark.parametrize("end_ids", [(), (1,), (0, 2)])
@pytest.mark.parametrize("early_stopping", [True, False, "never"])
@pytest.mark.parametrize("length_penalty", [0.0, 1.0, 2.0, -1.0])
def test_a_wide_beam_finds_the_best_text_there_is(end_ids, early_stopping, length_penalty):
    limit, table = 3, table_of(3, seed=5)
    search = BeamSearch(
        width=27, end_ids=end_ids, early_stopping=early_stopping, length_penalty=length_penalty
    )
    for pair, row in zip(PAIRS, run(search, table, PAIRS, limit)):
        texts = all_texts(table, pair, limit, end_ids)
        scored = sorted(((s / n**length_penalty, ids) for ids, s, n in texts), reverse=True)
        assert_same(row, [(ids, score) for score, ids in scored])


@pytest.mark.parametrize("early_stopping", [True, False, "never"])
def test_a_width_of_one_is_greedy_search(early_stopping):
    # At length penalty 0 longer texts score less: it may stop at the first end, as greedy does.
    for seed in range(5):
        table = table_of(4, seed)
        beam = BeamSearch(end_ids=(3,), early_stopping=early_stopping, length_penalty=0.0)
        greedy = GreedySearch(end_ids=(3,), length_penalty=0.0)
        for found, expected in zip(run(beam, table, PAIRS, 8), run(greedy, table, PAIRS, 8)):
            assert found[0][0] == expected[0][0]
            assert found[0][1] == pytest.approx(expected[0][1], rel=1e-5)


def test_no_beam_is_worse_than_greedy_search_where_nothing_ends():
    table = table_of(6, seed=3)
    greedy = run(GreedySearch(), table, PAIRS, 6)
    for width in (2, 3, 5):
        for found, best in zip(run(BeamSearch(width=width), table, PAIRS, 6), greedy):
            assert found[0][1] >= best[0][1] - 1e-6


def test_rows_know_nothing_of_each_other():
    table = table_of(5, seed=9)
    pairs = [(a, b) for a in range(5) for b in range(5)]
    search = BeamSearch(width=3, end_ids=(4,))
    together = run(search, table, pairs, 7)
    order = np.random.default_rng(0).permutation(len(pairs))
    permuted = run(search, table, [pairs[i] for i in order], 7)
    assert_close(permuted, [together[i] for i in order])
    for pair, row in list(zip(pairs, together))[::6]:
        assert_close(run(search, table, [pair], 7), [row])


def test_all_tokens_forbidden_leaves_no_text():
    search = BeamSearch(width=3, end_ids=(3,), processors=[ForbiddenTokens(range(4))])
    assert run(search, table_of(4), PAIRS, 5) == [[([], -np.inf)] * 3] * 3


def test_fewer_texts_than_asked_for_are_followed_by_empty_ones():
    search = BeamSearch(width=5, end_ids=(0,), processors=[ForbiddenTokens([1, 2])])
    row = run(search, table_of(3), [(0, 1)], 4)[0]
    assert row[0][0] == [] and row[0][1] == pytest.approx(0, abs=20)
    assert [score for _, score in row[1:]] == [-np.inf] * 4


def test_a_bonus_makes_no_text_out_of_nothing():
    search = BeamSearch(width=4, end_ids=(0,), processors=[lambda scores, _: scores + 1e3])
    for row in run(search, table_of(3), PAIRS, 1):
        assert sorted(ids for ids, score in row if score > -np.inf) == [[], [1], [2]]


def test_a_processor_sees_log_probabilities_at_the_temperature():
    seen = []

    def look(scores, generated):
        seen.append(np.exp(np.asarray(scores, "float64")).sum(-1))
        return scores

    run(BeamSearch(width=2, temperature=0.7, processors=[look]), table_of(5), PAIRS, 3)
    assert len(seen) == 3
    np.testing.assert_allclose(seen, np.ones((3, 3, 2)), rtol=1e-5)


@pytest.mark.parametrize("early_stopping", ["sometimes", 2, None])
def test_an_unknown_early_stopping_is_refused(early_stopping):
    with pytest.raises(ValueError, match="early_stopping expects True, False or 'never'"):
        BeamSearch(early_stopping=early_stopping)
