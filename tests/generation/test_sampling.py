"""Sampling: its frequencies, what top-k and top-p keep, and on what a draw depends."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from bert4keras_ext.generation import ForbiddenTokens, GreedySearch, Sampling, sampling
from bert4keras_ext.generation.draws import filtered
from tests.generation.toy import assert_close, log_softmax, run, table_of

# Upper 1e-4 points of the chi-square distribution, by degrees of freedom.
CHI_SQUARE = {1: 15.14, 2: 18.42, 3: 21.11, 4: 23.51, 5: 25.74, 6: 27.86, 7: 29.88}


def distribution(logits, topk=None, topp=None, temperature=1.0):
    """float64, all by sorting."""
    p = np.exp(log_softmax(np.asarray(logits, "float64") / temperature))
    order = np.argsort(-p, kind="stable")[: topk or len(p)]
    kept = p[order] / p[order].sum()
    if topp is not None:
        kept[1:][np.cumsum(kept)[:-1] >= topp] = 0
    found = np.zeros(len(p))
    found[order] = kept / kept.sum()
    return found


SETTINGS = [
    {}, {"topk": 3}, {"topp": 0.7}, {"topk": 5, "topp": 0.8}, {"temperature": 2.0},
    {"temperature": 0.5, "topk": 6, "topp": 0.95}, {"topk": 99}, {"topp": 1},
]  # fmt: skip


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_frequencies_are_those_of_the_distribution(settings):
    draws, table = 20000, table_of(8, seed=1, scale=1.0)
    noise = np.random.default_rng(7).random((1, 1, draws), "float32")
    row = run(Sampling(width=draws, **settings), table, [(0, 1)], 1, noise=noise)[0]
    counts = np.bincount([ids[0] for ids, _ in row], minlength=8)
    expected = draws * distribution(table[0, 0, 1], **settings)
    possible = expected > 0
    assert not counts[~possible].any()
    statistic = ((counts - expected)[possible] ** 2 / expected[possible]).sum()
    assert statistic < CHI_SQUARE[possible.sum() - 1]


def test_the_second_token_follows_the_first():
    draws, table = 20000, table_of(3, seed=2, scale=1.0)
    noise = np.random.default_rng(8).random((1, 2, draws), "float32")
    row = run(Sampling(width=draws), table, [(0, 1)], 2, noise=noise)[0]
    counts = np.zeros((3, 3))
    np.add.at(counts, tuple(np.array([ids for ids, _ in row]).T), 1)
    first = distribution(table[0, 0, 1])
    expected = draws * first[:, None] * [distribution(table[1, 1, token]) for token in range(3)]
    assert ((counts - expected) ** 2 / expected).sum() < 31.83  # 8 degrees of freedom


@settings(max_examples=25)
@given(
    st.integers(2, 400), st.integers(0, 10**6), st.sampled_from([None, 1, 3, 50, 500]),
    st.sampled_from([None, 0.0, 0.3, 0.9, 0.999]), st.sampled_from([0.3, 1.0, 4.0]),
)  # fmt: skip
def test_what_is_kept(vocabulary, seed, topk, topp, temperature):
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, vocabulary).astype("float32")
    expected = distribution(logits, topk, topp, temperature)
    width = 300
    search = Sampling(width=width, topk=topk, topp=topp, temperature=temperature)
    state = {"noise": ops.convert_to_tensor(rng.random((1, 1, width), "float32"))}
    scores = search.tempered(ops.convert_to_tensor(np.tile(logits, (1, width, 1))))
    found = ops.convert_to_numpy(search.pick(scores, state, 0))
    # Rounding may decide on the last token of a nucleus.
    loose = distribution(logits, topk, topp and min(topp + 1e-5, 1.0), temperature)
    assert loose[found].all()
    if topp is None or topp < 0.5:
        assert set(found.ravel()) >= set(np.flatnonzero(expected > 0.1))
    tokens, kept = filtered(np.exp(log_softmax(logits / np.float64(temperature)))[None], topk, topp)
    tokens = np.arange(vocabulary)[None] if tokens is None else tokens
    assert set(tokens[kept > 0]) == set(np.flatnonzero(expected))  # as bert4keras keeps


def test_a_large_nucleus_gives_what_a_full_sort_gives(monkeypatch):
    """In one batch with a small one, and alone."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 1, (2, 1, 3000)).astype("float32")
    logits[1] *= 6
    search, count = Sampling(width=64, topp=0.9), 0
    noise = ops.convert_to_tensor(rng.random((2, 1, 64), "float32"))
    scores = ops.repeat(ops.convert_to_tensor(logits), 64, axis=1)

    def picked(rows):
        return ops.convert_to_numpy(search.pick(scores[rows], {"noise": noise[rows]}, count))

    together, alone = picked(slice(0, 2)), [picked(slice(0, 1)), picked(slice(1, 2))]
    np.testing.assert_array_equal(together, np.concatenate(alone))
    monkeypatch.setattr(sampling, "FEW", 3000)
    np.testing.assert_array_equal(together, picked(slice(0, 2)))
    assert len(np.unique(together[0])) > len(np.unique(together[1]))


