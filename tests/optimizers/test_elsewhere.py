"""Two logical devices, loss scaling, other backends: each in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from bert4keras_ext.optimizers import Adam, adam, derive, lazy_optimization
from tests.optimizers.compositions import ARGUMENTS, extended, make_model, make_optimizer

ROOT = Path(__file__).resolve().parents[2]


def run(program, *arguments, **environment):
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


MIRRORED = """
import tensorflow as tf

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
import numpy as np
from tests.optimizers.compositions import ARGUMENTS, make_model, make_optimizer

rng = np.random.default_rng(0)
x, y = rng.integers(0, 12, (24, 3)), rng.normal(size=(24, 2))


def train(names, **kwargs):
    model = make_model(make_optimizer(names, **kwargs))
    model.fit(x, y, batch_size=4, epochs=1, shuffle=False, verbose=0)
    return model


strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
for names, kwargs in [
    (["gradient_accumulation"], {"grad_accum_steps": 4}),
    (["lookahead"], {"global_clipnorm": 0.1}),
    (["lazy_optimization"], {}),
    (list(ARGUMENTS), {"weight_decay": 0.1, "grad_accum_steps": 4}),
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
    for a, b in zip(mirrored.get_weights(), single.get_weights()):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6, err_msg=str(names))
print("equal")
"""


def test_two_replicas_train_like_one_device():
    assert "equal" in run(MIRRORED)


ANYWHERE = """
import sys
import keras, numpy as np
from bert4keras_ext import optimizers

cls, kwargs = optimizers.Adam, eval(sys.argv[3])
for name in sys.argv[2].split(","):
    cls = getattr(optimizers, "extend_with_" + name)(cls)
optimizer = cls(0.02, **kwargs)
with np.load(sys.argv[1]) as arrays:
    weight = keras.Variable(arrays["start"], name="Transformer-0-bias-Embedding-Norm")
    for gradient in arrays["gradients"]:
        optimizer.apply([keras.ops.convert_to_tensor(gradient)], [weight])
    np.testing.assert_allclose(weight, arrays["end"], rtol=0, atol=1e-5)
print("equal")
"""
NAMES = list(ARGUMENTS)
KWARGS = {key: value for name in NAMES for key, value in ARGUMENTS[name].items()}
RNG = np.random.default_rng(0)
START = RNG.normal(size=(4, 3)).astype("float32")
GRADIENTS = RNG.normal(size=(9, 4, 3)).astype("float32")


def end_of_training():
    weight = keras.Variable(START, name="Transformer-0-bias-Embedding-Norm")
    optimizer = extended(NAMES)(0.02, **KWARGS)
    for gradient in GRADIENTS:
        optimizer.apply([keras.ops.convert_to_tensor(gradient)], [weight])
    return weight.numpy()


def test_the_general_path_is_the_same_rule(monkeypatch):
    """What other backends take: no branches, no kernels of TensorFlow's."""
    wanted = end_of_training()
    assert np.any(wanted != START)
    for module in (derive, adam, lazy_optimization):
        monkeypatch.setattr(module, "is_tensorflow", lambda: False)
    np.testing.assert_allclose(end_of_training(), wanted, rtol=0, atol=1e-5)


def test_on_jax(tmp_path):
    pytest.importorskip("jax")
    np.savez(tmp_path / "a.npz", start=START, gradients=GRADIENTS, end=end_of_training())
    arguments = str(tmp_path / "a.npz"), ",".join(NAMES), repr(KWARGS)
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
