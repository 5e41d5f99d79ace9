"""Data, classifier, training and files of all CLUE scripts: change them here.

Sizes and flags are in arguments.py; base model, optimizer and what else other scripts train with
too in ../pretrained.py and ../finetuning.py; k-fold averaging in folds.py; tasks that choose among
given answers in choices.py.
"""

import os
from collections import Counter
from types import SimpleNamespace

import checks
import finetuning
import folds
import keras
import numpy as np
import pretrained
import reports
from arguments import read_arguments  # noqa: F401 (all in one place)
from checks import clear_errors
from finetuning import FILES, fingerprint, prepare  # noqa: F401
from pretrained import base_model, is_tiny  # noqa: F401

from bert4keras_ext import layers
from bert4keras_ext.data import BucketedGenerator, read_jsonl, write_jsonl
from bert4keras_ext.training import KeepBest

# ---- data -----------------------------------------------------------------------------------

# Of several the first: full sets, then parts of them, FewCLUE's, and a fifth of FewCLUE's.
NAMES = {
    "train": ["train.json", "train.txt", "train.50k.json", "train.10k.json", "train.3k.json",
              "train_few_all.json", "train_0.json"],
    "dev": ["dev.json", "dev.txt", "dev_few_all.json", "dev_0.json"],
    "test": ["test1.1.json", "test.json", "test1.0.json", "test.txt", "test_public.json"],
}  # fmt: skip


def find_splits(folder):
    """The paths of train, dev and test (of dev again where there is none), checked to be text."""
    return [paths[0] for paths in split_paths(SimpleNamespace(data=folder))]


def split_paths(args, names=NAMES):
    """The files of train, dev and test (of dev again where there is none), checked to be text."""
    train, dev = find_files(args, "train", names), find_files(args, "dev", names)
    test = find_files(args, "test", names, needed=False) or dev
    for path in (*train, *dev, *test):
        checks.check_text(path)
    return train, dev, test


def find_files(args, split, names=NAMES, needed=True):
    """The files of a split: those of --train, --dev or --test, or the first with a known name."""
    given = getattr(args, split, None)
    if given:  # in the folder of the data, or from where the script was started
        return [path if path.is_file() else args.data / path for path in given]
    if isinstance(names[split], tuple):  # all of them together
        return [checks.find_file(args.data, [name]) for name in names[split]]
    found = checks.find_file(args.data, names[split], needed)
    return [found] if found else []


def load_splits(args, read, labels=(), no_label="refuse", check=checks.check_labels, names=NAMES):
    """[rows of train, of dev, of test], and the paths of test; sets args.rows.

    Args:
        read: function of a path that gives rows, whose last entry is the label or None.
        labels: their names; they count where --resume compares the data.
        no_label: "refuse" rows without label in train and dev, or "drop" them there.
        check: function of path and rows that refuses them.
        names: of the files.
    """
    paths = split_paths(args, names)
    *known, test = [[(path, read(path)[: args.limit]) for path in part] for part in paths]
    for path, rows in (pair for part in known for pair in part):
        if no_label == "drop":
            drop_unlabelled(path, rows)
        check(path, rows)
    splits = [[row for _, rows in part for row in rows] for part in (*known, test)]
    args.rows = fingerprint(*splits[:2], list(labels))
    return splits, paths[2]


def drop_unlabelled(path, rows):
    """Leaves out the pairs that nobody agreed on, of a list of rows that another list may share."""
    number = len(rows)
    rows[:] = [row for row in rows if row[-1] is not None]
    if not rows:
        raise ValueError(f"{path}: expected rows with labels, found none in {number} rows")
    if len(rows) < number:
        print(f"{path}: {number - len(rows)} of {number} rows have no label and are left out")


def read_ids(args, paths):
    """What the submission calls the rows of test: their "id", or else their place."""
    rows = []
    for path in paths:
        with open(path, encoding="utf-8-sig") as file:
            is_json = file.read(64).lstrip().startswith("{")
            file.seek(0)
            lines = [line for line in file if line.strip()]
        rows += (read_jsonl(path) if is_json else [{} for _ in lines])[: args.limit]
    return [row.get("id", place) for place, row in enumerate(rows)]


