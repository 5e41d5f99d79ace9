"""Weights of 16 bits are what float32 weights would be, rounded."""

import keras
import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf

from bert4keras_ext import optimizers
from tests.optimizers import replay
from tests.optimizers.compositions import ARGUMENTS, extended, make_optimizer, make_variables

# Half a unit in the last place, relative to the number, and then the float32 trajectories differ:
# gradients of 16 bits are the same numbers there, so by rounding of a few 2^-23.
HALF_UNIT = {"bfloat16": 2.0**-8, "float16": 2.0**-11}
NUMPY = {"bfloat16": ml_dtypes.bfloat16, "float16": np.float16}
KERAS_OWN = ["Adam", "AdamW", "Adafactor", "Lamb", "Lion", "SGD", "RMSprop", "Nadam", "Adamax"]


def short_variables(dtype):
    made = []
    for variable in make_variables():
        with keras.name_scope(variable.path.split("/")[0]):
            made.append(keras.Variable(variable.numpy(), dtype=dtype, name=variable.name))
    return made


def train(optimizer, variables, dtype, steps, jit):
    rng = np.random.default_rng(1)

    def step(*gradients):
        optimizer.apply(gradients, variables)

    if jit:
        step = tf.function(step, jit_compile=True)
    optimizer.build(variables)
    for _ in range(steps):
        gradients = [rng.normal(size=v.shape).astype(NUMPY[dtype]) for v in variables]
        step(*[tf.cast(tf.constant(g.astype("float32")), variables[0].dtype) for g in gradients])


def assert_is_rounded(short, full, dtype, extra=1e-6):
    for a, b in zip(short, full):
        b = keras.ops.convert_to_numpy(b)
        bound = np.abs(b) * HALF_UNIT[dtype] * 1.01 + extra
        assert np.all(np.abs(keras.ops.convert_to_numpy(a).astype("float32") - b) <= bound)


def compare(make, dtype, jit=False):
    short = short_variables(dtype)
    full = [keras.Variable(v.numpy().astype("float32"), name=v.name) for v in short]
    for a, b in zip(short, full):
        b._path = a.path  # the patterns choose by it
    pairs = [(make(), variables) for variables in (short, full)]
    start = [v.numpy().astype("float32") for v in full]
    for optimizer, variables in pairs:
        train(optimizer, variables, dtype, 7, jit)
    for before, after in zip(start, full):
        assert np.any(before != after.numpy()) and np.all(np.isfinite(after.numpy()))
    assert_is_rounded(short, full, dtype)
    for method in ("flush", "apply_ema_weights"):
        if hasattr(pairs[0][0], method):
            for optimizer, _ in pairs:
                getattr(optimizer, method)()
            assert_is_rounded(short, full, dtype)


@pytest.mark.parametrize("dtype", HALF_UNIT)
@pytest.mark.parametrize(
    "base, names",
    [
        *[(base, []) for base in ("Adam", "LAMB", "AdaFactor", "Lion", "Tiger")],
        *[("Adam", [name]) for name in ARGUMENTS],
        ("Adam", list(ARGUMENTS)),
    ],
    ids=str,
)
def test_short_weights_are_rounded_float32_ones(base, names, dtype):
    compare(lambda: make_optimizer(names, getattr(optimizers, base)), dtype)


@pytest.mark.parametrize("base", KERAS_OWN)
def test_with_optimizers_of_keras(base):
    names = ["lookahead", "gradient_accumulation", "exponential_moving_average"]
    compare(lambda: make_optimizer(names, getattr(keras.optimizers, base)), "bfloat16")


def test_under_xla():
    """XLA leaves out a rounding to 16 bits and back, if one lets it."""
    compare(lambda: make_optimizer(["lookahead"]), "bfloat16", jit=True)


