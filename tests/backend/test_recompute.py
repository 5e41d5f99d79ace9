"""Recomputation: same values, same gradients, same dropout."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from bert4keras_ext.backend import recompute_grad, register, set_recompute
from bert4keras_ext.layers import FeedForward, Layer, LayerNormalization, MultiHeadAttention

X = np.random.default_rng(0).normal(size=(2, 6, 8)).astype("float32")
MASK = np.array([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]], bool)
LAYERS = [
    (MultiHeadAttention, dict(heads=2, head_size=4, attention_dropout=0.3)),
    (FeedForward, dict(units=16, activation=["gelu", "linear"])),
    (LayerNormalization, {}),
]


def step(layer, seed, run=lambda f: f()):
    """(output, gradients) of one training step that starts from a given dropout seed."""
    x = tf.constant(X)
    layer(x, mask=tf.constant(MASK)) if isinstance(layer, MultiHeadAttention) else layer(x)
    for variable in layer.non_trainable_variables:
        variable.assign(np.full(variable.shape, seed))

    def compute():
        extra = {"mask": tf.constant(MASK)} if isinstance(layer, MultiHeadAttention) else {}
        with tf.GradientTape() as tape:
            tape.watch(x)
            output = layer(x, training=True, **extra)
            total = tf.reduce_sum(tf.cos(output))
        return output, tape.gradient(total, [x, *[w.value for w in layer.trainable_weights]])

    return run(compute)


def modes():
    return {
        "eager": lambda f: f(),
        "graph": lambda f: tf.function(f)(),
        "xla": lambda f: tf.function(f, jit_compile=True)(),
    }


@pytest.mark.parametrize("mode", ["eager", "graph", "xla"])
@pytest.mark.parametrize("cls, config", LAYERS, ids=[cls.__name__ for cls, _ in LAYERS])
def test_values_and_gradients_are_those_of_the_plain_layer(cls, config, mode):
    plain, again = cls(**config), cls(**config, recompute=True)
    step(plain, 1), step(again, 1)
    again.set_weights(plain.get_weights())
    output, gradients = step(plain, 7, modes()[mode])
    output2, gradients2 = step(again, 7, modes()[mode])
    np.testing.assert_allclose(output2, output, atol=1e-6)
    for a, b in zip(gradients2, gradients):
        np.testing.assert_allclose(a, b, atol=1e-5)
    for a, b in zip(again.non_trainable_variables, plain.non_trainable_variables):
        np.testing.assert_array_equal(a, b)  # the seed moved on once, not twice


def test_dropout_differs_from_step_to_step():
    layer = MultiHeadAttention(2, 4, attention_dropout=0.5, recompute=True)
    x = tf.constant(X)
    assert not np.allclose(layer(x, training=True), layer(x, training=True))


@register
class Counting(Layer):
    """Counts how often its call is traced."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.runs = 0

    @recompute_grad
    def call(self, inputs, training=None):
        self.runs += 1
        return tf.square(inputs)


def test_the_call_runs_again_in_training_only():
    x = tf.constant(X)
    for training, wanted in ((True, 2), (False, 1)):
        layer = Counting(recompute=True)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=training)
        np.testing.assert_allclose(tape.gradient(y, x), 2 * X, rtol=1e-6)
        assert layer.runs == wanted


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_fit(policy):
    keras.config.set_dtype_policy(policy)
    set_recompute()
    inputs = keras.Input((6, 8))
    x = MultiHeadAttention(2, 4, attention_dropout=0.1)(inputs)
    x = LayerNormalization()(FeedForward(16)(x))
    model = keras.Model(inputs, keras.layers.Dense(1, dtype="float32")(x[:, 0]))
    model.compile("adam", "mse")
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(64, 6, 8)), rng.normal(size=(64, 1))
    losses = model.fit(x, y, epochs=5, batch_size=16, verbose=0).history["loss"]
    assert np.all(np.isfinite(losses)) and losses[-1] < losses[0]


def test_the_switch_is_read_at_construction():
    assert not FeedForward(4).recompute
    set_recompute()
    assert FeedForward(4).recompute and FeedForward(4).get_config()["recompute"]
    set_recompute(False)
    assert "recompute" not in FeedForward(4).get_config()


def test_an_upstream_gradient_without_values():
    """A distribution strategy hands the last batch out so, where it has fewer rows than devices."""
    layer = FeedForward(16, recompute=True)
    x = tf.zeros((0, 6, 8))
    with tf.GradientTape() as tape:
        y = layer(x, training=True)
    gradients = tape.gradient(y, [w.value for w in layer.trainable_weights])
    assert len(gradients) == 4 and not any(np.any(g) for g in gradients)
