"""The largest and a drawn one by blocks, against sorting and running sums over all."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from bert4keras_ext.generation.selection import BLOCK, inverse_distribution, top_k


@settings(max_examples=40)
@given(st.integers(1, 3000), st.integers(1, 12), st.integers(0, 10**6), st.booleans())
def test_the_largest(size, k, seed, ties):
    rng = np.random.default_rng(seed)
    scores = rng.normal(0, 1, (2, 3, size)).astype("float32")
    if ties:
        scores = np.round(scores)
    scores[0, 0, rng.random(size) < 0.9] = -np.inf
    scores[0, 1, : max(size - 1, 0)] = -np.inf
    values, places = (ops.convert_to_numpy(x) for x in top_k(ops.array(scores), min(k, size)))
    expected = np.argsort(-scores, axis=-1, kind="stable")[..., :k]
    np.testing.assert_array_equal(places, expected)
    np.testing.assert_array_equal(values, np.take_along_axis(scores, expected, -1))


@settings(max_examples=40)
@given(st.integers(1, 500), st.integers(0, 10**6))
def test_the_inverse_of_the_distribution_function(size, seed):
    rng = np.random.default_rng(seed)
    weights = rng.random((2, 50, size)) * (rng.random((2, 50, size)) < 0.5)
    weights[0, 0, : size // 2] = 0
    weights = np.round(weights * 64).astype("float32")  # whose sums are exact
    weights[..., rng.integers(size)] += 1
    uniform = (rng.integers(0, 256, (2, 50, 1)) / 256).astype("float32")
    sums = np.cumsum(weights.astype("float64"), -1)
    expected = (sums <= uniform * sums[..., -1:]).sum(-1, keepdims=True)
    found = inverse_distribution(ops.array(weights), ops.array(uniform))
    np.testing.assert_array_equal(ops.convert_to_numpy(found), expected)


@pytest.mark.parametrize("uniform", [0.0, 1 - 2**-24])
@pytest.mark.parametrize("place", [0, 1, BLOCK - 1, BLOCK, 5 * BLOCK + 3, 999])
def test_a_place_without_weight_is_never_drawn(place, uniform):
    weights = np.zeros((1, 1, 1000), "float32")
    weights[..., place] = 0.3
    found = inverse_distribution(ops.array(weights), ops.full((1, 1, 1), uniform))
    assert ops.convert_to_numpy(found).tolist() == [[[place]]]


def test_many_small_weights_are_not_lost():
    """One running sum over 50,000 floats would lead astray by hundreds of places."""
    weights = ops.full((1, 100, 50000), 0.1, "float32")
    uniform = np.linspace(0, 1, 100, endpoint=False, dtype="float32")
    found = inverse_distribution(weights, ops.array(uniform[None, :, None]))
    assert np.abs(ops.convert_to_numpy(found)[0, :, 0] - uniform * 50000).max() < 5
