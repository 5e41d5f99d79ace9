"""Flags of all scripts here, and their defaults: what is read before TensorFlow is imported.

Paths, and the flags of the other scripts too, are in ../flags.py.
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # what all examples share lies there

import checks
import flags
import program  # noqa: F401 (all in one place)

SMOKE_ROWS = 64


def generation_parser(task, description, data, *, source_maxlen, target_maxlen, settings=(),
                      beam=3, **defaults):  # fmt: skip
    """A parser with the flags of all scripts that generate texts.

    Args:
        task: names the output folder.
        description: what --help shows first.
        data: the data folder that is taken where none is passed.
        source_maxlen, target_maxlen: tokens of what is read and of what is generated, at most.
        settings: names of the script's own flags without which a run cannot be resumed.
        beam: width of the beam search with which the predictions are made.
        **defaults: epochs, learning_rate, batch_size.
    """
    parser = flags.training_parser(
        task, description, data, maxlen=source_maxlen + target_maxlen, minlen=8,
        settings=["target_maxlen", *settings], **defaults,
    )  # fmt: skip
    add = parser.add_argument
    add(
        "--target-maxlen", type=checks.whole_number(3), default=target_maxlen,
        help="tokens of --maxlen that the target may have (%(default)s)",
    )  # fmt: skip
    add(
        "--beam", type=checks.whole_number(1), default=beam,
        help="width of the beam search for the predictions; 1 is greedy, as the scores after "
        "each epoch are (%(default)s)",
    )  # fmt: skip
    return parser


def read(parser):
    """The arguments, checked; --out is there."""
    args = flags.read(parser, SMOKE_ROWS)
    if args.target_maxlen > args.maxlen - 3:
        parser.error(
            f"--target-maxlen: expected at most {args.maxlen - 3}, which leaves 3 of --maxlen "
            f"{args.maxlen} for the source, received {args.target_maxlen}"
        )
    args.source_maxlen = args.maxlen - args.target_maxlen
    return args
