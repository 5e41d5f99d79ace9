"""Classifier, evaluation, training and files of all CLUE scripts: change them here.

Sizes and flags are in arguments.py; base model, optimizer and what else other scripts train with
too in ../pretrained.py and ../finetuning.py.
"""

from collections import Counter

import checks
import finetuning
import keras
import numpy as np
import pretrained
import reports
import sample_data
from arguments import read_arguments  # noqa: F401 (all in one place)
from checks import clear_errors
from finetuning import FILES, fingerprint  # noqa: F401
from pretrained import base_model  # noqa: F401

from bert4keras_ext import layers
from bert4keras_ext.data import write_jsonl
from bert4keras_ext.training import KeepBest

# ---- data -----------------------------------------------------------------------------------


def prepare(args):
    """Sets the switches, draws the seeds, writes what --smoke runs on where no --data is given."""

    def write_samples(folder):
        if args.task == "tnews":
            sample_data.write_data(folder, train=128, dev=64)
        else:
            write_jsonl(folder / "train.json", sample_data.make_pairs(128, seed=0))
            write_jsonl(folder / "dev.json", sample_data.make_pairs(64, seed=1))

    finetuning.prepare(args, write_samples)


def find_splits(folder):
    """The paths of train, dev and test (of dev again where there is none), checked to be text."""
    train, dev = find_file(folder, "train"), find_file(folder, "dev")
    test = find_file(folder, "test", needed=False) or dev
    for path in (train, dev, test):
        checks.check_text(path)
    return train, dev, test


def find_file(folder, name, needed=True):
    """The file of a split: name.json as CLUE has it, or name.txt; None if it may be missing."""
    return checks.find_file(folder, [f"{name}.json", f"{name}.txt"], needed)


# ---- model ----------------------------------------------------------------------------------

POOLING = {
    "first": layers.FirstPooling1D,
    "avg": layers.GlobalAveragePooling1D,
    "max": layers.GlobalMaxPooling1D,
}


def classifier(encoder, num_labels, pooling="first"):
    """Softmax over the pooled states of the encoder."""
    x = POOLING[pooling](name="Pooling")(encoder.model.output)
    x = keras.layers.Dense(
        num_labels,
        activation="softmax",
        kernel_initializer=encoder.initializer,
        dtype="float32",
        name="Label",
    )(x)
    return keras.Model(encoder.model.inputs, x)


# ---- evaluation -----------------------------------------------------------------------------


def predict(model, batches):
    """The scores of the labels for each row."""
    return model.predict(batches.fortest(), steps=len(batches), verbose=0)


def evaluate(model, batches):
    """Loss and accuracy on rows whose last entry is the number of the label."""
    labels = [row[-1] for row in batches.data]
    scores = predict(model, batches)
    losses = -np.log(np.maximum(scores[np.arange(len(labels)), labels], 1e-7))
    return {"val_loss": losses.mean(), "val_accuracy": np.mean(scores.argmax(axis=-1) == labels)}


def majority_class(rows):
    """The accuracy of the label that most rows have."""
    counts = Counter(row[-1] for row in rows)
    return max(counts.values()) / len(rows)


# ---- fit ------------------------------------------------------------------------------------


def train(model, args, batches, dev):
    """Trains, or goes on (--resume), and leaves scores, curves and the best weights in --out."""
    best = KeepBest(
        lambda: evaluate(model, dev), args.out / "best.weights.h5", monitor="val_accuracy"
    )
    finetuning.train(
        model, args, batches, best, lambda run: write_report(args, run, best, dev.data),
        loss="sparse_categorical_crossentropy", metrics=["accuracy"],
        files=[f"{args.task}_predict.json"],
    )  # fmt: skip
    return best


# ---- files ----------------------------------------------------------------------------------


def write_report(args, run, best, rows):
    """results.json and curve.png."""
    majority = majority_class(rows)
    results = {"best_dev_accuracy": best.best, "majority_class": majority, **run}
    reports.write_json(args.out / "results.json", results)
    title = f"{args.task.upper()}, {pretrained.model_name(args)}"
    reports.draw_classifier(run["scores"], args.out / "curve.png", majority, title, final=best.best)
    print(f"best dev accuracy {best.best:.4f} in epoch {best.best_epoch}; "
          f"majority class {majority:.4f}")  # fmt: skip


def write_submission(model, args, best, test, ids, labels):
    """TASK_predict.json, in CLUE's form, with the best weights."""
    with clear_errors():
        best.load(model)
    answers = (labels[number] for number in predict(model, test).argmax(axis=-1))
    submission = args.out / f"{args.task}_predict.json"
    write_jsonl(submission, ({"id": i, "label": label} for i, label in zip(ids, answers)))
    print(f"predictions, weights and curves are in {args.out}")
