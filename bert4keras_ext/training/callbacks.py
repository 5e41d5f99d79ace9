"""Callbacks."""

import math
import os
from pathlib import Path

import keras

from bert4keras_ext.backend.keras_internals import all_layers_of, compiled_parts
from bert4keras_ext.training.state import check_room, optimizers_of


class KeepBest(keras.callbacks.Callback):
    """Scores the model after each epoch, and keeps the weights of the best epoch.

    The scores are put into the epoch's logs: the progress bar and the history show them. The file
    is replaced in one move, so a kill leaves the old weights or the new, and holds the model's
    weights alone, without the optimizer's. It serves any `keras.Model`, subclassed ones too.

    Args:
        evaluate: function of no arguments that returns {name: score}.
        filepath: where the best weights go; ends in ".weights.h5".
        monitor: name of the score that decides; the first epoch of equals stays.
        mode: "max", or "min" where less is better.

    Attributes:
        best: the best score so far, or None.
        best_epoch: its epoch, counted from 1.

    Raises:
        ValueError: another suffix or mode; ``evaluate`` returns no score of that name.
        FileNotFoundError: ``load`` before there are any weights.
        OSError: the file of the weights is damaged, or the disk is full; the former file stays.

    Example::

        best = KeepBest(lambda: {"val_accuracy": accuracy(model, dev)}, "best.weights.h5",
                        monitor="val_accuracy")
        model.fit(train.forfit(), steps_per_epoch=len(train), epochs=5, callbacks=[best])
        best.load(model)
    """

    def __init__(self, evaluate, filepath, monitor, mode="max"):
        super().__init__()
        if not str(filepath).endswith(".weights.h5"):
            raise ValueError(f"expected a filepath ending in .weights.h5, received {filepath!s}")
        if mode not in ("max", "min"):
            raise ValueError(f"expected mode 'max' or 'min', received {mode!r}")
        self.evaluate = evaluate
        self.filepath = Path(filepath)
        self.monitor = monitor
        self.mode = mode
        self.best = self.best_epoch = None

    def on_epoch_end(self, epoch, logs=None):
        scores = {name: float(score) for name, score in self.evaluate().items()}
        if self.monitor not in scores:
            raise ValueError(f"expected a score {self.monitor!r}, evaluate() gave {list(scores)}")
        if logs is not None:
            logs.update(scores)
        if self._is_better(scores[self.monitor]):
            self._save()
            self.best, self.best_epoch = scores[self.monitor], epoch + 1

    def _is_better(self, score):
        if self.best is None:
            return True
        return score > self.best if self.mode == "max" else score < self.best

    def _save(self):
        self.filepath.parent.mkdir(parents=True, exist_ok=True)
        draft = self.filepath.with_name(f".{os.getpid()}.{self.filepath.name}")
        try:
            check_room(draft, _file_size(self.model))
            keras.saving.save_weights(self.model, draft, objects_to_skip=_beside(self.model))
            os.replace(draft, self.filepath)
        finally:
            draft.unlink(missing_ok=True)

    def load(self, model):
        """Puts the best weights into the model; a subclassed one must have been called before."""
        if not self.filepath.is_file():
            raise FileNotFoundError(f"no weights at {self.filepath}: train the model first")
        try:
            keras.saving.load_weights(model, self.filepath, objects_to_skip=_beside(model))
        except OSError as error:  # of HDF5, without the name of the file
            raise OSError(
                f"expected weights in {self.filepath}, found a damaged file ({error}); train the "
                "model again"
            ) from error

    def get_state(self):
        """What `resumable_fit` stores, so that a resumed run knows the best score."""
        return {"best": self.best, "best_epoch": self.best_epoch}

    def set_state(self, state):
        self.best, self.best_epoch = state["best"], state["best_epoch"]


