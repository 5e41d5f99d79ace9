"""k-fold averaging: k models, each trained without a k-th of the rows; their predictions averaged.

Each model stops at the epoch that is best on the rows it was not trained on, so dev chooses
nothing. Its files are in a folder of its own, fold-1, fold-2, ..., from which it is resumed.
"""

import copy
import json
import shlex
import sys

import checks
import finetuning
import keras
import numpy as np
import program
import reports


def names(args):
    """The folders that there are."""
    return sorted(path.name for path in args.out.glob("fold-*"))


def folders(args):
    return [args.out / f"fold-{number + 1}" for number in range(args.folds)]


def split(rows, folds, number, seed):
    """(rows to train on, rows to stop by) of a fold; those to stop by are drawn once for all."""
    if folds > len(rows):
        sys.exit(f"--folds {folds}: expected at most as many folds as rows, found {len(rows)} rows")
    order = np.random.default_rng([seed, folds]).permutation(len(rows))
    held_out = set(order[number::folds].tolist())
    kept = [row for place, row in enumerate(rows) if place not in held_out]
    return kept, [rows[place] for place in sorted(held_out)]


def train(args, encoder, fit, batches, others, files):
    """Trains all models, or goes on; the mean of their predictions for each of `others`.

    Args:
        args: of the command line.
        encoder: the builder of the base model, which all begin with as it is now.
        fit: function of arguments (with a folder of their own) and of batches to train on and to
            stop by, that gives a trained model.
        batches, others: `Batches` to train on, and a list of those to predict.
        files: what a former run may have left in --out.
    """
    if args.epochs and not (args.resume and names(args)):
        program.set_aside(args, [*finetuning.FILES, *files])
    variables = encoder.model.variables
    start = [np.array(variable) for variable in variables]
    sums = [0.0 for _ in others]
    for number, folder in enumerate(folders(args)):
        print(f"fold {number + 1} of {args.folds}")
        for variable, value in zip(variables, start):
            variable.assign(value)
        # A head of its own; and the same one, whether the folds before it are resumed or not.
        keras.utils.set_random_seed((args.seed + number) % 2**32)
        part = copy.copy(args)
        part.out = folder
        with checks.clear_errors():
            checks.make_folder(folder)
        rows = split(batches.data, args.folds, number, args.seed)
        model = fit(part, *map(batches.of, rows))
        sums = [total + other.predict(model) for total, other in zip(sums, others)]
    return [total / args.folds for total in sums]


def write_report(args, scores, majority):
    """results.json of them all: `scores` are those of dev by the mean of the predictions."""
    if not args.epochs:
        return
    runs = [json.loads((f / "results.json").read_text(encoding="utf-8")) for f in folders(args)]
    accuracy = float(scores["val_accuracy"])
    results = {
        "score": {"name": "accuracy", "value": accuracy},
        "best_dev_accuracy": accuracy,
        "majority_class": majority,
        "folds": [{name: run[name] for name in ("best_dev_accuracy", "best_epoch", "seconds")}
                  for run in runs],
        "task": args.task,
        "scores": {name: [float(value)] for name, value in scores.items()},
        "seconds": round(sum(run["seconds"] for run in runs), 1),
        "peak_memory_bytes": finetuning.peak_memory(),
        "settings": runs[0]["settings"],
        "planned_epochs": runs[0]["planned_epochs"],
        "command": shlex.join(["python", *sys.argv]),
    }  # fmt: skip
    reports.write_json(args.out / "results.json", results)
    print(f"dev accuracy {accuracy:.4f} of {args.folds} models; majority class {majority:.4f}")