def centred(items, place, room):
    """At most `room` items of a text, or of a list of tokens, around this place."""
    start = max(min(place - room // 2, len(items) - room), 0)
    return items[start : start + room]


class Batches(BucketedGenerator):
    """Batches of rows of similar length, padded to a multiple of 32.

    Args:
        data: rows, whose last entry is the number of the label, or None.
        encode: function of a row that gives its token ids.
        args: of the command line.
    """

    def __init__(self, data, encode, args, **kwargs):
        super().__init__(data, args.batch_size, seed=args.seed, **kwargs)
        self.encode = encode
        self.args = args

    def __iter__(self, random=False):
        token_ids, labels = [], []
        for is_end, row in self.sample(random):
            token_ids.append(self.encode(row))
            labels.append(-1 if row[-1] is None else row[-1])
            if len(token_ids) == self.batch_size or is_end:
                token_ids = self.pad(token_ids, self.args.maxlen)
                # Segment ids are 0 for both texts of a pair, as in CLUE-bert4keras: [SEP] parts
                # them, and models pretrained on single texts never saw another segment.
                yield [token_ids, np.zeros_like(token_ids)], np.array(labels)
                token_ids, labels = [], []

    def of(self, rows):
        """The same of other rows."""
        return type(self)(rows, self.encode, self.args)

    def predict(self, model):
        """The probabilities of the labels: (rows, labels)."""
        return model.predict(self.fortest(), steps=len(self), verbose=0)


# ---- model ----------------------------------------------------------------------------------

POOLING = {
    "first": layers.FirstPooling1D,
    "avg": layers.GlobalAveragePooling1D,
    "max": layers.GlobalMaxPooling1D,
}
DROPOUT = 0.5  # of --multi-sample-dropout


def score(encoder, units, args):
    """Scores, `units` of them, of the pooled states of the encoder.

    With --multi-sample-dropout the mean over several dropouts: less noise in the gradient of one
    step (arXiv 1905.09788, which takes the mean of the losses). In prediction all are the same.
    """
    x = POOLING[args.pooling](name="Pooling")(encoder.model.output)
    dense = keras.layers.Dense(
        units, kernel_initializer=encoder.initializer, dtype="float32", name="Label"
    )
    samples = args.multi_sample_dropout
    scores = [
        dense(keras.layers.Dropout(DROPOUT, name=f"Label-Dropout-{n}")(x)) for n in range(samples)
    ] or [dense(x)]
    mean = keras.layers.Average(dtype="float32", name="Label-Mean")
    return mean(scores) if samples > 1 else scores[0]


def classifier(encoder, num_labels, args):
    """Softmax over the scores of the labels."""
    x = score(encoder, num_labels, args)
    x = keras.layers.Activation("softmax", dtype="float32", name="Probability")(x)
    return keras.Model(encoder.model.inputs, x)


# ---- evaluation -----------------------------------------------------------------------------


def measure(scores, rows):
    """Loss and accuracy of probabilities, of rows whose last entry is the number of the label."""
    labels = [row[-1] for row in rows]
    losses = -np.log(np.maximum(scores[np.arange(len(labels)), labels], 1e-7))
    return {"val_loss": losses.mean(), "val_accuracy": np.mean(scores.argmax(axis=-1) == labels)}


def majority_class(rows):
    """The accuracy of the label that most rows have."""
    counts = Counter(row[-1] for row in rows)
    return max(counts.values()) / len(rows)


# ---- fit ------------------------------------------------------------------------------------


def train(args, encoder, build, batches, measure=measure, **compiling):
    """Trains, or goes on (--resume), and leaves scores, curves and the best weights in --out.

    Args:
        args: of the command line.
        encoder: the builder of the base model.
        build: function of no arguments that gives a model on it, with a new head.
        batches: `Batches` of train, dev (scored after each epoch) and test.
        measure: function of probabilities and rows that gives scores, "val_accuracy" among them.
        **compiling: loss and metrics of `compile`; by default those of a classifier.

    Returns:
        Probabilities of the rows of test, by the best weights; with --folds means over the models.
    """
    compiling = compiling or {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]}
    train, dev, test = batches

    def fit(args, train, dev):
        model = build()
        best = KeepBest(
            lambda: measure(dev.predict(model), dev.data), args.out / "best.weights.h5",
            monitor="val_accuracy",
        )  # fmt: skip
        finetuning.train(
            model, args, train, best, lambda run: write_report(args, run, best, dev.data),
            files=own_files(args), **compiling,
        )  # fmt: skip
        with clear_errors():
            best.load(model)
        return model

    if args.folds == 1:
        return test.predict(fit(args, train, dev))
    scores = folds.train(args, encoder, fit, train, [dev, test], own_files(args))
    folds.write_report(args, measure(scores[0], dev.data), majority_class(dev.data))
    return scores[1]


# ---- files ----------------------------------------------------------------------------------


def own_files(args):
    """What these scripts leave besides finetuning.FILES."""
    return [f"{args.task}_predict.json", *folds.names(args)]


def write_report(args, run, best, rows):
    """results.json and curve.png."""
    majority = majority_class(rows)
    results = {
        "score": {"name": "accuracy", "value": best.best},
        "best_dev_accuracy": best.best,
        "majority_class": majority,
        **run,
    }
    reports.write_json(args.out / "results.json", results)
    title = f"{args.task.upper()}, {pretrained.model_name(args)}"
    reports.draw_classifier(run["scores"], args.out / "curve.png", majority, title, final=best.best)
    print(f"best dev accuracy {best.best:.4f} in epoch {best.best_epoch}; "
          f"majority class {majority:.4f}")  # fmt: skip


def write_submission(args, scores, ids, labels):
    """TASK_predict.json in CLUE's form for classifiers: {"id": ..., "label": ...}, row by row."""
    answers = (labels[number] for number in scores.argmax(axis=-1))
    submission = args.out / f"{args.task}_predict.json"
    write_jsonl(submission, ({"id": i, "label": label} for i, label in zip(ids, answers)))
    print(f"predictions, weights and curves are in {os.fspath(args.out)}")
