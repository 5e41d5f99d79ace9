"""Searches over random tables against plain loops and brute force."""

import itertools

import hypothesis
import hypothesis.strategies as st
import numpy as np

from tests.generation.tables import TableStepper, lists, softmax, table_decoder

SEEDS = st.integers(0, 2**32 - 1)
SMALL = st.integers(1, 6)


def decoder_of(seed, vocabulary, end_id=0, maxlen=6, minlen=1, start_id=None, spread=2):
    table = np.random.default_rng(seed).normal(0, spread, (vocabulary,) * 3)
    return table_decoder("logits")(table, start_id, end_id, maxlen, minlen)


def log_probability(table, before, tokens):
    """Of tokens after the two before them."""
    ids = [*before, *tokens]
    return sum(np.log(softmax(table[a, b])[c] + 1e-12) for a, b, c in zip(ids, ids[1:], ids[2:]))


@hypothesis.given(SEEDS, SMALL, SMALL)
def test_one_beam_is_greedy(seed, maxlen, minlen):
    decoder = decoder_of(seed, 5, maxlen=maxlen, minlen=min(minlen, maxlen))
    ids = [1, 3]
    while len(ids) < 2 + maxlen:
        ids.append(int(decoder.table[ids[-2], ids[-1]].argmax()))
        if ids[-1] == 0 and len(ids) - 2 >= decoder.minlen:
            break
    assert decoder.beam_search([[1, 3]], 1).tolist() == ids[2:]


@hypothesis.given(SEEDS, st.integers(1, 4))
def test_wide_beams_find_the_best_of_all(seed, maxlen):
    decoder = decoder_of(seed, 4, end_id=-1, maxlen=maxlen)
    every = itertools.product(range(4), repeat=maxlen)
    best = max(every, key=lambda tokens: log_probability(decoder.table, (1, 3), tokens))
    assert decoder.beam_search([[1, 3]], 4**maxlen).tolist() == list(best)


def beam_loop(table, before, width, end_id, maxlen, minlen, min_ends):
    """Beam search with Python's lists and a sort of all continuations."""
    beams = [((), 0.0)]
    for _ in range(maxlen):
        rows = [(tokens, score, softmax(table[([*before, *tokens])[-2], [*before, *tokens][-1]]))
                for tokens, score in beams]  # fmt: skip
        every = [((*tokens, c), score + np.log(p[c] + 1e-12))
                 for tokens, score, p in rows for c in range(len(p))]  # fmt: skip
        beams = sorted(every, key=lambda beam: -beam[1])[:width]

        def is_over(tokens):
            return (
                len(tokens) >= minlen and tokens[-1] == end_id and tokens.count(end_id) >= min_ends
            )

        if is_over(beams[0][0]):
            return list(beams[0][0])
        left = [beam for beam in beams if not is_over(beam[0])]
        width = width if len(left) == len(beams) else len(left)
        beams = left
    return list(beams[0][0])


@hypothesis.given(
    SEEDS, SMALL, st.integers(1, 9), SMALL, st.integers(1, 2), st.sampled_from([0.3, 1, 2])
)
def test_beam_search_is_a_loop(seed, width, maxlen, minlen, min_ends, spread):
    minlen = min(minlen, maxlen)
    decoder = decoder_of(seed, 4, maxlen=maxlen, minlen=minlen, spread=spread)
    wanted = beam_loop(decoder.table, (1, 3), width, 0, maxlen, minlen, min_ends)
    assert decoder.beam_search([[1, 3]], width, min_ends=min_ends).tolist() == wanted
    decoder.use_cache(TableStepper(decoder.table))
    assert decoder.beam_search([[1, 3]], width, min_ends=min_ends).tolist() == wanted


@hypothesis.given(SEEDS, st.none() | SMALL, st.none() | st.floats(0.1, 1), st.floats(0.3, 3))
def test_samples_with_a_cache_are_those_without(seed, topk, topp, temperature):
    decoder = decoder_of(seed, 5, start_id=2, maxlen=5)
    arguments = [[1, 3]], 4, topk, topp, None, temperature
    found = lists(decoder.random_sample(*arguments, seed=seed))
    decoder.use_cache(TableStepper(decoder.table))
    assert found == lists(decoder.random_sample(*arguments, seed=seed))
    assert len(found) == 4
    for ids in found:
        assert ids[0] == 2 and 0 not in ids[:-1] and (ids[-1] == 0 or len(ids) == 6)


@hypothesis.given(SEEDS, st.lists(st.tuples(*[st.integers(0, 4)] * 2), min_size=2, max_size=4))
def test_an_output_depends_on_its_own_input_alone(seed, sources):
    decoder = decoder_of(seed, 5)
    outputs = [decoder.beam_search([list(source)], 3).tolist() for source in sources]
    for source, output in reversed(list(zip(sources, outputs))):
        assert decoder_of(seed, 5).beam_search([list(source)], 3).tolist() == output


def test_samples_have_the_model_s_distribution():
    decoder = decoder_of(0, 6, end_id=-1, maxlen=2)
    found = decoder.random_sample([[1, 3]], 20000, topk=4, topp=0.9, temperature=1.5, seed=0)
    counts = np.zeros((6, 6))
    np.add.at(counts, tuple(np.array(found).T), 1)
    wanted = np.zeros((6, 6))
    for a, p in kept(softmax(decoder.table[1, 3] / 1.5)).items():
        for b, q in kept(softmax(decoder.table[3, a] / 1.5)).items():
            wanted[a, b] = 20000 * p * q
    possible = wanted > 0
    assert not counts[~possible].any()
    squares = ((counts - wanted) ** 2)[possible] / wanted[possible]
    freedom = possible.sum() - 1
    assert abs(squares.sum() - freedom) < 4 * np.sqrt(2 * freedom)  # chi-square: mean, deviation


def kept(row, topk=4, topp=0.9):
    tokens = np.argsort(-row)[:topk]
    total, reached, found = row[tokens].sum(), 0.0, {}
    for token in tokens:
        if reached >= topp:
            break
        found[token] = row[token]
        reached += row[token] / total
    return {token: p / sum(found.values()) for token, p in found.items()}
