"""What the examples leave behind: numbers, curves, models; each file whole or not there at all."""

import json
import os
import sys

from bert4keras_ext.training import plot_curves


def write_json(path, values, indent=2):
    """Replaces the file in one move: a run that is killed leaves the older one as it was."""
    draft = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        draft.write_text(json.dumps(values, indent=indent, ensure_ascii=False), encoding="utf-8")
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def save_model(model, path):
    """Saves a whole model as .keras, in one move too."""
    draft = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        model.save(draft)
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def draw_curves(panels, path, **options):
    """`plot_curves`; a missing matplotlib costs the picture, not the training behind it."""
    try:
        plot_curves(panels, path, **options)
    except ImportError as error:
        print(f"{path.name} is left out: {error}", file=sys.stderr)


def draw_classifier(scores, path, majority, title, final, panels=None):
    """Loss and accuracy on both sets, the best epoch, and what the majority class gives."""
    accuracies = scores["val_accuracy"]
    best = accuracies.index(max(accuracies)) + 1  # the first of equals
    draw_curves(
        {
            **(panels or {}),
            "loss": {"train": scores["loss"], "dev": scores["val_loss"]},
            "accuracy": {"train": scores["accuracy"], "dev": accuracies},
        },
        path,
        title=f"{title}: dev accuracy {100 * final:.2f} %",
        best={"loss": best, "accuracy": best},
        levels={"accuracy": {"majority class": majority}},
    )
