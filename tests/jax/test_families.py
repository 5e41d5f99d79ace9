"""Every family on JAX, compiled: it predicts and learns what it does on TensorFlow's backend."""

import keras
import numpy as np
import pytest

from bert4keras_ext.optimizers import Adam
from tests.models.backends import check_equal, two_steps, written
from tests.models.families import FAMILIES, build, inputs_of


@pytest.fixture(scope="module")
def on_tensorflow(tmp_path_factory):
    return written(tmp_path_factory.mktemp("families") / "tensorflow.npz", "tensorflow")


@pytest.mark.parametrize("name", FAMILIES)
def test_predicts_and_learns_what_it_does_on_tensorflow(name, on_tensorflow):
    check_equal(name, two_steps(name), on_tensorflow)


@pytest.mark.parametrize("name", FAMILIES)
def test_trains_on_batches_with_dropout_in_mixed_precision(name):
    keras.config.set_dtype_policy("mixed_bfloat16")
    builder = build(name, num_hidden_layers=1)
    model, arrays = builder.model, inputs_of(builder)
    model.compile(Adam(1e-2), lambda wanted, found: keras.ops.mean(found * found, axis=-1))
    arrays = arrays if len(arrays) > 1 else arrays[0]
    losses = []
    for _ in range(3):
        model.reset_metrics()
        losses.append(float(model.train_on_batch(arrays, np.zeros(4))))
    assert np.all(np.isfinite(losses)) and len(set(losses)) == 3
