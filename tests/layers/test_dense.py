"""Dense: Keras' results, faster on sequences."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from bert4keras_ext.backend import get_activation
from bert4keras_ext.layers import Dense
from tests.harness import check_layer

X = np.random.default_rng(0).normal(size=(2, 5, 6)).astype("float32")
MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], bool)


@pytest.mark.parametrize("activation", [None, "relu", "gelu", "gelu_tanh"])
@pytest.mark.parametrize("use_bias", [True, False])
def test_citizenship(activation, use_bias):
    config = dict(units=4, activation=get_activation(activation), use_bias=use_bias)
    check_layer(Dense, config, X, masks=[MASK], expected_shape=(2, 5, 4), expected_mask=MASK)


@pytest.mark.parametrize("shape", [(3, 6), (2, 5, 6), (2, 3, 5, 6)])
def test_equals_keras_in_training_and_inference(shape):
    x = tf.constant(np.random.default_rng(1).normal(size=shape), "float32")
    ours = Dense(4, activation=get_activation("gelu"))
    theirs = keras.layers.Dense(4, activation=lambda v: keras.activations.gelu(v))
    ours.build(shape), theirs.build(shape)
    theirs.set_weights(ours.get_weights())
    for training in (True, False):
        for run in (lambda f: f, tf.function):  # the graph is where things are fused
            found = run(lambda v, t=training: ours(v, training=t))(x)
            np.testing.assert_allclose(found, theirs(x), atol=2e-6)


def test_open_shapes_and_lora_and_int8():
    inputs = keras.Input((None, 6))
    layer = Dense(4)
    model = keras.Model(inputs, layer(inputs))
    assert model.output.shape == (None, None, 4)
    before = layer(X)
    layer.enable_lora(2)
    np.testing.assert_allclose(layer(X), before, atol=1e-6)
    layer.lora_kernel_b.assign(np.ones(layer.lora_kernel_b.shape))
    changed = layer(X)
    assert np.abs(changed - before).max() > 1e-2
    layer.quantize("int8")
    assert np.abs(layer(X) - changed).max() < 0.05 * np.abs(changed).max()
