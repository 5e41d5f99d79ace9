"""Base model, optimizer, evaluation, training and files of all CLUE scripts: change them here.

Paths, sizes and flags are in arguments.py.
"""

import json
import os
import shlex
import sys
import zlib
from collections import Counter
from pathlib import Path

import checks
import keras
import numpy as np
import program
import reports
import sample_data
from arguments import BASE_MODEL, DATA, read_arguments  # noqa: F401 (all in one place)
from checks import clear_errors

from bert4keras_ext import layers
from bert4keras_ext.backend import acceleration
from bert4keras_ext.data import write_jsonl
from bert4keras_ext.models import build_transformer_model
from bert4keras_ext.optimizers import Adam
from bert4keras_ext.tokenizers import Tokenizer
from bert4keras_ext.training import KeepBest, StateError, WarmupDecay, resumable_fit

WARMUP = 0.1  # share of all steps
FILES = ["state.npz", "best.weights.h5", "results.json", "curve.png"]

TINY_BERT = {  # of --smoke
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "hidden_act": "gelu",
    "dropout_rate": 0.1,
    "attention_dropout_rate": 0.1,
}
SPECIAL_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


# ---- data -----------------------------------------------------------------------------------


def prepare(args):
    """Sets the switches, draws the seeds, writes what --smoke runs on where no --data is given."""
    acceleration.apply_arguments(args)
    keras.utils.set_random_seed(args.seed)
    if args.smoke and args.data == DATA / args.task:
        args.data = args.out / "data"
        if args.task == "tnews":
            sample_data.write_data(args.data, train=128, dev=64)
        else:
            write_jsonl(args.data / "train.json", sample_data.make_pairs(128, seed=0))
            write_jsonl(args.data / "dev.json", sample_data.make_pairs(64, seed=1))


def find_splits(folder):
    """The paths of train, dev and test (of dev again where there is none), checked to be text."""
    train, dev = find_file(folder, "train"), find_file(folder, "dev")
    test = find_file(folder, "test", needed=False) or dev
    for path in (train, dev, test):
        checks.check_text(path)
    return train, dev, test


def find_file(folder, name, needed=True):
    """The file of a split: name.json as CLUE has it, or name.txt; None if it may be missing."""
    if not folder.is_dir():
        raise FileNotFoundError(f"no data folder {folder}: pass --data FOLDER with train and dev")
    for suffix in (".json", ".txt"):
        if (folder / f"{name}{suffix}").is_file():
            return folder / f"{name}{suffix}"
    if needed:
        raise FileNotFoundError(
            f"no {name}.json or {name}.txt in {folder}: found {sorted(os.listdir(folder))}"
        )
    return None


def settings(args):
    """What a resumed run must have in common with the run it continues."""
    names = ("maxlen", "batch_size", "learning_rate", "pooling", "seed", "smoke")
    names += ("config", "checkpoint", "vocab", "precision", "rows")
    return {name: getattr(args, name) for name in names}


def fingerprint(labels, train, dev):
    """Tells whether the data are the same: other rows, another order or other labels change it."""
    number = zlib.crc32(json.dumps([labels, train, dev]).encode())
    return f"{len(train)} train, {len(dev)} dev, crc32 {number:08x}"


# ---- base model -----------------------------------------------------------------------------


def base_model(args, texts):
    """(builder of the encoder, tokenizer); `texts` give the vocabulary of a smoke run.

    Change this function to change the model of every script.
    """
    if args.smoke and args.config is None:
        tokens = SPECIAL_TOKENS + sorted({char for text in texts for char in text if char.strip()})
        tokenizer = Tokenizer({token: number for number, token in enumerate(tokens)})
        config = {**TINY_BERT, "vocab_size": len(tokens), "max_position": args.maxlen}
        return build_transformer_model(config, return_keras_model=False), tokenizer
    config, vocab = _model_files(args)
    tokenizer = Tokenizer(vocab, do_lower_case=True)
    encoder = build_transformer_model(config, args.checkpoint, return_keras_model=False)
    checks.check_fits(encoder, tokenizer, args.maxlen, config, vocab)
    return encoder, tokenizer


def model_name(args):
    """What the title of a curve calls it."""
    if args.smoke and args.config is None:
        return "a tiny random BERT"
    path = Path(args.config or BASE_MODEL).resolve()
    return path.name if path.is_dir() else path.parent.name


def _model_files(args):
    config = Path(args.config or BASE_MODEL)
    if not config.exists():
        raise FileNotFoundError(
            f"no base model at {config}: pass --config FOLDER (Hugging Face layout) or --config "
            "bert_config.json --checkpoint bert_model.ckpt --vocab vocab.txt"
        )
    checks.check_weights(config, args.checkpoint)
    folder = config if config.is_dir() else config.parent
    return config, Path(args.vocab or folder / "vocab.txt")


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


def optimizer(args, steps):
    """Adam with warm-up and linear decay over `steps` steps."""
    schedule = WarmupDecay(args.learning_rate, max(steps, 1), int(steps * WARMUP))
    return Adam(schedule)


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


class Plan(keras.callbacks.Callback):
    """Remembers how long a run was to be: a longer one has other learning rates from there on."""

    def __init__(self, epochs):
        super().__init__()
        self.epochs = [epochs]

    def get_state(self):
        return self.epochs

    def set_state(self, former):
        if former[-1] == self.epochs[-1]:
            self.epochs = former
        else:
            print(f"{self.epochs[-1]} epochs in place of {former[-1]}: the learning rate goes on "
                  f"as in a run of {self.epochs[-1]}")  # fmt: skip
            self.epochs = [*former, *self.epochs]


def train(model, args, batches, dev):
    """Trains, or goes on (--resume), and leaves scores, curves and the best weights in --out."""
    best = KeepBest(
        lambda: evaluate(model, dev), args.out / "best.weights.h5", monitor="val_accuracy"
    )
    if not args.epochs:
        return best
    if not (args.resume and (args.out / "state.npz").exists()):
        program.set_aside(args, [*FILES, f"{args.task}_predict.json"])
    model.compile(
        optimizer(args, args.epochs * len(batches)),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=acceleration.jit_compile(),
    )
    plan = Plan(args.epochs)
    with clear_errors((StateError, PermissionError)):
        history = resumable_fit(
            model,
            batches,
            args.epochs,
            folder=args.out,
            callbacks=[best, plan],
            save_steps=args.save_steps,
            resume=args.resume,
            settings=settings(args),
        )
    write_report(args, history, best, plan, majority_class(dev.data))
    return best


# ---- files ----------------------------------------------------------------------------------


def write_report(args, history, best, plan, majority):
    """results.json and curve.png."""
    results = {
        "task": args.task,
        "best_dev_accuracy": best.best,
        "best_epoch": best.best_epoch,
        "majority_class": majority,
        "scores": history,
        "seconds": round(sum(history["seconds"]), 1),
        "settings": settings(args),
        "planned_epochs": plan.epochs,
        "command": shlex.join(["python", *sys.argv]),
    }
    reports.write_json(args.out / "results.json", results)
    reports.draw_classifier(
        history, args.out / "curve.png", majority, f"{args.task.upper()}, {model_name(args)}",
        final=best.best,
    )  # fmt: skip
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
