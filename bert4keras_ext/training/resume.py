"""`resumable_fit`: a training that may be killed at any time."""

import contextlib
import io
import json
import os
import signal
import threading
import time
from pathlib import Path

import keras
import numpy as np


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

    The state (weights, optimizer, dropout seeds, running metrics, history, callbacks) goes into one
    file every `save_steps` steps and after each epoch, replaced in one move. On SIGINT (Ctrl-C)
    and SIGTERM the present step is finished and saved before the signal takes effect, so nothing
    is lost; a second one ends at once. After SIGKILL or a power cut at most `save_steps` steps are
    done again. Since the order of the rows depends on seed and epoch alone, an interrupted run
    ends with the same numbers as one that was not.

    Args:
        model: a compiled model.
        train: a `DataGenerator` with a seed and a length. What it draws besides the order of the
            rows should depend on its seed and `epoch` alone too.
        epochs: epochs in total, those before the interruption included.
        folder: where `state.npz` lies.
        callbacks: Keras callbacks. Those with `get_state()` and `set_state(state)` (plain values,
            as JSON has them) are stored and restored.
        save_steps: steps between two saves; 1 never repeats a step.
        resume: continue what is in the folder, if anything is; False starts anew.
        settings: plain values that must be the same in the resumed run (batch size, learning
            rate, ...).
        verbose: of `fit`.

    Returns:
        {name: [value after each epoch]}, over all runs; "seconds" among them.

    Raises:
        ValueError: the generator has no seed or no length; the stored state is damaged or belongs
            to another model or other settings.

    Example::

        model.compile("adam", "sparse_categorical_crossentropy")
        history = resumable_fit(model, Batches(rows, seed=1), epochs=5, folder="runs/tnews")
    """
    if train.seed is None or not len(train):
        raise ValueError("expected a generator with a seed and at least one row: DataGenerator(")
    keeper = _Keeper(Path(folder) / "state.npz", len(train), callbacks, save_steps, settings or {})
    if resume:
        keeper.load()
    else:
        keeper.path.unlink(missing_ok=True)
    with _noted_signals(keeper) as stop:
        while keeper.epoch < epochs and not keeper.is_stopped():
            # What an interruption left of an epoch is a short epoch of its own for Keras.
            model.fit(
                train.to_dataset(initial_epoch=keeper.epoch).skip(keeper.step),
                steps_per_epoch=len(train) - keeper.step,
                initial_epoch=keeper.epoch,
                epochs=keeper.epoch + 1 if keeper.step else epochs,
                callbacks=[*callbacks, keeper],
                verbose=verbose,
            )
    del stop
    return keeper.history
