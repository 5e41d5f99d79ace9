"""Searches, processors, constraints and votes on JAX, compiled."""

import numpy as np

from bert4keras_ext.generation import (
    BeamSearch,
    ExtractiveNgrams,
    GreedySearch,
    NoRepeatNgram,
    PrefixTree,
    RepetitionPenalty,
    Sampling,
)
from tests.generation import test_voting as voting
from tests.generation.slow_beam import slow_beam
from tests.generation.test_beam import PAIRS, assert_same
from tests.generation.test_constraints import is_extractive
from tests.generation.toy import assert_close, run, table_of


def test_beam_search_is_the_slow_one():
    settings = {"width": 3, "end_ids": (4, 2), "early_stopping": "never"}
    found = run(BeamSearch(**settings), table_of(5), PAIRS, 6, jit_compile=False)
    for row, pair in zip(found, PAIRS):
        assert_same(row, slow_beam(table_of(5), pair, 6, **settings))


def test_a_beam_of_one_with_processors_is_greedy_search():
    settings = {"end_ids": (4,), "processors": [NoRepeatNgram(2)], "length_penalty": 0.0}
    beam = run(BeamSearch(**settings), table_of(5), PAIRS, 7, jit_compile=False)
    greedy = run(GreedySearch(**settings), table_of(5), PAIRS, 7, jit_compile=False)
    assert [row[0][0] for row in beam] == [row[0][0] for row in greedy]


def test_sampling_depends_on_the_numbers_of_a_row_alone():
    noise = np.random.default_rng(0).random((3, 6, 2), "float32")
    processors = [RepetitionPenalty(1.3)]
    search = Sampling(width=2, end_ids=(4,), topk=4, topp=0.9, processors=processors)
    found = run(search, table_of(5), PAIRS, 6, jit_compile=False, noise=noise)
    alone = run(search, table_of(5), PAIRS[2:], 6, jit_compile=False, noise=noise[2:])
    assert_close(alone, found[2:])


def test_answers_from_lists_and_passages():
    listed = [[1, 2], [1, 2, 3], [3], []]
    passages = [[[0, 1, 2, 3], [3, 3]], [[1, 0, 1]], []]
    for processor, allowed in (
        (PrefixTree(listed, 4), lambda ids, row: ids in listed),
        (ExtractiveNgrams(passages, None, 4), lambda ids, row: is_extractive(ids, row, None)),
        (ExtractiveNgrams(passages, 2, 4), lambda ids, row: is_extractive(ids, row, 2)),
    ):
        search = BeamSearch(width=2, end_ids=(4,), processors=[processor])
        for texts, row in zip(run(search, table_of(5), PAIRS, 6, jit_compile=False), passages):
            assert all(allowed(ids, row) for ids, score in texts if score > -np.inf)


def test_votes():
    voting.test_greedy_answers(0, False)
