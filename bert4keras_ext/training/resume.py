"""`resumable_fit`: a training that may be killed at any time."""

import contextlib
import signal
import threading
import time
from pathlib import Path

import keras

from bert4keras_ext.data.batches import as_keras_batch
from bert4keras_ext.training.state import (
    StateError,
    assign_state,
    read_state,
    training_variables,
    write_state,
)


def resumable_fit(
    model,
    train,
    epochs,
    folder,
    *,
    callbacks=(),
    save_steps=100,
    resume=True,
    settings=None,
    verbose="auto",
):
    """`model.fit` on a seeded `DataGenerator`; what a kill interrupts, the next call continues.

    The state (weights, optimizer, dropout seeds, running metrics, history, callbacks) goes into
    `folder/state.npz` every `save_steps` steps and after each epoch, replaced in one move. On
    SIGINT (Ctrl-C), SIGTERM and SIGHUP (a terminal that closes) the present step is finished and
    saved before the signal takes effect, so nothing is lost; a second one ends at once. After
    SIGKILL or a power cut at most `save_steps` steps are done again. The order of the rows depends
    on seed and epoch alone, so an interrupted run ends with the same numbers as one that was not.

    Args:
        model: a compiled model: functional or subclassed, built or not, with a `train_step` of
            its own or without. All that it counts with is continued: weights, optimizers, metrics
            and TensorFlow variables in its attributes. (Plain numbers in them are not; and one
            that steps eagerly must make its variables in its constructor or its `call`.)
        train: a `DataGenerator` with a seed and a length. What it draws besides the order of the
            rows should depend on its `seed` and `epoch` alone too.
        epochs: epochs in total, those before the interruption included. With more of them than
            before, a run that was finished goes on (a schedule that the optimizer takes from the
            number of epochs is then another one from there on).
        folder: where the state lies.
        callbacks: Keras callbacks. Those with `get_state()` and `set_state(state)` (plain values,
            as JSON has them) are stored and restored.
        save_steps: steps between two saves; 1 never repeats a step.
        resume: continue what is in the folder, if anything is; False starts anew.
        settings: plain values a resumed run must have in common with what it continues (batch
            size, learning rate, ...).
        verbose: of `fit`.

    Returns:
        {name: [value after each epoch]} over all runs, "seconds" among the names.

    Raises:
        ValueError: the generator has no seed.
        StateError: the stored state is damaged, belongs to another model or other settings, or has
            more epochs behind it than are wanted.

    Example::

        model.compile("adam", "sparse_categorical_crossentropy")
        history = resumable_fit(model, Batches(rows, seed=1), epochs=5, folder="runs/tnews")
    """
    if train.seed is None:
        raise ValueError(
            f"expected a generator with a seed, to repeat its order: {type(train).__name__}"
            "(..., seed=1)"
        )
    keeper = _Keeper(Path(folder) / "state.npz", len(train), callbacks, save_steps, settings or {})
    if resume:
        keeper.read(epochs)
    else:
        keeper.path.unlink(missing_ok=True)
    _make_all_variables(model, as_keras_batch(next(iter(train))))
    with _signals_wait(keeper), contextlib.suppress(_Stopped):
        while keeper.epoch < epochs and not keeper.is_stopped:
            # What an interruption left of an epoch is, for Keras, a short epoch of its own.
            model.fit(
                train.to_dataset(initial_epoch=keeper.epoch).skip(keeper.step),
                steps_per_epoch=len(train) - keeper.step,
                initial_epoch=keeper.epoch,
                epochs=keeper.epoch + 1 if keeper.step else epochs,
                callbacks=[*callbacks, keeper],
                shuffle=False,  # the generator does it
                verbose=verbose,
            )
            keeper.is_stopped |= model.stop_training
        keeper.restore_weights(model)
    return keeper.history


def _make_all_variables(model, batch):
    """Those of the optimizer and the metrics too, which Keras leaves to the first step.

    No value changes: a `train_step` of the model's own is traced only, to see what it makes.
    """
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(batch)
    with model.distribute_strategy.scope():
        if _has_own_step(model) and not model.run_eagerly:
            _trace(model, batch)
        else:
            y_pred = model(x, training=False)
            model.optimizer.build(model.trainable_variables)
            if not _has_own_step(model):
                model.compute_loss(x, y, y_pred, sample_weight)
                model.compute_metrics(x, y, y_pred, sample_weight)
    model.reset_metrics()


def _has_own_step(model):
    """Of its class, or set on the model, as a training technique does."""
    return "train_step" in vars(model) or type(model).train_step is not keras.Model.train_step


def _trace(model, batch):
    import tensorflow as tf

    def step(batch):
        return model.distribute_strategy.run(model.train_step, args=(batch,))

    known = tuple(part for part in batch if part is not None)  # as a dataset holds them
    batch = keras.tree.map_structure(tf.convert_to_tensor, known)
    tf.function(step, autograph=False).get_concrete_function(batch)


