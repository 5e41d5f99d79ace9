"""Votes of passages, computed by hand and by loops in float64."""

import numpy as np
import pytest
from keras import ops

from bert4keras_ext.backend.compiled import compiled
from bert4keras_ext.generation import (
    BeamSearch,
    ExtractiveNgrams,
    ForbiddenTokens,
    GreedySearch,
    Sampling,
    Votes,
    advance,
    begin,
)
from tests.generation.toy import (
    arrays_of,
    assert_close,
    log_softmax,
    open_axes,
    read,
    stepper,
    table_of,
)

END = 4


def groups_of(sizes):
    return np.repeat(np.arange(len(sizes), dtype="int32"), sizes)


def votes_of(logits, sizes, end_ids=(END,)):
    """(scores of the first token, kept) of rows (rows, vocabulary)."""
    votes = Votes(ops.array(groups_of(sizes)), len(sizes), end_ids)
    scores, kept = votes.first(ops.array(np.asarray(logits, "float32")[:, None]))
    return ops.convert_to_numpy(scores)[:, 0], ops.convert_to_numpy(kept)


def vote_by_hand(probabilities):
    """Of one group, without those that dropped out: float64 (vocabulary,)."""
    p = np.asarray(probabilities, "float64")
    return (p**2).sum(0) / (1 + p.sum(0))


def test_a_vote_computed_by_hand():
    """Two passages for token 0, each half sure; one for token 1, quite sure; one has no answer."""
    p = np.array([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]])
    scores, kept = votes_of(np.log(p), [4], end_ids=(2,))
    assert kept.tolist() == [True, True, True, False]
    expected = [(0.25 + 0.25 + 0.01) / (1 + 1.1), (0.09 + 0.09 + 0.64) / (1 + 1.4),
                (0.04 + 0.04 + 0.01) / (1 + 0.5)]  # fmt: skip
    np.testing.assert_allclose(np.exp(scores[0]), expected, rtol=1e-5)
    assert scores[0].argmax() == 1  # though by the mean token 0 would be nearly level


def test_groups_of_several_sizes():
    rng, sizes = np.random.default_rng(0), [3, 1, 5, 2]
    logits = rng.normal(0, 2, (11, 6))
    scores, kept = votes_of(logits, sizes)
    p = np.exp([log_softmax(row) for row in logits])
    np.testing.assert_array_equal(kept, p.argmax(-1) != END)
    for group, found in enumerate(scores):
        rows = (groups_of(sizes) == group) & kept
        assert rows.any()
        expected = np.log(vote_by_hand(p[rows]))
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_all_drop_out():
    logits = np.zeros((3, 5))
    logits[:2, END] = logits[2, 1] = 9
    scores, kept = votes_of(logits, [2, 1])
    assert kept.tolist() == [False, False, True]
    assert scores[0].tolist() == [-np.inf] * 4 + [0]
    assert scores[1].argmax() == 1


def test_small_probabilities_keep_their_order():
    """Squares of 1e-30 are 0 in float32."""
    logits = np.array([[0.0, -70, -69, -np.inf]])
    scores, _ = votes_of(logits, [1], end_ids=())
    np.testing.assert_allclose(scores[0][:3], [np.log(0.5), -140, -138], rtol=1e-5)
    assert scores[0][3] == -np.inf


def answers(search, table, pairs, sizes, limit, processors=(), jit_compile=None, noise=None):
    """What a search finds for each group of rows of the toy model."""
    rows, groups = len(pairs), len(sizes)

    def program(pairs, group, tokens, prompt, rows, limit, noise):
        first, step = stepper(table, search.width)
        logits, caches = first(pairs)
        votes = Votes(group, ops.shape(tokens)[0], (END,))
        logits, kept = votes.first(logits)
        more = {} if noise is None else {"noise": noise}
        carry = begin(search, logits, search.start(tokens, limit, prompt, rows, **more))
        carry, _ = advance(search, votes.step(step), carry, (caches, kept), limit)
        return search.results(carry["state"]), carry["state"]["invalid"]

    if jit_compile is not None:
        program = compiled(program, jit_compile, open_axes)
    assert rows == sum(sizes)
    arrays = arrays_of(search, np.zeros((groups, 2)), limit, noise=noise)[1:]
    results, invalid = program(np.asarray(pairs, "int32"), groups_of(sizes), *arrays)
    assert not ops.convert_to_numpy(invalid).any()
    return read(results)


def vote_after(table, pairs, kept, ids):
    """float64 (vocabulary,): the logarithm of the votes of one group after its ids."""
    p = []
    for pair, is_kept in zip(pairs, kept):
        last = [*pair, *ids][-2:]
        if is_kept:
            p.append(np.exp(log_softmax(table[len(ids), last[0], last[1]])))
    return np.log(vote_by_hand(p))


SIZES = [3, 1, 2, 4]
PAIRS = [(a, b) for a, b in np.random.default_rng(5).integers(0, 5, (10, 2)).tolist()]


def kept_rows(table):
    return [log_softmax(table[0, a, b]).argmax() != END for a, b in PAIRS]


