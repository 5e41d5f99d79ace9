"""The schedule of extend_with_piecewise_linear_lr against bert4keras' recordings."""

import keras
import numpy as np
import pytest

from bert4keras_ext.optimizers import AdaFactor, Adam, extend_with_piecewise_linear_lr
from bert4keras_ext.optimizers.piecewise_linear_lr import piecewise_linear
from tests.shared import oracle

# The schedules that were recorded at steps 0 to 59.
SCHEDULES = [{10: 1, 40: 0.1}, {0: 1, 20: 0}, {5: 2}, {0: 1, 10: 1, 40: 0.1},
             {1: 1, 2: 0.5, 30: 0.25}]  # fmt: skip


@pytest.mark.parametrize("number", range(5))
def test_equals_bert4keras(number):
    recorded = np.load(oracle("bert4keras") / "backend.npz")[f"piecewise_linear/{number}"]
    found = [float(piecewise_linear(step, SCHEDULES[number])) for step in range(60)]
    np.testing.assert_allclose(found, recorded, atol=1e-6)


@pytest.mark.parametrize("schedule", [{10: 1}, {0: 0.5, 10: 1}])
@pytest.mark.parametrize(
    "callback",
    [
        keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate),
        keras.callbacks.ReduceLROnPlateau("loss", patience=0, min_delta=1e9),
    ],
    ids=lambda callback: type(callback).__name__,
)
def test_callbacks_that_write_the_rate_in_force_back_are_refused(callback, schedule):
    """They would multiply it by the schedule once more: at the start by 0."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    optimizer = extend_with_piecewise_linear_lr(Adam)(0.1, lr_schedule=schedule)
    model.compile(optimizer, "mse")
    with pytest.raises(TypeError, match="lr_schedule.*base_learning_rate"):
        model.fit(np.ones((4, 2)), np.ones((4, 1)), epochs=3, verbose=0, callbacks=[callback])


def test_the_rate_that_is_multiplied_can_be_set():
    optimizer = extend_with_piecewise_linear_lr(Adam)(0.1, lr_schedule={0: 0.5})
    optimizer.base_learning_rate = 0.4
    np.testing.assert_allclose(optimizer.base_learning_rate, 0.4)
    np.testing.assert_allclose(optimizer.learning_rate, 0.2)
    assert keras.optimizers.deserialize(keras.optimizers.serialize(optimizer)).get_config()[
        "learning_rate"
    ] == pytest.approx(0.4)


def test_a_rate_that_adafactor_would_not_use_is_refused():
    with pytest.raises(TypeError, match="makes? its own"):
        AdaFactor(None).learning_rate = 0.1
    optimizer = AdaFactor(0.1)
    optimizer.learning_rate = 0.2
    np.testing.assert_allclose(optimizer.learning_rate, 0.2)