class _Stopped(Exception):
    """Leaves `fit` between two steps, without the end of the epoch."""


class _Keeper(keras.callbacks.Callback):
    """Writes the state of a training, and puts it back at the beginning.

    Attributes:
        epoch, step: where the training stands: epochs and steps of the present one completed.
        history: {name: [value after each epoch]}.
        is_stopped: no further step is wanted.
    """

    def __init__(self, path, steps, callbacks, save_steps, settings):
        super().__init__()
        self.path = path
        self.steps = steps
        self.stateful = [callback for callback in callbacks if hasattr(callback, "set_state")]
        self.save_steps = save_steps
        self.settings = settings
        self.epoch = self.step = 0
        self.first_step = 0  # where the present epoch was taken up
        self.seconds = self.clock = 0.0  # time of the present epoch so far, and when it began
        self.history = {}
        self.is_stopped = False
        self._arrays = None

    def read(self, epochs):
        if not self.path.is_file():
            return
        self._arrays, notes = read_state(self.path)
        if notes["settings"] != self.settings or notes["steps"] != self.steps:
            was, now = ({"steps": x, **y} for x, y in (
                (notes["steps"], notes["settings"]), (self.steps, self.settings)))  # fmt: skip
            changed = [key for key in {**was, **now} if was.get(key) != now.get(key)]
            raise StateError(
                f"expected the settings that {self.path} was made with, found others: "
                + ", ".join(f"{key} {was.get(key)!r} -> {now.get(key)!r}" for key in changed)
                + "; use them again, or start anew"
            )
        self.epoch, self.step = notes["epoch"], notes["step"]
        if self.epoch + bool(self.step) > epochs:
            raise StateError(
                f"expected at least {self.epoch + bool(self.step)} epochs, as many as the run of "
                f"{self.path} has begun, received {epochs}; ask for more, or start anew"
            )
        self.seconds, self.history = notes["seconds"], notes["history"]
        for callback, state in zip(self.stateful, notes["callbacks"]):
            callback.set_state(state)

    def restore_weights(self, model):
        """For a training that was complete already, so that `on_epoch_begin` never came."""
        if self._arrays is not None:
            count = len(model.variables)
            assign_state(model.variables, self._arrays[:count], self.path)

    def on_epoch_begin(self, epoch, logs=None):
        # Not earlier: fit has just reset the metrics, whose running values are restored too.
        if self._arrays is not None:
            assign_state(training_variables(self.model), self._arrays, self.path)
            self._arrays = None
            if not self.step:  # those of the epoch before
                self.model.reset_metrics()
        elif not self.path.is_file():
            self.write()  # the initial weights belong to the run as well
        self.first_step = self.step
        self.clock = time.perf_counter() - self.seconds

    def on_train_batch_end(self, batch, logs=None):
        before, self.step = self.step, self.first_step + batch + 1
        is_due = self.step // self.save_steps > before // self.save_steps
        # The last step of an epoch is not done until the epoch's scores are.
        if self.step < self.steps and (is_due or self.is_stopped):
            self.write()
            if self.is_stopped:
                raise _Stopped

    def on_epoch_end(self, epoch, logs=None):
        if self.step < self.steps:
            return
        self.epoch, self.step = epoch + 1, 0
        for name, value in {**(logs or {}), "seconds": self._elapsed()}.items():
            self.history.setdefault(name, []).append(float(value))
        self.seconds, self.clock = 0.0, time.perf_counter()
        self.write()
        if self.is_stopped:
            self.model.stop_training = True

    def _elapsed(self):
        return time.perf_counter() - self.clock

    def write(self):
        notes = {
            "epoch": self.epoch,
            "step": self.step,
            "steps": self.steps,
            "seconds": self._elapsed() if self.step else 0.0,
            "history": self.history,
            "settings": self.settings,
            "callbacks": [callback.get_state() for callback in self.stateful],
        }
        arrays = [variable.numpy() for variable in training_variables(self.model)]
        write_state(self.path, arrays, notes)


@contextlib.contextmanager
def _signals_wait(keeper):
    """Lets the signals that end a run wait until the keeper has saved; a second one does not wait.

    One that the process was told to ignore (by nohup, or a shell's background) stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received = []
    names = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    former = {getattr(signal, name): signal.getsignal(getattr(signal, name)) for name in names}
    former = {number: do for number, do in former.items() if do is not signal.SIG_IGN}

    def restore():
        for number, handler in former.items():
            signal.signal(number, handler)

    def note(number, frame):
        received.append(number)
        keeper.is_stopped = True
        restore()

    for number in former:
        signal.signal(number, note)
    try:
        yield
    finally:
        restore()
    for number in received:
        signal.raise_signal(number)
