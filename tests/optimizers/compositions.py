"""The table of extensions, and a small problem on which any composition can be tried."""

import keras
import numpy as np
import tensorflow as tf

from bert4keras_ext import optimizers

# extension -> arguments under which it does something within a few steps
ARGUMENTS = {
    "weight_decay": {"weight_decay_rate": 0.1, "exclude_from_weight_decay": ["Norm", "bias"]},
    "layer_adaptation": {"exclude_from_layer_adaptation": ["Norm", "bias"]},
    "piecewise_linear_lr": {"lr_schedule": {2: 1, 6: 0.5}},
    "gradient_accumulation": {"grad_accum_steps": 2},
    "lookahead": {"steps_per_slow_update": 3, "slow_step_size": 0.4},
    "lazy_optimization": {"include_in_lazy_optimization": ["Embedding"]},
    "exponential_moving_average": {"ema_momentum": 0.8},
    "parameter_wise_lr": {"paramwise_lr_schedule": {"Embedding": 0.5, "bias": 2}},
    "gradient_centralization": {},
    "layer_wise_lr_decay": {"layer_lr_decay": 0.7},
}
SLOTS = {"gradient_accumulation": 1, "lookahead": 1, "exponential_moving_average": 1}

_rng = np.random.default_rng(0)
TOKENS = _rng.integers(0, 9, (8, 6, 3))  # (step, batch, length): some rows never occur
TOKENS[:, :, 0] = TOKENS[:, :, 1]  # and some twice
TARGETS = _rng.normal(size=(8, 6, 2)).astype("float32")


def extended(names, base=optimizers.Adam):
    for name in names:
        base = getattr(optimizers, f"extend_with_{name}")(base)
    return base


def make_optimizer(names, base=optimizers.Adam, **kwargs):
    for name in names:
        kwargs = {**ARGUMENTS[name], **kwargs}
    return extended(names, base)(0.02, **kwargs)


def make_model(optimizer):
    """An embedding, a layer with a number, a normalization and a head, the same each time."""
    keras.utils.set_random_seed(3)
    tokens = keras.Input((3,), dtype="int32")
    x = keras.layers.Embedding(12, 4, name="Embedding-Token")(tokens)
    x = keras.layers.Dense(4, "tanh", name="Transformer-0-Dense")(x)
    x = keras.layers.LayerNormalization(name="Transformer-0-Norm")(x)
    x = keras.layers.GlobalAveragePooling1D()(x)
    model = keras.Model(tokens, keras.layers.Dense(2, name="Head")(x))
    model.compile(optimizer, "mse")
    return model


def train(model, steps, jit=False):
    """Losses of the steps; the gradient of the embedding is sparse."""

    @tf.function(jit_compile=jit)
    def step(x, y):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(model(x, training=True) - y))
        gradients = tape.gradient(loss, model.trainable_variables)
        model.optimizer.apply(gradients, model.trainable_variables)
        return loss

    return [float(step(tf.constant(TOKENS[t]), tf.constant(TARGETS[t]))) for t in steps]


def make_variables():
    """A table, a kernel and a vector, without a model around them: quicker to trace."""
    rng = np.random.default_rng(5)
    shapes = {"Embedding-Token": (9, 3), "Transformer-0-Dense": (3, 4), "Norm": (4,)}
    names = dict(zip(shapes, ("embeddings", "kernel", "bias")))
    made = []
    for layer, shape in shapes.items():
        with keras.name_scope(layer):
            made.append(keras.Variable(rng.normal(size=shape), dtype="float32", name=names[layer]))
    return made


def apply_steps(optimizer, variables, steps, jit=None):
    """Updates with fixed gradients, the first of them sparse; eagerly where jit is None."""

    def apply(rows, values, kernel, bias):
        slices = tf.IndexedSlices(values, rows, tf.constant([9, 3]))
        optimizer.apply([slices, kernel, bias], variables)

    if jit is not None:
        apply = tf.function(apply, jit_compile=jit)
    for t in steps:
        rng = np.random.default_rng(t)
        gradients = [rng.normal(size=shape).astype("float32") for shape in ((4, 3), (3, 4), (4,))]
        apply(*map(tf.constant, [TOKENS[t, 0, [0, 1, 2, 2]], *gradients]))


def assert_same(model, other, **tolerance):
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, **(tolerance or {"rtol": 0, "atol": 0}))
