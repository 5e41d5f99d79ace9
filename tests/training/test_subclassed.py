"""Subclassed models, never built before, in KeepBest, EvaluateWithEMA and resumable_fit."""

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from bert4keras_ext.optimizers import Adam, extend_with_exponential_moving_average
from bert4keras_ext.training import EvaluateWithEMA, KeepBest, resumable_fit
from bert4keras_ext.training.state import training_variables
from tests.training.test_resume import ROWS, RaiseAt, Rows

AdamEMA = extend_with_exponential_moving_average(Adam, name="AdamEMA")


class Plain(keras.Model):
    """With dropout, a batch normalisation and a model inside, which is itself subclassed."""

    def __init__(self, depth=1):
        super().__init__()
        self.dense = keras.layers.Dense(4, "relu")
        self.inner = Plain(depth - 1) if depth else keras.layers.BatchNormalization()
        self.heads = {"class": [keras.layers.Dropout(0.5), keras.layers.Dense(2)]}

    def call(self, x, training=None):
        x = self.inner(self.dense(x), training=training)
        dropout, dense = self.heads["class"]
        return dense(dropout(x, training=training))


class OwnStep(Plain):
    """A loss and a metric of its own; nothing is compiled but the optimizer."""

    def __init__(self):
        super().__init__(depth=0)
        self.tracker = keras.metrics.Mean(name="loss")
        self.steps = tf.Variable(0.0)

    def train_step(self, data):
        x, y = data
        self.steps.assign_add(1.0)
        with tf.GradientTape() as tape:
            values = keras.losses.sparse_categorical_crossentropy(
                y, self(x, training=True), from_logits=True
            )
            loss = ops.mean(values) * (1 + 0.1 * self.steps)
        weights = self.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))
        self.tracker.update_state(loss)
        return {"loss": self.tracker.result()}

    @property
    def metrics(self):
        return [self.tracker]


class TwoOptimizers(keras.Model):
    """Two networks, trained in turns; the whole has no `call`."""

    def __init__(self):
        super().__init__()
        self.networks = [keras.layers.Dense(3), Plain(depth=0)]
        self.optimizers = {
            "first": keras.optimizers.SGD(0.1, 0.9),
            "second": keras.optimizers.SGD(0.05, 0.9),
        }
        self.tracker = keras.metrics.Mean(name="loss")

    def train_step(self, data):
        x, y = data
        with tf.GradientTape(persistent=True) as tape:
            hidden = self.networks[0](x)
            values = keras.losses.sparse_categorical_crossentropy(
                y, self.networks[1](hidden, training=True), from_logits=True
            )
        for network, optimizer in zip(self.networks, self.optimizers.values()):
            weights = network.trainable_variables
            optimizer.apply_gradients(zip(tape.gradient(values, weights), weights))
        self.tracker.update_state(values)
        return {"loss": self.tracker.result()}


def eager():
    model = OwnStep()
    model.run_eagerly = True
    return model


MAKERS = {
    "plain": Plain,
    "own step": OwnStep,
    "two optimizers": TwoOptimizers,
    "eager": eager,
}


def make(name, seed=0):
    keras.utils.set_random_seed(seed)
    model = MAKERS[name]()
    if name == "plain":
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(Adam(0.05), loss, metrics=["accuracy"])
    else:
        model.compile(keras.optimizers.SGD(0.1, 0.9), run_eagerly=name == "eager")
    return model


def train(model, folder, *callbacks):
    generator = Rows(ROWS[:12], batch_size=4, seed=5)
    return resumable_fit(model, generator, 2, folder, callbacks=callbacks, save_steps=2, verbose=0)


