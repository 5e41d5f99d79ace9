"""Two logical devices, loss scaling, other backends: each in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from bert4keras_ext import optimizers
from bert4keras_ext.optimizers import Adam, adam, base, lazy_optimization
from tests.optimizers.compositions import ARGUMENTS, extended, make_model, make_optimizer

ROOT = Path(__file__).resolve().parents[2]


def run(program, *arguments, **environment):
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


TWO_DEVICES = """
import tensorflow as tf

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
import numpy as np
from bert4keras_ext import optimizers
from tests.optimizers.compositions import ARGUMENTS, make_model, make_optimizer, make_variables

rng = np.random.default_rng(0)


def assert_equal(mirrored, single, names):
    for a, b in zip(mirrored, single, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6, err_msg=str(names))
"""
FIT = """
x, y = rng.integers(0, 12, (24, 3)), rng.normal(size=(24, 2))


def train(names, **kwargs):
    model = make_model(make_optimizer(names, **kwargs))
    model.fit(x, y, batch_size=4, epochs=1, shuffle=False, verbose=0)
    return model


for names, kwargs in [
    (["gradient_accumulation"], {"grad_accum_steps": 4}),
    (["lookahead"], {"global_clipnorm": 0.1}),
    (["lazy_optimization"], {}),
    (list(ARGUMENTS), {"weight_decay": 0.1, "weight_decay_rate": 0, "grad_accum_steps": 4}),
]:
    with strategy.scope():
        mirrored = train(names, **kwargs)
    single = train(names, **kwargs)
    for model in (mirrored, single):
        if "gradient_accumulation" in names:  # six batches: two wait
            model.optimizer.flush()
            assert int(model.optimizer.iterations.numpy()) == 2
        if "exponential_moving_average" in names:
            model.optimizer.apply_ema_weights()
    assert_equal(mirrored.get_weights(), single.get_weights(), names)
print("equal")
"""
# Without models, which take most of the time: each device brings a share of the gradient.
APPLY = """
shapes = (9, 3), (3, 4), (4,)
gradients = [[rng.normal(size=s).astype("float32") for s in shapes] for _ in range(6)]


def train(names, kwargs, shares):
    optimizer, variables = make_optimizer(names, **kwargs), make_variables()
    optimizer.build(variables)

    def update(*gradients):
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        share = tf.gather(tf.constant(shares), replica)
        optimizer.apply([share * each for each in gradients], variables)

    step = tf.function(lambda *args: tf.distribute.get_strategy().run(update, args))
    for each in gradients:
        step(*each)
    return [v.numpy() for v in (*variables, *optimizer.variables[2:])]


for names, base in [
    *[([name], "Adam") for name in ARGUMENTS],
    *[([], base) for base in ("Adam", "AdaFactor", "Lion", "Tiger", "LAMB")],
]:
    kwargs = {"base": getattr(optimizers, base)}
    with strategy.scope():
        mirrored = train(names, kwargs, [0.25, 0.75])
    assert_equal(mirrored, train(names, kwargs, [1.0]), [base, *names])
print("equal")
"""


# Two weights, of which a batch may touch one: for each batch whether it has gradients of them.
TOUCH = """
def train(has_gradients, names):
    optimizer, variables = make_optimizer(names, grad_accum_steps=2), make_variables()[:2]
    optimizer.build(variables)
    total = tf.distribute.get_strategy().num_replicas_in_sync

    def step(has):
        def update():
            ones = [tf.ones(v.shape) / total if h else None for v, h in zip(variables, has)]
            optimizer.apply(ones, variables)

        tf.distribute.get_strategy().run(update)

    steps = {has: tf.function(lambda has=has: step(has)) for has in set(has_gradients)}
    for has in has_gradients:
        steps[has]()
    return [v.numpy() for v in (*variables, *optimizer.variables[2:])]


for names in (["gradient_accumulation"], ["gradient_accumulation", "lookahead"]):
    for group in ([(1, 1), (1, 0)], [(1, 0), (0, 1)], [(1, 0), (1, 0)]):
        with strategy.scope():
            mirrored = train(group * 2, names)
        assert_equal(mirrored, train(group * 2, names), [*names, group])
