"""Adam against recordings of bert4keras, a float64 replay, and Keras' own."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from bert4keras_ext.optimizers import Adam
from tests.shared import oracle


def replay(gradients, start, lr, b1, b2, eps, correct):
    """The rule, in float64."""
    w, m, v = np.array(start, "float64"), 0.0, 0.0
    path = []
    for t, g in enumerate(np.asarray(gradients, "float64"), 1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        m_hat, v_hat = (m / (1 - b1**t), v / (1 - b2**t)) if correct else (m, v)
        w = w - lr * m_hat / (np.sqrt(v_hat) + eps)
        path.append(w)
    return path


def run(optimizer, gradients, start, jit=False):
    variable = keras.Variable(start, dtype="float32")
    optimizer.build([variable])
    step = tf.function(lambda g: optimizer.apply([g], [variable]), jit_compile=jit)
    path = []
    for gradient in gradients:
        step(tf.constant(gradient, "float32"))
        path.append(np.array(variable))
    return path


@pytest.mark.parametrize("amsgrad", [False, True])
def test_the_plain_step_is_the_same_rule(amsgrad, monkeypatch):
    """What other backends (and amsgrad) take. Growing gradients: the largest v is the last."""
    monkeypatch.setattr(Adam, "_fused_step", Adam._plain_step)
    gradients = np.random.default_rng(0).normal(size=(1, 4, 3)) * np.arange(1, 21)[:, None, None]
    start = np.ones((4, 3))
    found = run(Adam(0.01, epsilon=1e-3, amsgrad=amsgrad), gradients, start)
    wanted = replay(gradients, start, 0.01, 0.9, 0.999, 1e-3, True)
    np.testing.assert_allclose(found, wanted, atol=5e-6)


# float32 holds 1 - 0.999 to 3e-5 of itself, so v is off by as much and the update by half of it;
# the weights travel 20 x 0.03 without correction, 20 x 0.01 with it.
@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("correct, tolerance", [(True, 3e-6), (False, 1e-5)])
def test_equals_the_float64_rule(correct, tolerance, jit):
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=(4, 3)), rng.normal(size=(20, 4, 3))
    found = run(Adam(0.01, epsilon=1e-3, bias_correction=correct), gradients, start, jit)
    wanted = replay(gradients, start, 0.01, 0.9, 0.999, 1e-3, correct)
    np.testing.assert_allclose(found, wanted, atol=tolerance)


@pytest.mark.parametrize("name", ["adam", "adam_eps", "adam_nocorr"])
def test_equals_bert4keras(name):
    folder = oracle("bert4keras")
    case = json.loads((folder / "optimizers_tf2.json").read_text())[name]
    recorded = np.load(folder / "optimizers_tf2.npz")
    starts = [recorded[k] for k in recorded if k.startswith("init/")]
    variables = [keras.Variable(start) for start in starts]
    optimizer = Adam(**case["base_kwargs"])
    for step in range(20):
        gradients = [tf.constant(recorded[f"{name}/g_{i}"][step]) for i in range(len(variables))]
        optimizer.apply(gradients, variables)
        for i, variable in enumerate(variables):
            # Twenty float32 updates of weights near 1: 20 x 2^-23 x a few roundings.
            np.testing.assert_allclose(variable, recorded[f"{name}/w_{i}"][step], atol=1e-5)


def test_sparse_gradients_equal_dense_ones():
    rng = np.random.default_rng(1)
    start = rng.normal(size=(6, 3)).astype("float32")
    rows, values = np.array([4, 1, 4]), rng.normal(size=(3, 3)).astype("float32")
    dense = np.zeros_like(start)
    np.add.at(dense, rows, values)
    by_rows, by_table = keras.Variable(start), keras.Variable(start)
    for variable, gradient in (
        (by_rows, tf.IndexedSlices(tf.constant(values), tf.constant(rows), start.shape)),
        (by_table, tf.constant(dense)),
    ):
        optimizer = Adam(0.1)
        for _ in range(3):
            optimizer.apply([gradient], [variable])
    np.testing.assert_allclose(by_rows, by_table, atol=1e-6)


def tiny_model():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "tanh"),
                              keras.layers.Dense(1)])  # fmt: skip
    return model


DATA = np.random.default_rng(2).normal(size=(32, 4)), np.random.default_rng(3).normal(size=(32, 1))


@pytest.mark.parametrize(
    "extra",
    [
        {},
        {"weight_decay": 0.01},
        {"global_clipnorm": 0.1},
        {"gradient_accumulation_steps": 2},
        {"use_ema": True},
    ],
)
def test_keras_own_options_work_as_in_keras(extra):
    """With an epsilon too small to matter, for Keras adds it elsewhere."""
    histories = []
    for cls in (Adam, keras.optimizers.Adam):
        model = tiny_model()
        model.compile(cls(0.01, epsilon=1e-12, **extra), "mse")
        model.fit(*DATA, epochs=3, batch_size=8, shuffle=False, verbose=0)
        histories.append(model.get_weights())
    for ours, theirs in zip(*histories):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_saved_and_resumed_exactly(tmp_path):
    model = tiny_model()
    model.compile(Adam(0.01, bias_correction=False), "mse")
    model.fit(*DATA, epochs=2, shuffle=False, verbose=0)
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    assert type(loaded.optimizer) is Adam and loaded.optimizer.bias_correction is False
    for each in (model, loaded):
        each.fit(*DATA, epochs=2, shuffle=False, verbose=0)
    for a, b in zip(model.get_weights(), loaded.get_weights()):
        np.testing.assert_array_equal(a, b)


def test_loss_scaling_outside():
    keras.config.set_dtype_policy("mixed_float16")
    model = tiny_model()
    model.compile(Adam(0.01), "mse")
    losses = model.fit(*DATA, epochs=4, verbose=0).history["loss"]
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert np.all(np.isfinite(losses)) and losses[-1] < losses[0]