def parts(values):
    starts = np.cumsum([0, *SIZES])
    return [values[a:b] for a, b in zip(starts[:-1], starts[1:])]


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("jit_compile", [None, False, True])
def test_greedy_answers(seed, jit_compile):
    table = table_of(5, seed)
    search = GreedySearch(end_ids=(END,), normalized=True, length_penalty=0.0)
    found = answers(search, table, PAIRS, SIZES, 6, jit_compile=jit_compile)
    for pairs, kept, row in zip(parts(PAIRS), parts(kept_rows(table)), found):
        ids, score = [], 0.0
        for _ in range(6):
            if not any(kept):
                break
            votes = vote_after(table, pairs, kept, ids)
            score += votes.max()
            if votes.argmax() == END:
                break
            ids.append(int(votes.argmax()))
        assert row[0][0] == ids
        assert row[0][1] == pytest.approx(score, rel=1e-5)


def test_a_wide_beam_finds_the_best_sum_of_votes():
    table = table_of(5, seed=3)
    search = BeamSearch(
        width=125, end_ids=(END,), normalized=True, length_penalty=0.0, early_stopping="never"
    )
    found = answers(search, table, PAIRS, SIZES, 3)
    for pairs, kept, row in zip(parts(PAIRS), parts(kept_rows(table)), found):
        if not any(kept):
            assert row[0] == ([], 0.0)
            continue
        best, beginnings = [], [((), 0.0)]
        for _ in range(3):
            longer = []
            for ids, score in beginnings:
                for token, vote in enumerate(vote_after(table, pairs, kept, ids)):
                    (best if token == END else longer).append(
                        (ids if token == END else (*ids, token), score + vote)
                    )
            beginnings = longer
        ids, score = max([*best, *beginnings], key=lambda text: text[1])
        assert row[0][0] == list(ids)
        assert row[0][1] == pytest.approx(score, rel=1e-5)


def test_one_passage_a_group_that_drops_out_has_an_empty_answer():
    table = table_of(5)
    table[0, :, :, END] = 20
    for search in (
        GreedySearch(end_ids=(END,), normalized=True),
        BeamSearch(width=2, end_ids=(END,), normalized=True),
    ):
        found = answers(search, table, PAIRS[:2], [1, 1], 4)
        assert [row[0] for row in found] == [([], 0.0)] * 2


def test_sampling_follows_the_votes():
    draws, table = 20000, table_of(5, seed=1, scale=1.0)
    noise = np.random.default_rng(0).random((1, 1, draws), "float32")
    table[0, :, :, END] = -2
    search = Sampling(width=draws, end_ids=(END,), normalized=True)
    row = answers(search, table, PAIRS[:3], [3], 1, noise=noise)[0]
    counts = np.bincount([(ids or [END])[0] for ids, _ in row], minlength=5)
    votes = np.exp(vote_after(table, PAIRS[:3], [True] * 3, []))
    expected = draws * votes / votes.sum()
    assert ((counts - expected) ** 2 / expected).sum() < 23.51  # 4 degrees of freedom, 1e-4


@pytest.mark.parametrize("jit_compile", [None, True])
def test_processors_see_groups(jit_compile):
    passages = [[[0, 1, 2]], [[3, 3, 1]], [[2, 0]], [[1, 0, 1, 0]]]
    processors = [ExtractiveNgrams(passages, None, END)]
    search = BeamSearch(width=2, end_ids=(END,), normalized=True, processors=processors)
    table = table_of(5, seed=2)
    table[0, :, :, END] = -5
    found = answers(search, table, PAIRS, SIZES, 5, jit_compile=jit_compile)
    for (passage,), row in zip(passages, found):
        for ids, _ in row:
            assert "".join(map(str, ids)) in "".join(map(str, passage))
    assert any(ids for row in found for ids, _ in row)


def test_groups_know_nothing_of_each_other():
    table = table_of(5, seed=7)
    search = BeamSearch(width=3, end_ids=(END,), normalized=True)
    together = answers(search, table, PAIRS, SIZES, 5)
    for pairs, size, row in zip(parts(PAIRS), SIZES, together):
        assert_close(answers(search, table, pairs, [size], 5), [row])
        assert_close(answers(search, table, pairs[::-1], [size], 5), [row])


def test_an_answer_that_must_not_be_empty_ends_where_all_drop_out():
    table = table_of(5)
    table[0, :, :, END] = 20
    search = GreedySearch(end_ids=(END,), normalized=True, processors=[ForbiddenTokens([END])])
    assert answers(search, table, PAIRS[:2], [2], 4)[0] == [([], 0.0)]


@pytest.mark.parametrize("is_end", [False, True])
def test_nan_is_not_lost_in_votes(is_end):
    logits = np.zeros((3, 5))
    logits[:, END if is_end else 1] = 5
    logits[1] = np.nan
    assert np.isnan(votes_of(logits, [2, 1])[0][0]).any()
    assert not np.isnan(votes_of(logits, [2, 1])[0][1]).any()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_summed_in_single(dtype):
    logits = ops.cast(np.random.default_rng(0).normal(0, 3, (4, 1, 50)), dtype)
    votes = Votes(ops.array(groups_of([3, 1])), 2, (END,))
    found, _ = votes.first(logits)
    expected, _ = votes.first(ops.cast(logits, "float32"))
    np.testing.assert_array_equal(ops.convert_to_numpy(found), ops.convert_to_numpy(expected))