print("equal")
"""


# The first weight is frozen after three batches, and thawed after six.
FREEZE = """
def train(names, kwargs):
    optimizer, variables = make_optimizer(names, **kwargs), make_variables()
    optimizer.build(variables)
    total = tf.distribute.get_strategy().num_replicas_in_sync
    for part in range(3):
        variables[0].trainable = part != 1
        chosen = [v for v in variables if v.trainable]

        def update(*gradients):
            optimizer.apply([each / total for each in gradients], chosen)

        step = tf.function(lambda *args: tf.distribute.get_strategy().run(update, args))
        before = variables[0].numpy()
        for t in range(3):
            rng = np.random.default_rng(3 * part + t)
            step(*[tf.constant(rng.normal(size=v.shape), "float32") for v in chosen])
        if hasattr(optimizer, "apply_ema_weights"):
            optimizer.apply_ema_weights()
            if part == 1:
                np.testing.assert_array_equal(variables[0].numpy(), before)
            optimizer.reset_old_weights()
        if part == 1:
            np.testing.assert_array_equal(variables[0].numpy(), before)
    if hasattr(optimizer, "flush"):
        optimizer.flush()
    return [v.numpy() for v in (*variables, *optimizer.variables[2:])]


ema = {"use_ema": True, "ema_overwrite_frequency": 2}
for names, kwargs in [(["gradient_accumulation", "lookahead"], ema), (list(ARGUMENTS), {})]:
    with strategy.scope():
        mirrored = train(names, kwargs)
    assert_equal(mirrored, train(names, kwargs), names)
print("equal")
"""
# Weights of 16 bits, of which each device brings half of the gradient.
SHORT = (
    APPLY[: APPLY.index("for names, base")].replace(
        "make_variables()", "[tf_short(v) for v in make_variables()]"
    )
    + """
import keras


def tf_short(variable):
    return keras.Variable(variable.numpy(), dtype="bfloat16", name=variable.name)


kwargs = {"steps_per_slow_update": 2}
with strategy.scope():
    mirrored = train(["lookahead"], kwargs, [0.5, 0.5])
single = train(["lookahead"], kwargs, [1.0])
for a, b in zip(mirrored, single, strict=True):
    np.testing.assert_allclose(a.astype("float32"), b.astype("float32"), rtol=2.0**-7, atol=1e-6)
print("equal")
"""
)
PROGRAMS = {"fit": FIT, "apply": APPLY, "touch": TOUCH, "freeze": FREEZE, "short": SHORT}


@pytest.mark.exhaustive
@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_two_replicas_train_like_one_device(program):
    assert "equal" in run(TWO_DEVICES + program)


ANYWHERE = """
import sys
import keras, numpy as np
from bert4keras_ext import optimizers

start, gradients, *ends = np.load(sys.argv[1]).values()
for (base, names, kwargs), end in zip(eval(sys.argv[2]), ends, strict=True):
    cls = getattr(optimizers, base)
    for name in names:
        cls = getattr(optimizers, "extend_with_" + name)(cls)
    optimizer = cls(0.02, **kwargs)
    weight = keras.Variable(start, name="Transformer-0-bias-Embedding-Norm")
    for gradient in gradients:
        optimizer.apply([keras.ops.convert_to_tensor(gradient)], [weight])
    np.testing.assert_allclose(weight, end, rtol=0, atol=1e-5, err_msg=f"{base} {names}")
    if keras.backend.backend() == "jax":  # as fit does it: compiled, no value known
        import jax

        weight.assign(start)
        optimizer = cls(0.02, **kwargs)
        optimizer.build([weight])
        step = jax.jit(optimizer.stateless_apply)
        weights, state = [weight.value], [v.value for v in optimizer.variables]
        for gradient in gradients:
            weights, state = step(state, [gradient], weights)
        np.testing.assert_allclose(weights[0], end, rtol=0, atol=1e-5, err_msg=f"{base} {names}")

    # Weights of 16 bits; the first freezes after four steps.
    optimizer = cls(0.02, **kwargs)
    name = "Transformer-0-bias-Embedding-Norm"
    weights = [keras.Variable(start, dtype="bfloat16", name=name + each) for each in "ab"]
    optimizer.build(weights)
    for number, gradient in enumerate(gradients):
        gradients_ = [keras.ops.cast(gradient, "bfloat16")] * 2
        if number == 4:
            weights[0].trainable = False
            frozen = keras.ops.convert_to_numpy(weights[0])
        state = [v.value for v in optimizer.variables], [v.value for v in weights]
        new, state = optimizer.stateless_apply(state[0], gradients_, state[1])
        for variable, value in zip([*weights, *optimizer.variables], [*new, *state]):
            variable.assign(value)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(weights[0]), frozen)
    close = dict(rtol=2.0**-7, atol=0.03 if base in ("Lion", "Tiger") else 0.01)
    found = keras.ops.convert_to_numpy(weights[1]).astype("float32")
    np.testing.assert_allclose(found, end, **close, err_msg=f"{base} {names}")
