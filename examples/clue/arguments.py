"""Sizes and flags of all CLUE scripts: what is read before TensorFlow is imported.

Paths, and the flags of the other scripts too, are in ../flags.py.
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # what all examples share lies there

import flags
import program  # noqa: F401 (all in one place)

MAXLEN = 128
MINLEN = 5  # [CLS], one token of a text, [SEP], one of a second text, [SEP]
LEARNING_RATE = 5e-5
POOLING = ("first", "avg", "max")


def read_arguments(task, description, epochs, **defaults):
    """The arguments of a script.

    Args:
        task: names the data folder and the output folder.
        description: what --help shows first.
        epochs, **defaults: defaults of this script.
    """
    parser = flags.training_parser(
        task, description, flags.DATA / task, epochs=epochs, maxlen=MAXLEN, minlen=MINLEN,
        learning_rate=LEARNING_RATE, settings=["pooling"],
    )  # fmt: skip
    parser.add_argument("--pooling", choices=POOLING, default="first", help="(%(default)s: [CLS])")
    parser.set_defaults(**defaults)
    return flags.read(parser)
