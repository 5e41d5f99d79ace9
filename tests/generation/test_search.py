"""What all searches share: the loop, ends, limits, precisions, compiled programs, bad logits."""

import numpy as np
import pytest
from keras import ops

from bert4keras_ext.backend.compiled import compiled
from bert4keras_ext.generation import BeamSearch, GreedySearch, PrefixTree, Sampling
from bert4keras_ext.generation.search import Search, log_sum_exp
from tests.generation.toy import (
    arrays_of,
    assert_close,
    log_softmax,
    open_axes,
    program_of,
    read,
    run,
    table_of,
)

PAIRS = [(0, 1), (2, 2), (1, 0), (3, 1)]


def noise_of(rows, limit, width, seed=0):
    return np.random.default_rng(seed).random((rows, limit, width), "float32")


def searches():
    yield "greedy", GreedySearch(end_ids=(4,)), {}
    yield "beam", BeamSearch(width=3, end_ids=(4, 2)), {}
    tree = PrefixTree([[1, 2], [1, 2, 3], [3], [0, 0, 0, 0]], 4)
    yield "tree", BeamSearch(width=3, end_ids=(4,), processors=[tree]), {}
    sampling = Sampling(width=3, end_ids=(4,), topk=4, topp=0.9, temperature=1.5)
    yield "sample", sampling, {"noise": noise_of(4, 6, 3)}


@pytest.mark.parametrize("name", ["greedy", "beam", "tree", "sample"])
def test_compiled_programs_find_the_same(name):
    search, arrays = next((s, a) for n, s, a in searches() if n == name)
    eager = run(search, table_of(5), PAIRS, 6, **arrays)
    assert_close(run(search, table_of(5), PAIRS, 6, jit_compile=False, **arrays), eager)
    assert_close(run(search, table_of(5), PAIRS, 6, jit_compile=True, **arrays), eager)


def test_one_program_serves_all_shapes():
    search, table, traces = BeamSearch(width=2, end_ids=(0,)), table_of(4), []
    program = program_of(search, table)

    def counted(*arrays):
        traces.append(1)
        return program(*arrays)

    fast = compiled(counted, False, open_axes)
    fast(*arrays_of(search, PAIRS[:1], 3))
    before = len(traces)
    for rows, limit in ((2, 5), (4, 1)):
        found = read(fast(*arrays_of(search, PAIRS[:rows], limit))[0])
        assert_close(found, run(search, table, PAIRS[:rows], limit))
    assert len(traces) == before


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", ["greedy", "beam", "sample"])
def test_logits_of_half_precision_are_summed_in_single(name, dtype):
    search, arrays = next((s, a) for n, s, a in searches() if n == name)
    table = table_of(5)
    rounded = ops.convert_to_numpy(ops.cast(ops.cast(table, dtype), "float32"))
    assert_close(
        run(search, table, PAIRS, 6, dtype=dtype, **arrays),
        run(search, rounded, PAIRS, 6, **arrays),
    )


def invalid_after(search, table, noise=None):
    return ops.convert_to_numpy(
        program_of(search, table)(*arrays_of(search, PAIRS, 4, noise=noise))[1]
    )


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["greedy", "beam", "sample"])
def test_bad_logits_are_told_of(name, bad):
    search, arrays = next((s, a) for n, s, a in searches() if n == name)
    noise = noise_of(4, 4, 3) if arrays else None
    table = table_of(5)
    assert not invalid_after(search, table, noise).any()
    first = table.copy()
    first[0, 2, 2, 1] = bad  # of row 1
    assert invalid_after(search, first, noise).tolist() == [False, True, False, False]
    later = table.copy()
    later[2] = bad
    assert invalid_after(search, later, noise).any()


def test_a_text_that_has_ended_is_not_made_invalid():
    table = table_of(5)
    table[0, :, :, 4] = 50  # all end at once,
    table[0, 0, 1, 4] = -50  # but the first row
    table[1:, :, 4] = np.nan
    assert not invalid_after(GreedySearch(end_ids=(4,)), table).any()


@pytest.mark.parametrize("name", ["greedy", "beam", "sample"])
def test_rows_without_any_token_end_empty(name):
    search, arrays = next((s, a) for n, s, a in searches() if n == name)
    table = table_of(5)
    table[0, 2, 2] = -np.inf
    noise = {"noise": noise_of(4, 4, 3)} if arrays else {}
    found = run(search, table, PAIRS, 4, **noise)
    assert all(ids == [] for ids, _ in found[1])
    assert all(score == (-np.inf if name == "beam" else 0) for _, score in found[1])
    without = {"noise": noise_of(4, 4, 3)[[0, 2, 3]]} if arrays else {}
    assert_close([found[i] for i in (0, 2, 3)],
                 run(search, table, [PAIRS[i] for i in (0, 2, 3)], 4, **without))  # fmt: skip


def test_greedy_takes_the_most_probable_and_sums():
    table = table_of(5, seed=4)
    for pair, row in zip(PAIRS, run(GreedySearch(end_ids=(4,)), table, PAIRS, 6)):
        ids, score, length = [], 0.0, 0
        for place in range(6):
            last = [*pair, *ids][-2:]
            gains = log_softmax(table[place, last[0], last[1]])
            score, length = score + gains.max(), length + 1
            if gains.argmax() == 4:
                break
            ids.append(int(gains.argmax()))
        assert row[0][0] == ids
        assert row[0][1] == pytest.approx(score / length, rel=1e-5)


@pytest.mark.parametrize("end_ids", [(), (1,)])
def test_a_limit_of_one(end_ids):
    table = table_of(3, scale=1.0)
    table[0, 0, 1, 1] = 9
    for search in (GreedySearch(end_ids=end_ids), BeamSearch(width=2, end_ids=end_ids)):
        ids, score = run(search, table, [(0, 1)], 1)[0][0]
        assert ids == ([] if end_ids else [1])
        assert score == pytest.approx(log_softmax(table[0, 0, 1])[1], abs=1e-6)


def test_the_sum_of_exponentials():
    scores = np.random.default_rng(0).normal(0, 30, (2, 3, 100)).astype("float32")
    scores[0, 0, :50] = -np.inf
    expected = np.log(np.exp(scores.astype("float64")).sum(-1, keepdims=True))
    found = ops.convert_to_numpy(log_sum_exp(ops.convert_to_tensor(scores)))
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-5)
    dead = ops.convert_to_numpy(log_sum_exp(ops.full((1, 1, 4), -np.inf)))
    assert dead.tolist() == [[[0.0]]]


@pytest.mark.parametrize("settings", [{"width": 0}, {"temperature": 0}, {"temperature": np.nan}])
def test_settings_without_a_meaning_are_refused(settings):
    with pytest.raises(ValueError, match="expected a .*, found"):
        GreedySearch(**settings)


def test_a_search_of_ones_own_says_what_it_lacks():
    for lacking in (lambda s: s.choose(None, None, None), lambda s: s.results(None)):
        with pytest.raises(NotImplementedError, match="Search must define"):
            lacking(Search())