class EvaluateWithEMA(keras.callbacks.Callback):
    """Evaluates with the averages of the weights, and trains on with the weights themselves.

    For optimizers made by `extend_with_exponential_moving_average`. The averages are in the model
    during `evaluate` and the validation of `fit`, and while the callbacks given here do what they
    do at the end of an epoch, so that they score and save averages. Before the first update of the
    weights there are none, and nothing is swapped.

    Args:
        *callbacks: those whose `on_epoch_end` shall see the averages, such as `KeepBest`. Pass
            them here, not to `fit` as well.

    Raises:
        ValueError: the optimizer has no such averages.

    Example::

        best = KeepBest(evaluate, "best.weights.h5", monitor="val_f1")
        model.compile(AdamEMA(2e-5), "sparse_categorical_crossentropy")
        model.fit(x, y, epochs=5, callbacks=[EvaluateWithEMA(best)])
    """

    def __init__(self, *callbacks):
        super().__init__()
        self.callbacks = callbacks
        self._is_swapped = False

    def set_model(self, model):
        super().set_model(model)
        for callback in self.callbacks:
            callback.set_model(model)

    def set_params(self, params):
        super().set_params(params)
        for callback in self.callbacks:
            callback.set_params(params)

    @property
    def optimizer(self):
        """The one with the averages, inside of a loss scaling."""
        optimizer = getattr(self.model.optimizer, "inner_optimizer", self.model.optimizer)
        if not hasattr(optimizer, "apply_ema_weights"):
            raise ValueError(
                f"expected an optimizer with averages, found {type(optimizer).__name__}: make it "
                "with extend_with_exponential_moving_average"
            )
        return optimizer

    def _swap(self):
        optimizer = self.optimizer
        if not self._is_swapped and optimizer.built and int(optimizer.iterations.numpy()):
            optimizer.apply_ema_weights()
            self._is_swapped = True

    def _swap_back(self):
        if self._is_swapped:
            self.optimizer.reset_old_weights()
            self._is_swapped = False

    def on_train_begin(self, logs=None):
        self._swap_back()  # what an evaluation that failed left behind
        for callback in self.callbacks:
            callback.on_train_begin(logs)

    def on_train_end(self, logs=None):
        for callback in self.callbacks:
            callback.on_train_end(logs)

    def on_epoch_begin(self, epoch, logs=None):
        for callback in self.callbacks:
            callback.on_epoch_begin(epoch, logs)

    def on_train_batch_begin(self, batch, logs=None):
        for callback in self.callbacks:
            callback.on_train_batch_begin(batch, logs)

    def on_train_batch_end(self, batch, logs=None):
        for callback in self.callbacks:
            callback.on_train_batch_end(batch, logs)

    def on_epoch_end(self, epoch, logs=None):
        try:
            self._swap()
            for callback in self.callbacks:
                callback.on_epoch_end(epoch, logs)
        finally:
            self._swap_back()

    def on_test_begin(self, logs=None):
        self._swap()

    def on_test_end(self, logs=None):
        self._swap_back()

    def get_state(self):
        """What `resumable_fit` stores: that of the callbacks inside."""
        return [each.get_state() for each in self.callbacks if hasattr(each, "get_state")]

    def set_state(self, state):
        stateful = [each for each in self.callbacks if hasattr(each, "set_state")]
        for callback, content in zip(stateful, state):
            callback.set_state(content)


def _file_size(model):
    """At most so many bytes has a file of the model's weights; HDF5 needs some for each."""
    sizes = [math.prod(v.shape) * (8 if "64" in str(v.dtype) else 4) for v in model.weights]
    return sum(size + 8192 for size in sizes) + 65536


def _beside(model):
    """What a model holds beside its weights: what it, and models inside, were compiled with."""
    models = [layer for layer in all_layers_of(model) if isinstance(layer, keras.Model)]
    parts = [part for each in models for part in compiled_parts(each)]
    return [*parts, *(part for each in models for part in optimizers_of(each))]
