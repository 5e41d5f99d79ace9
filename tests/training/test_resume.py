"""An interrupted training ends with the numbers of one that was not interrupted."""

import json
import signal
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from bert4keras_ext.data import DataGenerator
from bert4keras_ext.optimizers import Adam
from bert4keras_ext.training import KeepBest, StateError, WarmupDecay, resumable_fit
from bert4keras_ext.training.resume import _signals_wait
from bert4keras_ext.training.state import read_state
from tests.sweeps import some_of

ROWS = [(np.random.default_rng(n).normal(size=6).astype("float32"), n % 2) for n in range(22)]
EPOCHS = 3  # of 6 steps


class Rows(DataGenerator):
    def __iter__(self, random=False):
        batch = []
        for is_end, row in self.sample(random):
            batch.append(row)
            if len(batch) == self.batch_size or is_end:
                inputs, labels = zip(*batch)
                yield np.stack(inputs), np.array(labels)
                batch = []


class RaiseAt(keras.callbacks.Callback):
    """Raises an exception (a crash), or sends this process a signal, at one step."""

    def __init__(self, epoch, batch, what):
        super().__init__()
        self.place, self.what = (epoch, batch), what

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        if (self.epoch, batch) == self.place:
            if isinstance(self.what, Exception):
                raise self.what
            signal.raise_signal(self.what)


def make_model(seed=0, units=8):
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(units, "relu"),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(2, "softmax"),
        ]
    )
    schedule = WarmupDecay(0.05, total_steps=6 * EPOCHS, warmup_steps=3)
    model.compile(Adam(schedule), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def train(model, folder, *callbacks, epochs=EPOCHS, **kwargs):
    def score():
        return {"score": -abs(model.optimizer.iterations.numpy() - 12)}  # epoch 2 is the best

    best = KeepBest(score, folder / "best.weights.h5", monitor="score")
    generator = Rows(ROWS, batch_size=4, seed=5)
    kwargs = {"callbacks": [best, *callbacks], "verbose": 0, **kwargs}
    return resumable_fit(model, generator, epochs, folder, **kwargs), best


@pytest.fixture
def reference(tmp_path):
    model = make_model()
    history, _ = train(model, tmp_path / "whole")
    return model, history


def check_equal(model, history, reference):
    for found, wanted in zip(model.get_weights(), reference[0].get_weights()):
        np.testing.assert_array_equal(found, wanted)
    for name in ("loss", "accuracy", "score"):
        assert history[name] == reference[1][name]
    assert len(history["seconds"]) == EPOCHS


@pytest.mark.parametrize("save_steps", some_of([1, 2, 100], 2))
@pytest.mark.parametrize("place", [(0, 0), (0, 3), (1, 0), (1, 5), (2, 4)])
def test_after_a_crash(tmp_path, reference, place, save_steps):
    crash = RaiseAt(*place, RuntimeError("power cut"))
    with pytest.raises(RuntimeError, match="power cut"):
        train(make_model(), tmp_path / "cut", crash, save_steps=save_steps)
    model = make_model(seed=9)  # nothing of it may matter
    history, best = train(model, tmp_path / "cut")
    check_equal(model, history, reference)
    assert (best.best, best.best_epoch) == (0.0, 2)


@pytest.mark.parametrize("batch", some_of([0, 2, 5], 2))
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_waits_for_the_step(tmp_path, reference, number, batch):
    received = []
    former = signal.signal(number, lambda *_: received.append(number))
    try:
        model = make_model()
        train(model, tmp_path / "cut", RaiseAt(1, batch, number))
    finally:
        signal.signal(number, former)
    assert received == [number]
    assert int(model.optimizer.iterations) == 6 + batch + 1  # not one step is lost
    _, notes = read_state(tmp_path / "cut" / "state.npz")
    assert (notes["epoch"], notes["step"]) == ((1, batch + 1) if batch < 5 else (2, 0))
    assert len(notes["history"]["score"]) == notes["epoch"]

    model = make_model(seed=9)
    history, _ = train(model, tmp_path / "cut")
    check_equal(model, history, reference)


def test_twice_interrupted_within_one_epoch(tmp_path, reference):
    for batch in (2, 1):  # the second counts from where the first stopped
        with pytest.raises(RuntimeError):
            crash = RaiseAt(1, batch, RuntimeError())
            train(make_model(), tmp_path / "cut", crash, save_steps=1)
    assert read_state(tmp_path / "cut" / "state.npz")[1]["step"] == 3
    model = make_model(seed=9)
    history, _ = train(model, tmp_path / "cut")
    check_equal(model, history, reference)


def test_a_complete_run_is_only_read(tmp_path, reference):
    model = make_model(seed=9)
    history, best = train(model, tmp_path / "whole")
    check_equal(model, history, reference)
    assert best.best_epoch == 2


def test_without_resume_it_starts_anew(tmp_path, reference):
    model = make_model()
    history, _ = train(model, tmp_path / "whole", resume=False)
    check_equal(model, history, reference)
    assert int(model.optimizer.iterations) == 6 * EPOCHS


def test_other_settings_and_other_models_are_refused(tmp_path):
    train(make_model(), tmp_path, epochs=1, settings={"batch_size": 4})
    with pytest.raises(StateError, match="batch_size 4 -> 8"):
        train(make_model(), tmp_path, settings={"batch_size": 8})
    other = make_model(units=5)
    with pytest.raises(StateError, match="another one"):
        train(other, tmp_path, settings={"batch_size": 4})
    assert other.get_weights()[0].shape == (6, 5)


def test_a_damaged_state_is_refused(tmp_path):
    train(make_model(), tmp_path, epochs=1)
    state = tmp_path / "state.npz"
    state.write_bytes(state.read_bytes()[:500])
    with pytest.raises(StateError, match="damaged file of 500 bytes"):
        train(make_model(), tmp_path)


def test_a_finished_run_is_lengthened(tmp_path, reference):
    """Here the optimizer's schedule has its own length: the numbers are those of one run."""
    train(make_model(), tmp_path / "cut", epochs=1)
    model = make_model(seed=9)
    history, best = train(model, tmp_path / "cut")
    check_equal(model, history, reference)
    assert best.best_epoch == 2


@pytest.mark.parametrize("epoch", [1, 2])  # finished, or begun
def test_fewer_epochs_than_are_behind_are_refused(tmp_path, epoch):
    with pytest.raises(RuntimeError):
        train(make_model(), tmp_path, RaiseAt(epoch, 3, RuntimeError()), save_steps=1)
    with pytest.raises(StateError, match=f"at least {epoch + 1} epochs.*received {epoch}"):
        train(make_model(), tmp_path, epochs=epoch)
    history, _ = train(make_model(), tmp_path, epochs=epoch + 1)
    assert len(history["loss"]) == epoch + 1


def test_a_generator_without_seed_is_refused(tmp_path):
    with pytest.raises(ValueError, match="with a seed"):
        resumable_fit(make_model(), Rows(ROWS, batch_size=4), 1, tmp_path)


def test_notes_are_plain_json(tmp_path):
    train(make_model(), tmp_path, epochs=1)
    _, notes = read_state(tmp_path / "state.npz")
    assert json.loads(json.dumps(notes)) == notes
    assert notes["callbacks"] == [{"best": -6.0, "best_epoch": 1}]


def test_a_signal_that_is_ignored_stays_ignored(tmp_path):
    """As under nohup: nothing stops, and nothing is raised when training ends."""
    former = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with _signals_wait(keeper := SimpleNamespace(is_stopped=False)):
            signal.raise_signal(signal.SIGINT)
        assert keeper.is_stopped is False
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, former)
