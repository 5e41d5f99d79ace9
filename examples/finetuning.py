"""Training of the scripts that fine-tune a model: seeds, optimizer, resumable fit, results.

Their flags are in flags.py, the model they start from in pretrained.py.
"""

import json
import shlex
import sys
import zlib

import keras
import program
from checks import clear_errors

from bert4keras_ext import optimizers
from bert4keras_ext.backend import acceleration
from bert4keras_ext.training import EvaluateWithEMA, StateError, WarmupDecay, resumable_fit

WARMUP = 0.1  # share of all steps
# As CLUE-bert4keras has it: with momentum, and never factored.
ADAFACTOR = {"beta1": 0.9, "min_dim_size_to_factor": 10**6}
NO_DECAY = ["Norm", "bias"]
FILES = ["state.npz", "best.weights.h5", "results.json", "curve.png"]


def prepare(args, write_samples):
    """Sets the switches, draws the seeds, writes what --smoke runs on where no --data is given.

    Args:
        args: of the command line.
        write_samples: function of a folder, which puts the sample files there.
    """
    acceleration.apply_arguments(args)
    keras.utils.set_random_seed(args.seed)
    if args.smoke and args.data == args.default_data:
        args.data = args.out / "data"
        write_samples(args.data)


def fingerprint(train, dev, *more):
    """Tells whether the data are the same: other rows, or another order, change it.

    Args:
        train, dev: lists of rows.
        more: what else counts, such as the names of the labels.
    """
    number = zlib.crc32(json.dumps([*more, train, dev]).encode())
    return f"{len(train)} train, {len(dev)} dev, crc32 {number:08x}"


def optimizer(args, steps):
    """The optimizer of a run of `steps` batches: Adam, or what the flags of a recipe say.

    Adam and AdamW have warm-up and linear decay, AdaFactor one rate. A last group of batches that
    --accumulate leaves incomplete updates nothing.
    """
    recipe = {"optimizer": "adam", "accumulate": 1, "ema": None, "layer_decay": 1, **vars(args)}
    updates = max(steps // recipe["accumulate"], 1)
    rate = WarmupDecay(args.learning_rate, updates, int(updates * WARMUP))
    if recipe["optimizer"] == "adafactor":
        kind, rate, options = optimizers.AdaFactor, args.learning_rate, dict(ADAFACTOR)
    else:
        kind, options = optimizers.Adam, {}
    if recipe["optimizer"] == "adamw":
        kind = optimizers.extend_with_weight_decay(kind)
        options["exclude_from_weight_decay"] = NO_DECAY
    if recipe["layer_decay"] != 1:
        kind = optimizers.extend_with_layer_wise_lr_decay(kind)
        options["layer_lr_decay"] = recipe["layer_decay"]
    if recipe["ema"] is not None:
        kind = optimizers.extend_with_exponential_moving_average(kind)
        options["ema_momentum"] = recipe["ema"]
    if recipe["accumulate"] > 1:
        kind = optimizers.extend_with_gradient_accumulation(kind)
        options["grad_accum_steps"] = recipe["accumulate"]
    return kind(rate, **options)


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


def peak_memory():
    """The most bytes this process has held in memory, or None where that is not told."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def train(model, args, batches, best, report, loss=None, metrics=None, files=()):
    """Trains, or goes on (--resume), and keeps the best weights in --out.

    Args:
        model: a Keras model, not compiled.
        args: of the command line; with --epochs 0 nothing happens.
        batches: a `DataGenerator` with a seed.
        best: a `KeepBest`, which scores the model after each epoch.
        report: function of a dict (scores of all epochs, settings, command) that writes the
            results; called at the end.
        loss, metrics: of `compile`; none for a model with a loss layer.
        files: what the script itself writes into --out, besides FILES.
    """
    if not args.epochs:
        return
    if not (args.resume and (args.out / "state.npz").exists()):
        program.set_aside(args, [*FILES, *files])
    steps = args.epochs * len(batches)
    model.compile(
        optimizer(args, steps), loss, metrics=metrics, jit_compile=acceleration.jit_compile()
    )
    # Techniques that change the step of training (FGM, R-Drop) wrap the compiled model here.
    plan, settings = Plan(args.epochs), {name: getattr(args, name) for name in args.settings}
    averages = getattr(args, "ema", None) is not None
    with clear_errors((StateError, PermissionError)):
        history = resumable_fit(
            model,
            batches,
            args.epochs,
            folder=args.out,
            callbacks=[EvaluateWithEMA(best) if averages else best, plan],
            save_steps=args.save_steps,
            resume=args.resume,
            settings=settings,
        )
    report({
        "task": args.task,
        "best_epoch": best.best_epoch,
        "scores": history,
        "seconds": round(sum(history["seconds"]), 1),
        "peak_memory_bytes": peak_memory(),
        "settings": settings,
        "planned_epochs": plan.epochs,
        "command": shlex.join(["python", *sys.argv]),
    })  # fmt: skip
