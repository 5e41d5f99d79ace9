"""The Loss layer: losses without targets outside of the model."""

import keras
import numpy as np
import pytest
from keras import ops

from bert4keras_ext.backend import register
from bert4keras_ext.layers import Loss


@register
class SquaredError(Loss):
    def compute_loss(self, inputs, mask=None):
        y_true, y_pred = inputs
        return ops.mean(ops.square(y_true - y_pred))


def make_model(output_axis=None):
    x, y = keras.Input((3,)), keras.Input((1,))
    prediction = keras.layers.Dense(1)(x)
    return keras.Model([x, y], SquaredError(output_axis)([y, prediction]))


def test_training_on_nothing_but_inputs():
    model = make_model(output_axis=1)
    model.compile(keras.optimizers.SGD(0.1))
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 3)).astype("float32")
    y = x @ np.array([[1.0], [2.0], [-1.0]], "float32")
    history = model.fit([x, y], epochs=20, verbose=0).history["loss"]
    assert history[-1] < 0.2 * history[0]


@pytest.mark.parametrize("axis, count", [(None, 2), (1, 1), ([1, 0], 2)])
def test_output_axis_chooses_what_passes_through(axis, count):
    outputs = make_model(axis).outputs
    assert len(outputs) == count


def test_round_trip(tmp_path):
    model = make_model(1)
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    x = [np.ones((2, 3), "float32"), np.ones((2, 1), "float32")]
    np.testing.assert_allclose(loaded.predict(x, verbose=0), model.predict(x, verbose=0))


def test_compute_loss_must_be_defined():
    with pytest.raises(NotImplementedError, match="must define compute_loss"):
        Loss()(ops.ones((1, 1)))
