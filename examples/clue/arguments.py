"""Sizes and flags of all CLUE scripts: what is read before TensorFlow is imported.

Paths, and the flags of the other scripts too, are in ../flags.py.
"""

import contextlib
import sys
from argparse import ArgumentTypeError
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # what all examples share lies there

import flags
import program  # noqa: F401 (all in one place)
from checks import whole_number

MAXLEN = 128
MINLEN = 5  # [CLS], one token of a text, [SEP], one of a second text, [SEP]
POOLING = ("first", "avg", "max")
LEARNING_RATES = {"adam": 5e-5, "adamw": 5e-5, "adafactor": 5e-4}
EMA = 0.999
# What a resumed run has in common with the run it continues.
RECIPE = ("optimizer", "accumulate", "ema", "layer_decay")
HEAD = ("pooling", "multi_sample_dropout", "folds")


def read_arguments(task, description, epochs, head=False, add_own=None, minlen=MINLEN, **defaults):
    """The arguments of a script.

    Args:
        task: names the data folder and the output folder.
        description: what --help shows first.
        epochs, **defaults: defaults of this script.
        head: whether the script takes files, head and training from config.py, and so the flags
            that change them.
        add_own: function of the parser that adds the script's own flags; it returns the names of
            those without which a run cannot be resumed.
        minlen: the least --maxlen.
    """
    parser = flags.training_parser(
        task, description, flags.DATA / defaults.pop("folder", task), epochs=epochs, maxlen=MAXLEN,
        minlen=minlen, learning_rate=None, settings=(*RECIPE, *(HEAD if head else ())),
        rate_help=", ".join(f"{name}: {rate:g}" for name, rate in LEARNING_RATES.items()),
    )  # fmt: skip
    add_recipe(parser)
    if head:
        add_files(parser)
        add_head(parser)
    own = add_own(parser) if add_own else ()
    parser.set_defaults(settings=(*parser.get_default("settings"), *own), **defaults)
    args = flags.read(parser)
    if args.learning_rate is None:
        args.learning_rate = LEARNING_RATES[args.optimizer]
    return args


def add_files(parser):
    """Files that are named otherwise than CLUE's."""
    add = parser.add_argument_group("files").add_argument
    for name in ("train", "dev", "test"):
        add(f"--{name}", type=Path, nargs="+", metavar="FILE",
            help=f"in --data or elsewhere (found by their names, such as {name}.json)")  # fmt: skip


def add_recipe(parser):
    """How the weights are updated; see ../finetuning.py."""
    add = parser.add_argument_group("recipe").add_argument
    add("--optimizer", choices=LEARNING_RATES, default="adam",
        help="(%(default)s); adafactor: as CLUE-bert4keras, without warm-up")  # fmt: skip
    add("--accumulate", type=whole_number(1), default=1, metavar="N",
        help="batches of an update (%(default)s)")  # fmt: skip
    add("--ema", type=decay, nargs="?", const=EMA, metavar="DECAY",
        help=f"evaluate with averages of the weights (DECAY: {EMA})")  # fmt: skip
    add("--layer-decay", type=share, default=1.0, metavar="RATE",
        help="each layer learns so much slower than the one above it (%(default)s)")  # fmt: skip


def add_head(parser):
    """What stands on the encoder, and how many of them."""
    add = parser.add_argument_group("head").add_argument
    add("--pooling", choices=POOLING, default="first", help="(%(default)s: [CLS])")
    add("--multi-sample-dropout", type=whole_number(0), default=0, metavar="N",
        help="average the scores of N dropouts of the pooled states (%(default)s)")  # fmt: skip
    add("--folds", type=whole_number(1), default=1, metavar="K",
        help="train K models, each without a K-th of the rows, and average what they predict "
        "(%(default)s)")  # fmt: skip


def _between(text, description, is_right):
    with contextlib.suppress(ValueError):
        if is_right(float(text)):
            return float(text)
    raise ArgumentTypeError(f"expected a number {description}, found {text!r}")


def decay(text):
    """A type for argparse: of averages."""
    return _between(text, "of at least 0 and below 1", lambda x: 0 <= x < 1)


def share(text):
    """A type for argparse: above 0, at most 1."""
    return _between(text, "above 0 and at most 1", lambda x: 0 < x <= 1)