@pytest.mark.parametrize(
    "kwargs",
    [
        {"weight_decay": 0.1},
        {"global_clipnorm": 0.1},
        {"use_ema": True, "ema_overwrite_frequency": 2},
        {"gradient_accumulation_steps": 2},
        {"amsgrad": True},
    ],
    ids=str,
)
def test_with_options_of_keras(kwargs):
    compare(lambda: optimizers.Adam(0.02, **kwargs), "float16")


@pytest.mark.parametrize("dtype", HALF_UNIT)
@pytest.mark.parametrize("base", ["Adam", "LAMB"])
def test_equals_the_float64_rule(base, dtype):
    rng = np.random.default_rng(3)
    start = rng.normal(size=(4, 3)).astype(NUMPY[dtype])
    gradients = rng.normal(size=(30, 4, 3)).astype(NUMPY[dtype]).astype("float32")
    variable = keras.Variable(start, dtype=dtype)
    # Steps of a thousandth: a few thirtieths of what bfloat16 tells apart near 1.
    kwargs = {"weight_decay_rate": 0.1} if base == "LAMB" else {}
    optimizer = getattr(optimizers, base)(1e-3, **kwargs)
    for gradient in gradients:
        optimizer.apply([tf.cast(gradient, dtype)], [variable])
    wanted, _ = replay.run(
        replay.adam(), 1e-3, start.astype("float64"), gradients,
        wd=kwargs.get("weight_decay_rate", 0), adapt=base == "LAMB",
    )  # fmt: skip
    assert_is_rounded([variable], [wanted[-1]], dtype, extra=1e-5)


def test_float16_gradients_whose_squares_are_none():
    """The norm of the gradient is 4000 times the square root of 12, its square is beyond 65504."""
    variable = keras.Variable(np.ones((3, 4)), dtype="float16")
    optimizer = extended(["lookahead"], keras.optimizers.SGD)(1.0, global_clipnorm=1.0)
    optimizer.apply([tf.fill((3, 4), tf.constant(4000.0, "float16"))], [variable])
    np.testing.assert_allclose(variable.numpy(), 1 - 12**-0.5, atol=2.0**-11)


def test_weights_that_were_loaded_in_between_are_taken_up():
    variable = keras.Variable(np.ones(3), dtype="bfloat16")
    optimizer = extended(["lookahead"], keras.optimizers.SGD)(1e-3)
    optimizer.apply([tf.ones(3, "bfloat16")], [variable])
    variable.assign([5.0, 1.0, -2.0])
    optimizer.apply([tf.ones(3, "bfloat16")], [variable])
    wanted = [5 - 1e-3, 1 - 2e-3, -2 - 1e-3]  # the second is what it was: its remainder counts
    copy = optimizer.updated_weights[0].numpy()
    np.testing.assert_allclose(copy, wanted, rtol=1e-6)


def test_frozen_short_weights_stay():
    weights = short_variables("bfloat16")[1:]
    optimizer = make_optimizer(["lookahead", "exponential_moving_average", "weight_decay"])
    optimizer.build(weights)
    gradients = [tf.ones(w.shape, "bfloat16") for w in weights]
    for _ in range(4):
        optimizer.apply(gradients, weights)
    weights[1].trainable = False
    old = weights[1].numpy()
    for _ in range(4):
        optimizer.apply(gradients[:1], weights[:1])
    optimizer.apply_ema_weights()
    np.testing.assert_array_equal(weights[1].numpy(), old)


def test_training_of_a_model_is_saved_and_resumed_exactly(tmp_path):
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(8, "tanh", dtype="bfloat16"), keras.layers.Dense(1)]
    model = keras.Sequential([keras.Input((4,)), *layers])
    model.compile(make_optimizer(["lookahead", "gradient_accumulation"]), "mse")
    x, y = np.random.default_rng(0).normal(size=(20, 4)), np.ones((20, 1))
    losses = model.fit(x, y, batch_size=4, epochs=5, shuffle=False, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    for each in (model, loaded):
        each.fit(x, y, batch_size=4, shuffle=False, verbose=0)
    for a, b in zip(model.get_weights(), loaded.get_weights()):
        np.testing.assert_array_equal(a, b)
