"""Own gradients: right wherever TensorFlow may look for them, and gone with their graphs."""

import gc

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops
from tensorflow.python.framework.func_graph import FuncGraph

from bert4keras_ext.backend.activations import gelu_erf, gelu_tanh, swish
from bert4keras_ext.backend.gradients import custom_gradient


@custom_gradient
def _square(x):
    """x^2 whose gradient is three times the true one: no other gradient can be mistaken for it."""
    kept = x * 6.0

    def gradient(*args, upstream=None):
        return (args[0] if upstream is None else upstream) * kept

    return ops.square(x), gradient


@custom_gradient
def _two(x, y):
    def gradient(*upstream):
        return upstream[0] * 5.0, upstream[1] * 7.0

    return (x + y, x * y), gradient


def _in_cond(x):
    return tf.cond(tf.reduce_sum(x) > 0, lambda: _square(x), lambda: x)


def _in_loop(x):
    return tf.while_loop(lambda i, y: i < 1, lambda i, y: (i + 1, _square(y)), (0, x))[1]


def _in_function(x):
    return tf.function(_square)(x)


def _in_compiled_function(x):
    return tf.function(_square, jit_compile=True)(x)


def _in_map(x):
    return tf.map_fn(_square, x)


PLACES = (_square, _in_cond, _in_loop, _in_function, _in_compiled_function, _in_map)


@pytest.mark.parametrize("function", PLACES)
@pytest.mark.parametrize("outside", ["eager", "graph", "compiled"])
def test_the_gradient_is_found(function, outside):
    if outside == "compiled" and function is _in_loop:
        pytest.skip("XLA knows gradients of loops of a known number of steps only")

    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.reduce_sum(function(x))
        return tape.gradient(y, x)

    if outside != "eager":
        gradient = tf.function(gradient, jit_compile=outside == "compiled")
    np.testing.assert_allclose(gradient(tf.constant([1.0, 2.0])), [6.0, 12.0])


def test_several_outputs():
    @tf.function
    def gradients(x, y):
        with tf.GradientTape() as tape:
            tape.watch([x, y])
            z = tf.add_n(_two(x, y))
        return tape.gradient(z, [x, y])

    found = gradients(tf.constant(2.0), tf.constant(3.0))
    assert [float(x) for x in found] == [5.0, 7.0]


def test_a_function_differentiated_later():
    """The backward function is made when it is first asked for, after other calls."""
    forward = tf.function(lambda x: _square(x))
    x = tf.constant([1.0, 2.0])
    forward(x)
    gc.collect()
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = forward(x)
    np.testing.assert_allclose(tape.gradient(y, x), [6.0, 12.0])


def test_a_saved_model_keeps_it(tmp_path):
    module = tf.Module()
    module.run = tf.function(lambda x: _square(x), input_signature=[tf.TensorSpec([None])])
    tf.saved_model.save(module, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    x = tf.constant([1.0, 2.0])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = loaded.run(x)
    np.testing.assert_allclose(tape.gradient(y, x), [6.0, 12.0])


def graphs_alive():
    keras.utils.clear_session()
    gc.collect()
    return sum(isinstance(x, FuncGraph) for x in gc.get_objects())


def test_gradient_of_swish():
    x = tf.constant(np.linspace(-9, 9, 37), "float64")
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = swish(x)
    share = 1 / (1 + np.exp(-x.numpy()))
    np.testing.assert_allclose(y, x * share, rtol=1e-12)
    wanted = share + x * share * (1 - share)
    np.testing.assert_allclose(tape.gradient(y, x), wanted, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("function", [*PLACES, gelu_erf, gelu_tanh, swish])
def test_graphs_are_given_back(function):
    def use():
        with tf.GradientTape() as tape:
            x = tf.constant([1.0, 2.0])
            tape.watch(x)
            y = tf.function(lambda x: function(x) * 2.0)(x)
        tape.gradient(y, x)

    use()  # what is made once and kept
    before = graphs_alive()
    use()
    assert graphs_alive() <= before
