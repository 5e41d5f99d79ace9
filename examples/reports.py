"""What the examples leave behind: numbers and curves, each file whole or not there at all."""

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


def draw_curves(panels, path):
    """`plot_curves`; a missing matplotlib costs the picture, not the training behind it."""
    try:
        plot_curves(panels, path)
    except ImportError as error:
        print(f"{path.name} is left out: {error}", file=sys.stderr)
