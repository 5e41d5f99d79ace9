"""Updates as one compiled pass are those of the single operations."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from bert4keras_ext import optimizers
from bert4keras_ext.backend import acceleration
from bert4keras_ext.optimizers import one_pass
from tests.optimizers.compositions import (
    ARGUMENTS,
    apply_steps,
    extended,
    make_optimizer,
    make_variables,
)


@pytest.fixture
def compiled(monkeypatch):
    """Small weights count as large; collects how many rows each compiled function has."""
    rows, run = [], one_pass.run
    monkeypatch.setattr(one_pass, "SMALLEST", 5)  # all but the vector
    monkeypatch.setattr(one_pass, "run", lambda act, each: (rows.append(len(each)), run(act, each)))
    return rows


def train(optimizer, mode, steps=range(8)):
    acceleration.set_xla(mode)
    variables = make_variables()
    apply_steps(optimizer, variables, steps, jit=False)
    return [variable.numpy() for variable in [*variables, *optimizer.variables]]


@pytest.mark.parametrize(
    "names, base",
    [
        (["exponential_moving_average"], "LAMB"),
        (["lookahead"], "Lion"),
        (["gradient_accumulation"], "Tiger"),
        ([], "AdaFactor"),
        (list(ARGUMENTS), "Adam"),
    ],
)
def test_equals_single_operations(names, base, compiled):
    base = getattr(optimizers, base)
    single = train(make_optimizer(names, base), "off")
    assert sum(compiled) == 0
    together = train(make_optimizer(names, base), "auto")
    assert sum(compiled) >= 1
    for a, b in zip(single, together, strict=True):
        # Eight steps of 0.02, each from float32 moments whose ratio is off by a few 2^-23.
        np.testing.assert_allclose(b, a, rtol=0, atol=2e-5)


def test_what_is_one_kernel_stays_one(compiled):
    train(make_optimizer(["piecewise_linear_lr", "layer_wise_lr_decay", "lookahead"]), "auto")
    assert sum(compiled) == 0
    # The table's gradient is sparse and its rows alone are read; the vector keeps its size.
    train(make_optimizer(["weight_decay", "lazy_optimization"]), "auto")
    assert max(compiled) == 1


def test_resumes_exactly(compiled):
    names = ["weight_decay", "gradient_accumulation", "exponential_moving_average"]
    whole, first, second = (make_optimizer(names) for _ in range(3))
    wanted = train(whole, "auto")
    variables, others = make_variables(), make_variables()
    apply_steps(first, variables, range(5), jit=False)
    second.build(others)
    for new, old in zip([*others, *second.variables], [*variables, *first.variables], strict=True):
        new.assign(old)
    apply_steps(second, others, range(5, 8), jit=False)
    assert sum(compiled) > 0
    for a, b in zip(wanted, [*others, *second.variables], strict=True):
        np.testing.assert_array_equal(b.numpy(), a)


class Foreign(optimizers.Adam):
    """A rule with something in it that XLA has not got."""

    def update_step(self, gradient, variable, learning_rate):
        seen = tf.py_function(lambda g: g, [tf.convert_to_tensor(gradient)], gradient.dtype)
        super().update_step(tf.reshape(seen, variable.shape), variable, learning_rate)


def test_rules_from_elsewhere_are_left_alone(compiled):
    assert len(train(extended(["weight_decay"], Foreign)(0.01), "auto")) > 3
    train(make_optimizer(["weight_decay"], keras.optimizers.SGD), "auto")
    assert sum(compiled) == 0


def test_where_xla_can_write_variables(monkeypatch):
    monkeypatch.setattr(one_pass, "SMALLEST", 12)
    table, _, vector = [variable.value for variable in make_variables()]
    found = []
    choose = tf.function(lambda: found.append(one_pass.worth_compiling([table, vector])))
    choose()
    one_pass_eagerly = one_pass.worth_compiling([table, vector])
    with tf.distribute.OneDeviceStrategy("CPU:0").scope():
        tf.function(choose.python_function)()
    assert [*found, one_pass_eagerly] == [[True, False], [False, False], [False, False]]


def operations(names, base=optimizers.Adam, **kwargs):
    """The kinds of operations in a step whose first gradient is sparse."""
    optimizer, variables = make_optimizer(names, base, **kwargs), make_variables()
    step = tf.function(lambda: apply_steps(optimizer, variables, [0]))
    definition = step.get_concrete_function().graph.as_graph_def()
    inner = [node for each in definition.library.function for node in each.node_def]
    return [node.op for node in [*definition.node, *inner]]


@pytest.mark.parametrize("base", ["Adam", "LAMB", "Lion", "Tiger", "AdaFactor"])
def test_sparse_gradients_are_summed_once(base, compiled):
    base = getattr(optimizers, base)
    found = operations(["gradient_centralization"], base, global_clipnorm=1.0)
    assert sum(compiled) > 0 and found.count("UnsortedSegmentSum") == 1
    # Accumulation adds the rows to its sums, and nothing is sparse after that.
    accumulated = operations(["gradient_accumulation"], base)
    assert accumulated.count("UnsortedSegmentSum") == 0
    assert accumulated.count("ResourceScatterAdd") == 1


@pytest.mark.parametrize("shape", [(), (5,), (3, 4), (2, 3, 4)])
def test_mean(shape):
    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    np.testing.assert_allclose(one_pass.mean(keras.ops.convert_to_tensor(x)), x.mean(), rtol=1e-6)
    for axis in range(-1 if shape else 0, len(shape)):
        found = one_pass.mean(keras.ops.convert_to_tensor(x), axis)
        np.testing.assert_allclose(found, x.mean(axis, keepdims=True), rtol=1e-5, atol=1e-7)
