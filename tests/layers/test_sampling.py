"""The von Mises-Fisher distribution: its moments, unit vectors, gradients."""

import keras
import numpy as np
import pytest

from bert4keras_ext.layers import VonMisesFisherSampling
from tests.harness import check_layer


def mean_resultant(kappa, dim):
    special = pytest.importorskip("scipy.special")
    return special.ive(dim / 2, kappa) / special.ive(dim / 2 - 1, kappa)


@pytest.mark.parametrize("dim", [2, 3, 16, 64])
@pytest.mark.parametrize("kappa", [0.5, 32.0])
def test_the_mean_cosine_is_that_of_the_distribution(dim, kappa):
    mu = np.random.default_rng(dim).normal(size=dim).astype("float32")
    layer = VonMisesFisherSampling(kappa, seed=1)
    z = np.asarray(layer(np.tile(mu, (20000, 1)), training=True))
    np.testing.assert_allclose(np.linalg.norm(z, axis=1), 1, atol=1e-5)
    cosines = z @ (mu / np.linalg.norm(mu))
    error = 4 * cosines.std() / np.sqrt(20000)
    assert abs(cosines.mean() - mean_resultant(kappa, dim)) < error + 2e-4
    across = z - np.outer(cosines, mu / np.linalg.norm(mu))
    assert np.abs(across.mean(0)).max() < 0.03  # no direction is preferred


def test_outside_training_it_is_the_direction_itself():
    x = np.array([[3.0, 4.0]], "float32")
    np.testing.assert_allclose(VonMisesFisherSampling()(x), [[0.6, 0.8]], atol=1e-6)


def test_gradients_reach_the_direction():
    import tensorflow as tf

    x = tf.constant(np.random.default_rng(0).normal(size=(4, 8)), "float32")
    layer = VonMisesFisherSampling(seed=1)
    for jit in (False, True):
        with tf.GradientTape() as tape:
            tape.watch(x)
            z = tf.function(lambda v: layer(v, training=True), jit_compile=jit)(x)
            total = tf.reduce_sum(z**3)
        gradient = tape.gradient(total, x)
        assert np.all(np.isfinite(gradient)) and np.abs(gradient).max() > 1e-3


def test_saving_and_precision(tmp_path):
    inputs = keras.Input((8,))
    layer = VonMisesFisherSampling(kappa=5.0, seed=3, dtype="mixed_bfloat16")
    model = keras.Model(inputs, layer(inputs))
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    assert again.layers[-1].kappa == 5.0
    assert keras.backend.standardize_dtype(layer(np.ones((1, 8))).dtype) == "bfloat16"


def test_citizenship():
    x = np.random.default_rng(1).normal(size=(2, 3, 6)).astype("float32")
    mask = np.array([[1, 1, 1], [1, 0, 0]], bool)
    check_layer(VonMisesFisherSampling, {"kappa": 5.0, "seed": 1}, x, masks=[mask],
                expected_shape=x.shape, expected_mask=mask)  # fmt: skip


def test_bad_arguments():
    with pytest.raises(ValueError, match="kappa expects 0 or more"):
        VonMisesFisherSampling(-1)
    with pytest.raises(ValueError, match="2 dimensions or more, found 1"):
        VonMisesFisherSampling()(np.ones((2, 1)))
