"""Frozen weights stay what they are to the last bit, whatever stands around the optimizer."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from bert4keras_ext import optimizers
from bert4keras_ext.optimizers import adam, base, lazy_optimization
from tests.optimizers.compositions import (
    ARGUMENTS,
    extended,
    make_model,
    make_optimizer,
    make_variables,
)

KERAS_EMA = {"use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 2}
# (base, extensions, arguments)
EVERYTHING = [
    *[("Adam", [name], {}) for name in ARGUMENTS],
    ("Adam", list(ARGUMENTS), {}),
    ("Adam", list(reversed(ARGUMENTS)), {"weight_decay": 0.1, "weight_decay_rate": 0}),
    ("AdaFactor", ["lookahead", "exponential_moving_average", "gradient_accumulation"], {}),
    *[(name, ["lookahead", "gradient_accumulation"], {}) for name in ("Lion", "Tiger", "LAMB")],
    ("Adam", [], KERAS_EMA),
    ("Adam", ["lookahead", "gradient_accumulation"], KERAS_EMA),
]


def make_step(optimizer, variables, mode):
    """Function of a batch's number for those weights that are trainable when it is made.

    The gradient of the table is sparse, but on other backends.
    """
    trainable = [variable for variable in variables if variable.trainable]

    def update(*gradients):
        gradients = list(gradients)
        if mode != "general" and len(trainable) == len(variables):
            rows = tf.constant([1, 3])
            gradients[0] = tf.IndexedSlices(gradients[0][:2], rows, tf.constant([9, 3]))
        optimizer.apply(gradients, trainable)

    if mode in ("graph", "xla"):
        optimizer.build(variables)
        update = tf.function(update, jit_compile=mode == "xla")

    def step(t):
        rng = np.random.default_rng(t)
        update(*[tf.constant(rng.normal(size=v.shape), v.dtype) for v in trainable])

    return step


def values(variables):
    return [keras.ops.convert_to_numpy(variable) for variable in variables]


def train_freeze_thaw(optimizer, mode):
    variables = make_variables()
    frozen = variables[:2]
    if mode == "before":  # frozen when the optimizer has not made a step yet
        optimizer.build(variables)
    step = make_step(optimizer, variables, mode)
    for t in range(0 if mode == "before" else 5):  # 5: in the middle of every group
        step(t)
    start = values(variables)
    for variable in frozen:
        variable.trainable = False

    def check():
        for variable, old in zip(values(frozen), start):
            np.testing.assert_array_equal(variable, old)

    step = make_step(optimizer, variables, mode)
    for t in range(5, 10):
        step(t)
        check()
    if hasattr(optimizer, "flush"):
        optimizer.flush()
        check()
    if hasattr(optimizer, "apply_ema_weights"):
        optimizer.apply_ema_weights()
        check()
        optimizer.reset_old_weights()
        check()
    optimizer.finalize_variable_values([v for v in variables if v.trainable])
    check()
    for variable in frozen:
        variable.trainable = True
    step = make_step(optimizer, variables, mode)
    for t in range(10, 14):
        step(t)
    for after, old in zip(values(variables), start):
        assert np.all(np.isfinite(after)) and np.any(after != old)


NAMED = {"ids": lambda c: "+".join([c[0], *c[1]])[:40]}


@pytest.mark.parametrize("mode", ["eager", "before", "general"])
@pytest.mark.parametrize("composition", EVERYTHING, **NAMED)
def test_frozen_weights_never_move(composition, mode, monkeypatch):
    name, names, kwargs = composition
    if mode == "general":
        for module in (base, adam, lazy_optimization):
            monkeypatch.setattr(module, "is_tensorflow", lambda: False)
    train_freeze_thaw(make_optimizer(names, getattr(optimizers, name), **kwargs), mode)


@pytest.mark.parametrize("composition", EVERYTHING[len(ARGUMENTS) :: 2], **NAMED)
def test_in_a_graph(composition):
    name, names, kwargs = composition
    optimizer = make_optimizer(names, getattr(optimizers, name), **kwargs)
    train_freeze_thaw(optimizer, "graph")


def test_under_xla():
    train_freeze_thaw(make_optimizer(["lookahead", "gradient_accumulation"]), "xla")


def fit(model, **kwargs):
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 12, (20, 3)), rng.normal(size=(20, 2))
    model.fit(x, y, batch_size=4, shuffle=False, verbose=0, **kwargs)  # five batches


@pytest.mark.parametrize("is_compiled_again", [True, False])
def test_layers_of_a_model(is_compiled_again):
    model = make_model(make_optimizer(list(ARGUMENTS), weight_decay_rate=0, weight_decay=0.1))
    fit(model)
    layers = model.layers[1:4]
    start = [layer.get_weights() for layer in layers]
    for layer in layers:
        layer.trainable = False
    if is_compiled_again:
        model.compile(model.optimizer, "mse")
    else:
        model.make_train_function(force=True)
    for act in (fit, lambda m: m.optimizer.flush(), lambda m: m.optimizer.apply_ema_weights()):
        act(model)
        for layer, old in zip(layers, start):
            for a, b in zip(layer.get_weights(), old, strict=True):
                np.testing.assert_array_equal(a, b)
    model.optimizer.reset_old_weights()
    layers[0].trainable = True
    model.compile(model.optimizer, "mse")
    fit(model)
    assert np.any(layers[0].get_weights()[0] != start[0][0])


def pair(rate=1.0, names=(), **kwargs):
    """Gradient descent of two weights at zero."""
    weights = [keras.Variable(np.zeros(1, "float32"), name=name) for name in ("first", "second")]
    optimizer = extended(names, keras.optimizers.SGD)(rate, **kwargs)
    optimizer.build(weights)

    def batch(*gradients):
        pairs = [(keras.ops.array([float(g)]), w) for g, w in zip(gradients, weights) if g != 0]
        optimizer.apply([g for g, _ in pairs], [w for _, w in pairs])

    return optimizer, weights, batch


def test_lookahead_goes_back_to_where_the_group_began():
    optimizer, (_, weight), batch = pair(
        names=["lookahead"], steps_per_slow_update=4, slow_step_size=0.5
    )
    batch(1, 1), batch(1, 1)
    weight.trainable = False
    for _ in range(4):
        batch(1, 0)
    assert weight.numpy() == -2
    weight.trainable = True
    batch(1, 1), batch(1, 1)
    assert weight.numpy() == -3  # half of the way from -2, where the second group began, to -4


def test_accumulation_forgets_what_a_frozen_weight_brought():
    optimizer, (first, second), batch = pair(names=["gradient_accumulation"], grad_accum_steps=3)
    batch(1, 1)
    second.trainable = False
    batch(1, 0), batch(1, 0)
    assert (first.numpy(), second.numpy()) == (-1, 0)
    batch(1, 0)
    second.trainable = True
    batch(1, 1), batch(1, 2)
    assert (first.numpy(), second.numpy()) == (-2, -1)  # (0 + 1 + 2) / 3
    batch(1, 1)
    second.trainable = False
    optimizer.flush()
    assert (first.numpy(), second.numpy()) == (-3, -1)
    second.trainable = True
    for _ in range(3):
        batch(1, 1)
    assert (first.numpy(), second.numpy()) == (-4, -2)


def test_flush_of_frozen_weights_alone_is_no_update():
    optimizer, weights, batch = pair(names=["gradient_accumulation"], grad_accum_steps=3)
    batch(1, 1)
    for weight in weights:
        weight.trainable = False
    optimizer.flush()
    assert [float(w.numpy()[0]) for w in weights] == [0, 0] and optimizer.iterations.numpy() == 0
    for weight in weights:
        weight.trainable = True
    for _ in range(3):
        batch(1, 1)
    assert [float(w.numpy()[0]) for w in weights] == [-1, -1]


def test_averages_of_a_thawed_weight_know_where_it_stood():
    optimizer, (_, weight), batch = pair(names=["exponential_moving_average"], ema_momentum=0.5)
    weight.trainable = False
    weight.assign([4.0])
    batch(1, 0)
    optimizer.apply_ema_weights()
    assert weight.numpy() == 4
    optimizer.reset_old_weights()
    weight.trainable = True
    batch(1, 1)
    optimizer.apply_ema_weights()  # of 4 and 3
    np.testing.assert_allclose(weight.numpy(), (0.25 * 4 + 0.5 * 3) / 0.75, rtol=1e-6)


def test_keras_averages_go_to_the_weights_they_are_of():
    """`fit` ends with `finalize_variable_values` of those weights that are trainable then."""
    optimizer, (first, second), batch = pair(use_ema=True, ema_momentum=0.5)
    optimizer = extended(["lookahead"], keras.optimizers.SGD)(1.0, use_ema=True, ema_momentum=0.5)
    optimizer.build([first, second])
    for _ in range(2):
        optimizer.apply([keras.ops.array([1.0]), keras.ops.array([3.0])], [first, second])
    first.trainable = False
    optimizer.finalize_variable_values([second])
    assert (first.numpy(), second.numpy()) == (-2, -4.5)  # the mean of -3 and -6


def test_a_gradient_of_a_frozen_weight_is_dropped():
    optimizer, (first, second), batch = pair(names=["weight_decay"])
    second.trainable = False
    with pytest.warns(UserWarning, match="trainable=False.*second"):
        batch(1, 1)
    assert (first.numpy(), second.numpy()) == (-1, 0)
    optimizer.apply([keras.ops.array([1.0])] * 2)  # as `stateless_apply` does: all that it knows
    assert (first.numpy() < -1, second.numpy()) == (True, 0)


@pytest.mark.filterwarnings("ignore:.*is found in no weight's path")
@pytest.mark.parametrize("names", [[], *[[name] for name in ARGUMENTS], list(ARGUMENTS)])
def test_unknown_weights_are_named(names):
    known, unknown = make_variables()[:2]
    optimizer = make_optimizer(names)
    optimizer.build([known])
    gradients = [np.ones(v.shape, "float32") for v in (known, unknown)]
    with pytest.raises(ValueError, match="Transformer-0-Dense/kernel.*compile the model again"):
        optimizer.apply(gradients, [known, unknown])


def test_thawed_layers_that_the_optimizer_was_not_built_with():
    model = make_model(make_optimizer(["gradient_accumulation"]))
    model.get_layer("Embedding-Token").trainable = False
    model.compile(model.optimizer, "mse")
    fit(model)
    model.get_layer("Embedding-Token").trainable = True
    model.compile(model.optimizer, "mse")
    with pytest.raises(ValueError, match="Embedding-Token/embeddings.*compile the model again"):
        fit(model)