@pytest.mark.parametrize("settings", [{"topp": 0}, {"topk": 1}, {"topk": 1, "topp": 0.3}])
def test_one_token_kept_is_greedy_search(settings):
    table, pairs = table_of(5), [(0, 1), (3, 2)]
    noise = np.random.default_rng(0).random((2, 6, 2), "float32")
    greedy = run(GreedySearch(end_ids=(4,)), table, pairs, 6)
    found = run(Sampling(width=2, end_ids=(4,), **settings), table, pairs, 6, noise=noise)
    for row, expected in zip(found, greedy):
        assert [ids for ids, _ in row] == [expected[0][0]] * 2


def test_rows_depend_on_their_own_numbers_alone():
    table, pairs = table_of(5, scale=1.0), [(0, 1), (2, 2), (4, 3)]
    search = Sampling(width=3, end_ids=(4,), topp=0.9)
    noise = np.random.default_rng(0).random((3, 6, 3), "float32")
    together = run(search, table, pairs, 6, noise=noise)
    for i in (2, 0, 1):
        alone = run(search, table, pairs[i : i + 1], 6, noise=noise[i : i + 1])
        assert_close(alone, [together[i]])
    assert_close(run(search, table, pairs[::-1], 6, noise=noise[::-1]), together[::-1])
    fewer = run(Sampling(width=1, end_ids=(4,), topp=0.9), table, pairs, 6, noise=noise[..., :1])
    assert_close(fewer, [row[:1] for row in together])


def test_scores_are_of_the_distribution_at_the_temperature():
    table, pair = table_of(5), (1, 2)
    noise = np.random.default_rng(3).random((1, 4, 8), "float32")
    search = Sampling(width=8, topk=3, temperature=2.0, length_penalty=0.0)
    for ids, score in run(search, table, [pair], 4, noise=noise)[0]:
        text = [*pair, *ids]
        expected = sum(
            log_softmax(table[place, text[place], text[place + 1]] / 2)[text[place + 2]]
            for place in range(4)
        )
        assert score == pytest.approx(expected, rel=1e-5)


def test_forbidden_tokens_are_never_drawn():
    noise = np.linspace(0, 1, 100, endpoint=False, dtype="float32").reshape(1, 1, 100)
    for kept in ({}, {"topk": 4}, {"topp": 0.99}):
        search = Sampling(width=100, processors=[ForbiddenTokens([0, 4, 2])], **kept)
        row = run(search, table_of(5, scale=0.1), [(0, 1)], 1, noise=noise)[0]
        assert {ids[0] for ids, _ in row} == {1, 3}


@pytest.mark.parametrize("settings", [{"topk": 0}, {"topp": -0.1}, {"topp": 1.1}, {"topp": np.nan}])
def test_settings_without_a_meaning_are_refused(settings):
    with pytest.raises(ValueError, match="expected a top[kp] .*, found"):
        Sampling(**settings)