print("equal")
"""
NAMES = list(ARGUMENTS)
KWARGS = {key: value for name in NAMES for key, value in ARGUMENTS[name].items()}
# (base, extensions, arguments): all bases, all extensions, and all of them around one another
EVERYWHERE = [
    *[(base, [], {}) for base in ("Adam", "AdaFactor", "Lion", "Tiger", "LAMB")],
    ("Adam", [], {"bias_correction": False}),
    ("AdaFactor", [], {"beta1": 0.9, "min_dim_size_to_factor": 2}),
    *[("Adam", [name], arguments) for name, arguments in ARGUMENTS.items()],
    ("Adam", NAMES, KWARGS),
]
RNG = np.random.default_rng(0)
START = RNG.normal(size=(4, 3)).astype("float32")
GRADIENTS = RNG.normal(size=(9, 4, 3)).astype("float32")


def end_of_training(base, names, kwargs):
    weight = keras.Variable(START, name="Transformer-0-bias-Embedding-Norm")
    optimizer = extended(names, getattr(optimizers, base))(0.02, **kwargs)
    for gradient in GRADIENTS:
        optimizer.apply([keras.ops.convert_to_tensor(gradient)], [weight])
    return weight.numpy()


@pytest.mark.parametrize("composition", EVERYWHERE, ids=lambda c: "+".join([c[0], *c[1]])[:40])
def test_the_general_path_is_the_same_rule(monkeypatch, composition):
    """What other backends take: no branches, no kernels of TensorFlow's."""
    wanted = end_of_training(*composition)
    assert np.any(wanted != START)
    for module in (base, adam, lazy_optimization):
        monkeypatch.setattr(module, "is_tensorflow", lambda: False)
    np.testing.assert_allclose(end_of_training(*composition), wanted, rtol=0, atol=1e-5)


def test_on_jax(tmp_path):
    pytest.importorskip("jax")
    ends = {f"end{i:02}": end_of_training(*each) for i, each in enumerate(EVERYWHERE)}
    np.savez(tmp_path / "a.npz", start=START, gradients=GRADIENTS, **ends)
    arguments = str(tmp_path / "a.npz"), repr(EVERYWHERE)
    assert "equal" in run(ANYWHERE, *arguments, KERAS_BACKEND="jax")


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(policy):
    keras.config.set_dtype_policy(policy)
    model = make_model(make_optimizer(list(ARGUMENTS), grad_accum_steps=2))
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 12, (24, 3)), np.ones((24, 2))
    losses = model.fit(x, y, batch_size=4, epochs=4, verbose=0).history["loss"]
    assert np.all(np.isfinite(losses)) and losses[-1] < losses[0]
    if policy == "mixed_float16":
        assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
        model.optimizer.inner_optimizer.flush()


def test_run_eagerly():
    models = [make_model(make_optimizer(list(ARGUMENTS), base=Adam)) for _ in range(2)]
    models[1].run_eagerly = True
    for model in models:
        model.fit(np.ones((12, 3)), np.ones((12, 2)), batch_size=4, shuffle=False, verbose=0)
    for a, b in zip(*(model.get_weights() for model in models)):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)
