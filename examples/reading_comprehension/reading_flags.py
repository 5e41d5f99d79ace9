"""Flags of all scripts here, and their defaults: what is read before TensorFlow is imported.

Paths, and the flags of the other scripts too, are in ../flags.py.
"""

import sys
from pathlib import Path
from typing import NamedTuple

sys.path.append(str(Path(__file__).resolve().parents[1]))  # what all examples share lies there

import checks
import flags
import program  # noqa: F401 (all in one place)

CMRC = flags.DATA / "cmrc2018" / "cmrc2018_trial.json"
DRCD = flags.DATA / "drcd" / "DRCD_dev.json"
WEBQA = flags.DATA / "webqa_sogouqa" / "WebQA.json"
SOGOU = flags.DATA / "webqa_sogouqa" / "SogouQA.json"

SMOKE_ROWS = 64


def reading_parser(task, description, data, settings=(), **defaults):
    """A parser with the flags of all scripts that read passages.

    Args:
        task: names the output folder.
        description: what --help shows first.
        data: the files that are taken where none are passed.
        settings: names of the script's own flags without which a run cannot be resumed.
        **defaults: epochs, maxlen, minlen, learning_rate, batch_size.
    """
    parser = flags.training_parser(
        task, description, data, settings=["held_out", *settings], **defaults
    )
    add = parser.add_argument
    add("--dev", type=Path, nargs="+", help="files to score on; else some articles of --data are")
    add(
        "--held-out", type=_share, default=0.2,
        help="share of the articles of each file to score on (%(default)s)",
    )  # fmt: skip
    add(
        "--show", type=checks.whole_number(0), default=0, metavar="N",
        help="print what was read, the votes and the answer of N questions",
    )  # fmt: skip
    return parser


def read(parser, **smoke):
    """The arguments, checked; --out is there. `smoke`: the most that --smoke allows of a flag."""
    args = flags.read(parser, SMOKE_ROWS)
    for name, most in smoke.items() if args.smoke else ():
        setattr(args, name, min(getattr(args, name), most))
    return args


# ---- questions with several passages --------------------------------------------------------


class Lengths(NamedTuple):
    """The most tokens of each part of a row, special tokens included."""

    passage: int
    question: int
    answer: int


def passages_parser(task, description, **defaults):
    """A parser with the flags of the scripts that read a question with several passages."""
    parser = reading_parser(
        task, description, [CMRC, DRCD, WEBQA, SOGOU], maxlen=352, minlen=16,
        settings=["question_maxlen", "answer_maxlen", "piece"], **defaults,
    )  # fmt: skip
    for name, default in (("question", 64), ("answer", 32)):
        parser.add_argument(
            f"--{name}-maxlen", type=checks.whole_number(2), default=default,
            help=f"tokens of --maxlen that the {name} may have (%(default)s)",
        )  # fmt: skip
    parser.add_argument(
        "--piece", type=checks.whole_number(1), default=128,
        help="characters of a passage of SQuAD's form that are read at once (%(default)s)",
    )  # fmt: skip
    return parser


def read_passages(parser):
    """The arguments, checked, with the `Lengths`."""
    args = read(parser, maxlen=64, question_maxlen=16, answer_maxlen=8)
    rest = args.maxlen - args.question_maxlen - args.answer_maxlen
    if rest < 3:
        parser.error(
            f"--maxlen: expected 3 or more for the passage, beside {args.question_maxlen} for the "
            f"question and {args.answer_maxlen} for the answer, received {args.maxlen}"
        )
    args.lengths = Lengths(rest, args.question_maxlen, args.answer_maxlen)
    return args


def _share(text):
    share = checks.rate(text)
    if not 0 < share < 1:
        raise checks.argparse.ArgumentTypeError(
            f"expected a number between 0 and 1, found {text!r}"
        )
    return share
