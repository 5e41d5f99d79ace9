"""Weights rounded once for a program: the numbers of every call, and fewer casts."""

import keras
import numpy as np
import pytest
from keras import ops

from bert4keras_ext.backend.rounded import weights_rounded_once
from bert4keras_ext.layers import Dense, Embedding

X = np.random.default_rng(0).normal(size=(2, 3, 8)).astype("float32")
IDS = np.array([[1, 4], [0, 2]])


def outputs(layers):
    dense, table = layers
    states = table(IDS)
    return [dense(X), states, table(states, mode="dense")]


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "float32", "bfloat16"])
def test_nothing_changes(policy):
    layers = [Dense(4, dtype=policy), Embedding(5, 8, dtype=policy)]
    wanted = outputs(layers)
    with weights_rounded_once(layers):
        found = outputs(layers)
    for a, b in zip(found, wanted):
        np.testing.assert_array_equal(ops.cast(a, "float32"), ops.cast(b, "float32"))


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="elsewhere it does nothing")
def test_a_loop_casts_no_kernel():
    import tensorflow as tf

    layer = Dense(8, use_bias=False, dtype="mixed_bfloat16")
    layer.build((None, 8))

    def casts(program):
        graph = tf.function(program).get_concrete_function(tf.zeros((1, 8))).graph
        nodes = [n for f in graph.as_graph_def().library.function for n in f.node_def]
        return sum(node.op == "Cast" for node in nodes)  # those of the loop's body

    def loop(x):
        def body(i, x):
            return i + 1, ops.cast(layer(x), "float32")

        return ops.while_loop(lambda i, x: i < 3, body, (0, x))

    def rounded(x):
        with weights_rounded_once([layer]):
            return loop(x)

    assert casts(rounded) < casts(loop)


def test_weights_are_read_anew_and_lora_is_left_alone():
    layer = Dense(8, dtype="mixed_bfloat16")
    layer.build((None, 8))
    for _ in range(2):
        wanted = layer(X)
        with weights_rounded_once([layer]):
            np.testing.assert_array_equal(
                ops.cast(layer(X), "float32"), ops.cast(wanted, "float32")
            )
        layer.set_weights([w + 1 for w in layer.get_weights()])
    layer.enable_lora(2)
    wanted = layer(X)
    with weights_rounded_once([layer]):
        np.testing.assert_array_equal(ops.cast(layer(X), "float32"), ops.cast(wanted, "float32"))


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="elsewhere it does nothing")
def test_variables_can_be_assigned_within():
    layer, count = Dense(8, dtype="mixed_bfloat16"), keras.Variable(1.0)
    layer.build((None, 8))
    with weights_rounded_once([layer]):
        count.assign_add(2.0)
    assert float(count.value) == 3
