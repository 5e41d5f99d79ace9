"""The callback that puts the averages into the model for evaluation."""

import keras
import numpy as np
import pytest

from bert4keras_ext.data import DataGenerator
from bert4keras_ext.training import EvaluateWithEMA, KeepBest, resumable_fit
from tests.optimizers.compositions import extended

X, Y = np.arange(8.0).reshape(4, 2), np.ones((4, 1))


def make_model(names=("exponential_moving_average",), **kwargs):
    keras.utils.set_random_seed(2)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, use_bias=False)])
    model.compile(extended(names, keras.optimizers.SGD)(1e-3, **kwargs), "mse")
    return model


class Path(keras.callbacks.Callback):
    """The kernel at the beginning of training, after every batch, and when an epoch has ended."""

    def __init__(self):
        super().__init__()
        self.batches, self.epochs = [], []

    def kernel(self):
        return self.model.get_weights()[0]

    def on_train_batch_end(self, batch, logs=None):
        self.batches.append(self.kernel())

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append(self.kernel())


def averages(path, momentum):
    average, found = 0, []
    for t, kernel in enumerate(path, 1):
        average = momentum * average + (1 - momentum) * kernel
        found.append(average / (1 - momentum**t))
    return found


def loss(kernel):
    return np.mean((X @ kernel - Y) ** 2)


def test_validation_and_the_callbacks_inside_see_averages_and_training_does_not():
    plain, inside = Path(), Path()
    model = make_model(ema_momentum=0.5)
    history = model.fit(
        X, Y, batch_size=2, epochs=3, shuffle=False, verbose=0, validation_data=(X, Y),
        callbacks=[plain, EvaluateWithEMA(inside)],
    ).history  # fmt: skip
    wanted = averages(plain.batches, 0.5)[1::2]
    np.testing.assert_allclose(inside.epochs, wanted, rtol=1e-5)
    np.testing.assert_allclose(history["val_loss"], [loss(k) for k in wanted], rtol=1e-4)
    without = make_model(ema_momentum=0.5)
    without.fit(X, Y, batch_size=2, epochs=3, shuffle=False, verbose=0)
    np.testing.assert_array_equal(model.get_weights()[0], without.get_weights()[0])


def test_the_best_weights_are_averages(tmp_path):
    model, path = make_model(ema_momentum=0.5), Path()
    best = KeepBest(lambda: {"val": 1.0}, tmp_path / "best.weights.h5", monitor="val")
    callbacks = [path, EvaluateWithEMA(best)]
    model.fit(X, Y, batch_size=2, shuffle=False, verbose=0, callbacks=callbacks)
    best.load(model)
    np.testing.assert_allclose(model.get_weights()[0], averages(path.batches, 0.5)[-1], rtol=1e-5)


def test_nothing_happens_before_the_first_update():
    model = make_model(("exponential_moving_average", "gradient_accumulation"), grad_accum_steps=50)
    start = model.get_weights()[0]
    model.fit(X, Y, verbose=0, validation_data=(X, Y), callbacks=[EvaluateWithEMA()])
    np.testing.assert_array_equal(model.get_weights()[0], start)


def test_an_evaluation_that_fails_leaves_the_weights():
    model = make_model()
    failing = KeepBest(lambda: {"other": 0.0}, "x.weights.h5", monitor="val")
    path = Path()
    with pytest.raises(ValueError, match="expected a score"):
        model.fit(X, Y, verbose=0, callbacks=[path, EvaluateWithEMA(failing)])
    np.testing.assert_array_equal(model.get_weights()[0], path.batches[-1])


def test_another_optimizer_is_refused():
    model = make_model(("lookahead",))
    with pytest.raises(ValueError, match="extend_with_exponential_moving_average"):
        model.fit(X, Y, verbose=0, callbacks=[EvaluateWithEMA()])


class Rows(DataGenerator):
    def __iter__(self, random=False):
        for _, row in self.sample(random):
            yield np.array([[row, 1.0]]), np.ones((1, 1))


class Kill(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if int(self.model.optimizer.iterations.numpy()) == 2:
            raise KeyboardInterrupt


def test_resumable_fit_continues_in_the_middle_of_a_group(tmp_path):
    """Killed after the fourth and an odd fifth batch, mid-accumulation, with lookahead and EMA."""
    names = ("gradient_accumulation", "lookahead", "exponential_moving_average")
    kwargs = {"grad_accum_steps": 3, "steps_per_slow_update": 2, "ema_momentum": 0.9}
    results = []
    for folder, callbacks in (("whole", [[]]), ("killed", [[Kill()], []])):
        for extra in callbacks:
            model = make_model(names, **kwargs)
            data = Rows([0.1 * i for i in range(7)], 1, seed=1)
            try:
                resumable_fit(
                    model, data, 2, tmp_path / folder, save_steps=1, verbose=0,
                    callbacks=[*extra, EvaluateWithEMA()],
                )  # fmt: skip
            except KeyboardInterrupt:
                pass
        model.optimizer.flush()
        results.append([v.numpy() for v in [*model.variables, *model.optimizer.variables]])
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)
