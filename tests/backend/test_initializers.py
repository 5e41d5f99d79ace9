"""TruncatedNormal: the distribution (SciPy's as oracle), seeds, dtypes, configs."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from bert4keras_ext.backend.initializers import TruncatedNormal, standard_quantiles


def cumulated(x):
    """Of the normal distribution cut off at 2, by numerical integration."""
    grid = np.linspace(-2, 2, 400_001)
    density = np.exp(-(grid**2) / 2)
    sums = np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2)])
    return np.interp(x, grid, sums / sums[-1])


def test_quantiles_are_equally_probable():
    quantiles = standard_quantiles().astype("float64")
    assert np.all(np.diff(quantiles) > 0)
    np.testing.assert_allclose(cumulated(quantiles), (np.arange(65536) + 0.5) / 65536, atol=1e-7)


def test_numbers_follow_the_distribution():
    """Kolmogorov's distance of n independent numbers exceeds 2 / sqrt(n) once in 1500 seeds."""
    values = np.sort(TruncatedNormal(mean=1.0, stddev=0.5, seed=3)((200, 1000)).numpy().ravel())
    steps = (np.arange(values.size) + 0.5) / values.size
    assert np.abs(cumulated((values - 1.0) / 0.5) - steps).max() < 2 / np.sqrt(values.size)
    keras_values = keras.initializers.TruncatedNormal(1.0, 0.5, seed=3)((200, 1000)).numpy()
    assert abs(values.std() - keras_values.std()) < 3e-3  # 6 sigma
    raw = TruncatedNormal(seed=4)((100_000,)).numpy()
    assert abs(np.corrcoef(raw[:-1], raw[1:])[0, 1]) < 4 / np.sqrt(raw.size)


def test_seeds():
    shape = (7, 5)
    same = [TruncatedNormal(seed=1)(shape).numpy() for _ in range(2)]
    np.testing.assert_array_equal(*same)
    assert np.abs(TruncatedNormal(seed=2)(shape).numpy() - same[0]).max() > 0
    keras.utils.set_random_seed(9)
    first = TruncatedNormal()(shape).numpy()
    keras.utils.set_random_seed(9)
    np.testing.assert_array_equal(TruncatedNormal()(shape).numpy(), first)
    generator = TruncatedNormal(seed=keras.random.SeedGenerator(1))
    assert np.abs(generator(shape).numpy() - generator(shape).numpy()).max() > 0


@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 0), (2, 3, 5)])
@pytest.mark.parametrize("dtype", [None, "float32", "bfloat16", "float16", "float64"])
def test_shapes_and_dtypes(shape, dtype):
    values = TruncatedNormal(stddev=0.02, seed=1)(shape, dtype)
    assert values.shape == shape and keras.backend.standardize_dtype(values.dtype) == (
        dtype or "float32"
    )
    assert np.all(np.abs(np.asarray(values, "float64")) <= 0.0401)


def test_in_a_graph_it_is_that_of_keras():
    mine, theirs = (c(seed=5) for c in (TruncatedNormal, keras.initializers.TruncatedNormal))
    np.testing.assert_array_equal(tf.function(lambda: mine((4, 3)))(), theirs((4, 3)))


def test_config_and_clones():
    initializer = TruncatedNormal(stddev=0.3, seed=4)
    again = keras.initializers.deserialize(keras.initializers.serialize(initializer))
    assert type(again) is TruncatedNormal
    np.testing.assert_array_equal(again((3, 2)), initializer((3, 2)))
    clone = TruncatedNormal(stddev=0.3).clone()  # without a seed: one of its own
    assert np.abs(clone((3, 2)).numpy() - clone.clone()((3, 2)).numpy()).max() > 0