@pytest.mark.parametrize("name", MAKERS)
def test_an_interrupted_run_equals_a_whole_one_and_fit(name, tmp_path):
    whole = make(name)
    history = train(whole, tmp_path / "whole")

    fitted = make(name)
    rows = Rows(ROWS[:12], batch_size=4, seed=5)
    dataset = rows.to_dataset(shapes=([None, 6], [None]), batched=True)
    fitted_history = fitted.fit(
        dataset, steps_per_epoch=3, epochs=2, shuffle=False, verbose=0
    ).history
    np.testing.assert_array_equal(history["loss"], fitted_history["loss"])

    with pytest.raises(RuntimeError, match="power cut"):
        train(make(name), tmp_path / "cut", RaiseAt(1, 2, RuntimeError("power cut")))
    model = make(name, seed=9)
    assert train(model, tmp_path / "cut")["loss"] == history["loss"]
    wanted = [variable.numpy() for variable in training_variables(whole)]
    found = [variable.numpy() for variable in training_variables(model)]
    assert len(found) == len(wanted) > 8
    for a, b in zip(found, wanted):
        np.testing.assert_array_equal(a, b)


def test_keep_best_saves_and_loads_weights_alone(tmp_path):
    model, path = make("plain"), tmp_path / "best.weights.h5"
    best = KeepBest(lambda: {"score": -float(model.optimizer.iterations)}, path, "score")
    x, y = np.stack([row for row, _ in ROWS]), np.array([label for _, label in ROWS])
    model.fit(x, y, verbose=0, callbacks=[best])
    kept = [weight.numpy() for weight in model.weights]
    model.fit(x, y, epochs=2, verbose=0, callbacks=[best])
    assert best.best_epoch == 1
    assert any(np.any(a != b.numpy()) for a, b in zip(kept, model.weights))
    best.load(model)
    with h5py.File(path) as file:
        assert not {"optimizer", "_compile_metrics", "_loss_tracker"} & set(file)

    other = Plain()  # not compiled, and built by a call alone
    other(x)
    best.load(other)
    for a, b, c in zip(kept, model.weights, other.weights):
        np.testing.assert_array_equal(a, b.numpy())
        np.testing.assert_array_equal(a, c.numpy())
    with pytest.raises(ValueError, match="not yet been built"):
        best.load(Plain())


def test_what_models_inside_were_compiled_with_is_no_weight(tmp_path):
    class Outer(keras.Model):
        def __init__(self, compiled):
            super().__init__()
            self.inner, self.extra = keras.Sequential([keras.layers.Dense(2)]), Adam(0.1)
            if compiled:
                self.inner.compile("adam", "mse")
            self.inner.build((None, 6))
            if compiled:
                self.inner.train_on_batch(np.ones((2, 6)), np.ones((2, 2)))
                self.extra.build(self.inner.trainable_variables)

        def call(self, x):
            return self.inner(x)

    model = Outer(compiled=True)
    model(np.ones((2, 6)))
    best = KeepBest(lambda: {"score": 1.0}, tmp_path / "best.weights.h5", "score")
    best.set_model(model)
    best.on_epoch_end(0)
    names = []
    with h5py.File(best.filepath) as file:
        file.visititems(lambda name, item: names.append(name))
    assert not any("optimizer" in name or "extra" in name for name in names), names
    other = Outer(compiled=False)
    other(np.ones((2, 6)))
    best.load(other)
    np.testing.assert_array_equal(other.weights[0].numpy(), model.weights[0].numpy())


@pytest.mark.parametrize("name", ["plain", "own step"])
def test_averages_are_evaluated_and_saved(name, tmp_path):
    model = make(name)
    optimizer = AdamEMA(0.05, ema_momentum=0.5)
    if name == "plain":
        model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    else:
        model.compile(optimizer)
    seen = []

    def evaluate():
        seen.append([weight.numpy() for weight in model.trainable_weights])
        return {"score": 1.0}

    best = KeepBest(evaluate, tmp_path / "best.weights.h5", "score")
    train(model, tmp_path, EvaluateWithEMA(best))
    trained = [weight.numpy() for weight in model.trainable_weights]
    assert any(np.any(a != b) for a, b in zip(seen[0], trained))
    best.load(model)
    for a, b in zip(seen[0], model.trainable_weights):
        np.testing.assert_array_equal(a, b.numpy())
