"""The switches, each as a function call, an environment variable and a flag."""

import argparse
import importlib.util
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from bert4keras_ext.backend import acceleration, jit_compile, set_precision, set_recompute, set_xla
from bert4keras_ext.models import build_transformer_model
from tests.sweeps import some_of

CONFIG = dict(vocab_size=50, hidden_size=32, num_hidden_layers=1, num_attention_heads=4,
              intermediate_size=64, hidden_act="gelu", dropout_rate=0.1,
              attention_dropout_rate=0.1, max_position=32)  # fmt: skip


def parse(*flags):
    args = acceleration.add_arguments(argparse.ArgumentParser()).parse_args(flags)
    acceleration.apply_arguments(args)


def test_flags():
    parse("--xla", "--precision", "mixed_bfloat16", "--recompute")
    assert jit_compile() is True
    assert keras.config.dtype_policy().name == "mixed_bfloat16"
    assert acceleration.recompute_enabled()
    set_recompute(False)
    parse("--xla", "off")
    assert jit_compile() is False
    assert keras.config.dtype_policy().name == "float32"


def test_auto_follows_the_hardware():
    set_xla("auto")
    assert jit_compile() is bool(tf.config.list_physical_devices("GPU"))


def test_environment_variables():
    program = (
        "import bert4keras_ext, keras; from bert4keras_ext.backend import acceleration as a;"
        "print(a.jit_compile(), a.recompute_enabled(), keras.config.dtype_policy().name)"
    )
    env = {**os.environ, "B4K_XLA": "1", "RECOMPUTE": "1", "B4K_PRECISION": "mixed_float16"}
    run = subprocess.run(
        [sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == ["True", "True", "mixed_float16"]


@pytest.mark.parametrize("call, message", [
    (lambda: set_xla("fast"), "received 'fast'"),
    (lambda: set_precision("float16"), "mixed_float16.*received 'float16'"),
])  # fmt: skip
def test_unknown_values(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_xla_stays_off_under_a_strategy_of_several_replicas(monkeypatch, caplog):
    class Two:
        num_replicas_in_sync = 2

    monkeypatch.setattr(tf.distribute, "get_strategy", Two)
    set_xla("on")
    assert jit_compile() is False
    assert "XLA stays off" in caplog.text


def classifier():
    encoder = build_transformer_model(CONFIG)
    x = keras.layers.Dense(3, activation="softmax", dtype="float32")(encoder.output[:, 0])
    return keras.Model(encoder.inputs, x)


def batch():
    rng = np.random.default_rng(0)
    tokens = rng.integers(1, 50, (8, 16))
    tokens[3, 9:] = 0
    return [tokens, np.zeros_like(tokens)], rng.integers(0, 3, 8)


# bfloat16 has 8 bits of mantissa: 2^-8 relative error a rounding; states here are near 1 and pass
# about 8 roundings in sequence. float16: 2^-11.
@pytest.mark.parametrize(
    "policy, tolerance",
    [("mixed_bfloat16", 16 * 2**-8), ("bfloat16", 16 * 2**-8), ("mixed_float16", 16 * 2**-11)],
)
def test_mixed_precision_agrees_with_float32(policy, tolerance):
    keras.config.set_dtype_policy("float32")
    full = build_transformer_model(CONFIG)
    set_precision(policy)
    mixed = build_transformer_model(CONFIG)
    mixed.set_weights(full.get_weights())
    inputs, _ = batch()
    difference = np.abs(mixed.predict_on_batch(inputs) - full.predict_on_batch(inputs))
    assert difference.max() < tolerance


# Every pair of switch values occurs in some row.
@pytest.mark.parametrize("policy, xla, recompute", some_of([
    ("float32", False, True), ("float32", True, False),
    ("mixed_bfloat16", False, False), ("mixed_bfloat16", True, True),
    ("mixed_float16", False, True), ("mixed_float16", True, False),
], ("mixed_bfloat16", False, False), ("mixed_float16", False, True)))  # fmt: skip
def test_training_is_finite_and_learns_under_every_switch(policy, xla, recompute):
    set_precision(policy), set_xla(xla), set_recompute(recompute)
    model = classifier()
    model.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy",
                  jit_compile=jit_compile())  # fmt: skip
    inputs, labels = batch()
    losses = [float(model.train_on_batch(inputs, labels)) for _ in range(12)]
    assert np.all(np.isfinite(losses)) and losses[-1] < losses[0]
    assert all(np.all(np.isfinite(w)) for w in model.get_weights())


@pytest.mark.parametrize("policy", acceleration.PRECISIONS)
def test_gradients_reach_every_weight_and_are_finite(policy):
    set_precision(policy)
    model = classifier()
    inputs, labels = batch()
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(
            keras.losses.sparse_categorical_crossentropy(labels, model(inputs, training=True))
        )
    for weight, gradient in zip(
        model.trainable_weights, tape.gradient(loss, [w.value for w in model.trainable_weights])
    ):
        assert gradient is not None, weight.path
        assert np.all(np.isfinite(tf.convert_to_tensor(gradient))), weight.path


def fresh_import(monkeypatch, **variables):
    """acceleration.py read anew, with these variables in the environment."""
    for name in ("RECOMPUTE", "B4K_RECOMPUTE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    spec = importlib.util.spec_from_file_location("fresh_acceleration", acceleration.__file__)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.recompute_enabled()


@pytest.mark.parametrize("value, wanted", [
    ("1", True), ("True", True), ("y", True), ("t", True), (" on ", True),
    ("", False), ("0", False), ("N", False), ("f", False), ("off", False),
])  # fmt: skip
@pytest.mark.parametrize("name", ["RECOMPUTE", "B4K_RECOMPUTE"])
def test_spellings_of_the_recompute_variable(monkeypatch, recwarn, name, value, wanted):
    assert fresh_import(monkeypatch, **{name: value}) is wanted
    assert not recwarn.list


@pytest.mark.parametrize("value", ["all", "2", "attention", "-1"])
def test_another_program_s_recompute_does_not_stop_the_import(monkeypatch, value):
    with pytest.warns(UserWarning, match=f"RECOMPUTE='{value}'.* ignored.*B4K_RECOMPUTE=1"):
        assert fresh_import(monkeypatch, RECOMPUTE=value) is False


def test_our_own_variable_wins_and_is_strict(monkeypatch, recwarn):
    assert fresh_import(monkeypatch, RECOMPUTE="all", B4K_RECOMPUTE="1") is True
    assert fresh_import(monkeypatch, RECOMPUTE="1", B4K_RECOMPUTE="0") is False
    assert not recwarn.list
    with pytest.raises(ValueError, match="B4K_RECOMPUTE expects 1, 0.*'all'"):
        fresh_import(monkeypatch, B4K_RECOMPUTE="all")
