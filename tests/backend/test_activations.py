"""Activations against recordings, float64 formulas and their derivatives."""

import math

import keras
import numpy as np
import pytest
from keras import ops

from bert4keras_ext.backend import activations, gelu_erf, get_activation, set_gelu
from tests.shared import oracle


@pytest.mark.parametrize("name", ["gelu_erf", "gelu_tanh", "swish", "leaky_relu"])
def test_equals_bert4keras(name):
    recorded = np.load(oracle("bert4keras", "backend.npz"))
    found = get_activation(name)(ops.convert_to_tensor(recorded["act/x"]))
    np.testing.assert_allclose(found, recorded[f"act/{name}"], atol=1e-6)


def test_the_written_gradient_of_gelu_is_the_derivative():
    import tensorflow as tf

    x = np.linspace(-8, 8, 161)
    tensor = tf.constant(x, "float32")
    with tf.GradientTape() as tape:
        tape.watch(tensor)
        y = gelu_erf(tensor)
    cdf = np.array([0.5 * (1 + math.erf(v / math.sqrt(2))) for v in x])
    wanted = cdf + x * np.exp(-0.5 * x**2) / math.sqrt(2 * math.pi)
    np.testing.assert_allclose(y, x * cdf, atol=1e-6)
    np.testing.assert_allclose(tape.gradient(y, tensor), wanted, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_gelu_is_finite_at_the_ends_of_half_precision(dtype):
    import tensorflow as tf

    x = tf.cast(tf.constant([-6e4, -300.0, 0.0, 300.0, 6e4]), dtype)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = gelu_erf(x)
    gradient = tape.gradient(y, x)
    assert np.all(np.isfinite(tf.cast(y, "float32")))
    np.testing.assert_allclose(tf.cast(gradient, "float32"), [0, 0, 0.5, 1, 1], atol=1e-2)


def test_gelu_means_erf_until_it_is_set():
    assert get_activation("gelu") is activations.gelu_erf
    set_gelu("tanh")
    assert get_activation("gelu") is activations.gelu_tanh


def test_names_survive_serialization():
    for name in ("gelu_erf", "gelu_tanh", "swish", "leaky_relu", "relu", "linear"):
        function = get_activation(name)
        assert get_activation(activations.serialize_activation(function)) is function


def test_a_dense_layer_with_our_activation_is_reloaded(tmp_path):
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(2, get_activation("gelu_tanh"))]
    )
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    assert loaded.layers[0].activation is activations.gelu_tanh


def test_errors_name_the_choices():
    with pytest.raises(ValueError, match="'erf' or 'tanh', received 'exact'"):
        set_gelu("exact")
    with pytest.raises(ValueError, match="unknown activation 'gleu'.*gelu_tanh"):
        get_activation("gleu")
