"""Choices among tokens against plain loops."""

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from bert4keras_ext.generation.draws import draw, filtered, largest
from bert4keras_ext.generation.probabilities import next_probabilities

SEEDS = st.integers(0, 2**32 - 1)


@hypothesis.given(SEEDS, st.integers(1, 40), st.integers(1, 5))
def test_largest_is_a_stable_sort(seed, count, kinds):
    scores = np.random.default_rng(seed).integers(0, kinds * 10, (3, 7)).astype("float64")
    flat = scores.ravel().tolist()
    wanted = sorted(range(len(flat)), key=lambda i: (-flat[i], i))[:count]
    assert largest(scores, count).tolist() == wanted


def filtered_loop(row, topk, topp):
    """{token: probability} of one row, in float64."""
    tokens = sorted(range(len(row)), key=lambda i: -row[i])[:topk]
    total = sum(row[i] for i in tokens)
    kept, reached = [], 0.0
    for i in tokens:
        if topp is not None and reached >= topp:
            break
        kept.append(i)
        reached += row[i] / total
    total = sum(row[i] for i in kept)
    return {i: row[i] / total for i in kept}


@hypothesis.given(
    SEEDS, st.none() | st.integers(1, 500), st.none() | st.floats(0.05, 1.0), st.floats(0.1, 6)
)
def test_filtered_is_a_loop(seed, topk, topp, sharpness):
    rows = np.random.default_rng(seed).random((3, 300)) ** sharpness
    rows /= rows.sum(1, keepdims=True)
    tokens, kept = filtered(rows, topk, topp)
    tokens = np.tile(np.arange(300), (3, 1)) if tokens is None else tokens
    assert tokens.shape == kept.shape
    for row, places, values in zip(rows.tolist(), tokens, kept):
        found = {int(i): x for i, x in zip(places, values) if x > 0}
        assert found == pytest.approx(filtered_loop(row, topk, topp), rel=1e-9)


def test_top_p_needs_no_sort_of_all_but_does_it_where_it_must():
    rows = np.full((1, 1000), 1e-3)
    assert np.count_nonzero(filtered(rows, topp=0.9991)[1]) == 1000
    rows = np.r_[np.full(10, 0.1), np.zeros(990)][None]
    tokens, kept = filtered(rows, topp=0.95)
    assert tokens.shape == (1, 64) and np.count_nonzero(kept) == 10


@hypothesis.given(SEEDS, st.sampled_from(["float32", "float64"]))
def test_draw_is_numpy_s_choice(seed, dtype):
    rows = np.random.default_rng(seed).random((4, 30)).astype(dtype)
    rows[:, 20:] = 0
    rows /= rows.sum(1, keepdims=True)
    np.random.seed(seed)
    wanted = [np.random.choice(30, p=row) for row in rows]
    np.random.seed(seed)
    assert draw(rows, np.arange(4), np.random.random(4)).tolist() == wanted


@hypothesis.given(SEEDS, st.floats(0.05, 20), st.sampled_from(["probas", "logits"]))
def test_temperature_is_its_formula(seed, temperature, kind):
    logits = np.random.default_rng(seed).normal(0, 3, (3, 8))
    powers = [[np.exp(np.float64(x)) for x in row] for row in logits]
    values = [[x / sum(row) for x in row] for row in powers] if kind == "probas" else logits
    wanted = [[x ** (1 / temperature) for x in row] for row in powers]
    wanted = [[x / sum(row) for x in row] for row in wanted]
    found = next_probabilities(values, kind, temperature)
    np.testing.assert_allclose(found, wanted, rtol=2e-4, atol=1e-7)


@pytest.mark.parametrize("kind, none", [("probas", 0.0), ("logits", -np.inf)])
def test_extreme_rows(kind, none):
    rows = np.array([[none] * 3, [none, 1.0, none], [1e4, 1e4, none]], "float32")
    for temperature in (0, 1e-3, 0.5, 2):
        found = next_probabilities(rows, kind, temperature)
        halves = [1, 0, 0] if temperature == 0 else [0.5, 0.5, 0]
        np.testing.assert_allclose(found, [[0, 0, 0], [0, 1, 0], halves])
        assert found.dtype == "float32"


def test_half_precision_becomes_float32():
    assert next_probabilities(np.float16([[0.5, 0.5]]), "probas").dtype == "float32"
