import errno

import keras
import numpy as np
import pytest

from bert4keras_ext.training import KeepBest
from bert4keras_ext.training.callbacks import _file_size
from tests.training.limits import small_files


def linear_model():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, use_bias=False)])
    model.compile("sgd", "mse")
    return model


def run_epochs(callback, model, scores):
    """Ends one epoch a score, with weights equal to the epoch's number."""
    callback.set_model(model)
    for epoch, score in enumerate(scores):
        model.set_weights([np.full((2, 1), epoch + 1.0)])
        callback.evaluate = lambda score=score: {"val_f1": score}
        callback.on_epoch_end(epoch, logs := {"loss": 1.0})
        assert logs == {"loss": 1.0, "val_f1": score}


@pytest.mark.parametrize("mode, best_epoch", [("max", 2), ("min", 1)])
def test_keeps_the_first_of_the_best_epochs(tmp_path, mode, best_epoch):
    model = linear_model()
    best = KeepBest(None, tmp_path / "deep" / "best.weights.h5", monitor="val_f1", mode=mode)
    run_epochs(best, model, [0.2, 0.7, 0.7, 0.5])
    assert best.best_epoch == best_epoch
    best.load(model)
    np.testing.assert_array_equal(model.get_weights()[0], np.full((2, 1), best_epoch))
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["best.weights.h5"]


def test_a_user_loads_the_weights_into_a_plain_model(tmp_path):
    best = KeepBest(None, tmp_path / "best.weights.h5", monitor="val_f1")
    run_epochs(best, linear_model(), [0.2])
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, use_bias=False)])
    model.load_weights(tmp_path / "best.weights.h5")
    np.testing.assert_array_equal(model.get_weights()[0], np.ones((2, 1)))


def test_scores_reach_the_history(tmp_path):
    model = linear_model()
    best = KeepBest(lambda: {"val_f1": 0.5}, tmp_path / "best.weights.h5", monitor="val_f1")
    x = np.zeros((4, 2))
    history = model.fit(x, x[:, :1], epochs=2, verbose=0, callbacks=[best]).history
    assert history["val_f1"] == [0.5, 0.5]


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    model, path = linear_model(), tmp_path / "best.weights.h5"
    best = KeepBest(None, path, monitor="val_f1")
    run_epochs(best, model, [0.2])
    before = path.read_bytes()

    def fail(model, filepath, **kwargs):
        filepath.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(keras.saving, "save_weights", fail)
    with pytest.raises(OSError, match="disk full"):
        run_epochs(best, model, [0.9])
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_wrong_is_said(tmp_path):
    with pytest.raises(ValueError, match="weights.h5"):
        KeepBest(None, tmp_path / "best.h5", monitor="val_f1")
    with pytest.raises(ValueError, match="'max' or 'min'"):
        KeepBest(None, tmp_path / "a.weights.h5", monitor="val_f1", mode="auto")
    best = KeepBest(lambda: {"f1": 1.0}, tmp_path / "a.weights.h5", monitor="val_f1")
    with pytest.raises(ValueError, match="expected a score 'val_f1'"):
        best.on_epoch_end(0)
    with pytest.raises(FileNotFoundError, match="train the model first"):
        best.load(linear_model())


@pytest.mark.parametrize("room", [1000, 62_000])
def test_a_full_disk_leaves_the_former_weights_and_no_draft(tmp_path, monkeypatch, room):
    model = keras.Sequential([keras.Input((100,)), keras.layers.Dense(150)])  # 60,600 bytes
    best = KeepBest(None, tmp_path / "best.weights.h5", monitor="val_f1")
    best.set_model(model)
    best.evaluate = lambda: {"val_f1": 0.1}
    best.on_epoch_end(0, {})
    before = best.filepath.read_bytes()
    best.evaluate = lambda: {"val_f1": 0.2}
    # HDF5, once it has begun to write, crashes the process when that ends.
    monkeypatch.setattr(keras.Model, "save_weights", lambda *_: pytest.fail("HDF5 has begun"))
    with small_files(room), pytest.raises(OSError) as info:
        best.on_epoch_end(1, {})
    assert info.value.errno == errno.EFBIG
    assert (best.best, best.best_epoch) == (0.1, 1)
    assert best.filepath.read_bytes() == before
    assert list(tmp_path.iterdir()) == [best.filepath]


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float64"])
def test_the_room_that_weights_need_is_not_underestimated(tmp_path, dtype):
    inputs = keras.Input((4,))
    x = keras.layers.Reshape((2, 2), dtype=dtype)(inputs)
    for width in (2, 3, 50):
        gru = keras.layers.GRU(
            width, return_sequences=True, recurrent_initializer="uniform", dtype=dtype
        )
        x = keras.layers.Bidirectional(gru)(x)
        x = keras.layers.LayerNormalization(dtype=dtype)(x)
    model = keras.Model(inputs, x)
    model.save_weights(tmp_path / "a.weights.h5")
    size = (tmp_path / "a.weights.h5").stat().st_size
    assert size <= _file_size(model) <= 3 * size + 600_000


def test_a_damaged_file_is_named(tmp_path):
    best = KeepBest(None, tmp_path / "best.weights.h5", monitor="val_f1")
    run_epochs(best, linear_model(), [0.2])
    best.filepath.write_bytes(best.filepath.read_bytes()[:900])
    with pytest.raises(OSError, match=r"best\.weights\.h5, found a damaged file .* train"):
        best.load(linear_model())
