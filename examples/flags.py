"""Paths and flags of the scripts that train a model on a task: read before TensorFlow is imported.

Any BERT will do. A folder in Hugging Face layout (config.json, vocab.txt, weights) is one flag,
`--config folder`; Google's files are three:

    --config bert_config.json --checkpoint bert_model.ckpt --vocab vocab.txt
"""

import os
from pathlib import Path

import checks
import program

# ---- paths and sizes ------------------------------------------------------------------------

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("B4K_SHARED") or ROOT.parent / "shared")
BASE_MODEL = SHARED / "weights" / "m3e_small_fp16"
DATA = SHARED / "data"

BATCH_SIZE = 32
SMOKE_ROWS = 128
# What a resumed run must have in common with the run it continues, besides a script's own flags.
SETTINGS = ("maxlen", "batch_size", "learning_rate", "seed", "smoke", "config", "checkpoint",
            "vocab", "precision", "rows")  # fmt: skip


# ---- command line ---------------------------------------------------------------------------


def training_parser(task, description, data, *, epochs, maxlen, minlen, learning_rate,
                    batch_size=BATCH_SIZE, settings=(), rate_help="(%(default)s)"):  # fmt: skip
    """A parser with the flags of all scripts that train a model on a task.

    Args:
        task: names the output folder.
        description: what --help shows first.
        data: the data folder (or a list of files) that is taken where none is passed.
        epochs, maxlen, minlen, learning_rate, batch_size: defaults; of maxlen also the least.
        settings: names of the script's own flags without which a run cannot be resumed.
        rate_help: help of --learning-rate.
    """
    parser = program.argument_parser(description, Path("runs") / task, batch_size)
    add = parser.add_argument
    if isinstance(data, list):
        add("--data", type=Path, nargs="+", default=data, help="data files")
    else:
        add("--data", type=Path, default=data, help="folder with the data files (%(default)s)")
    add("--config", help="folder in Hugging Face layout, or bert_config.json")
    add("--checkpoint", help="pretrained weights; found by itself in a folder")
    add("--vocab", help="vocab.txt; found by itself beside the config")
    add(
        "--maxlen", type=checks.whole_number(minlen), default=maxlen,
        help="tokens of a row (%(default)s)",
    )  # fmt: skip
    add(
        "--epochs", type=checks.whole_number(0), default=epochs,
        help="(%(default)s); 0 only predicts, with the best weights in --out; more than before "
        "with --resume lengthen a run",
    )  # fmt: skip
    add("--learning-rate", type=checks.rate, default=learning_rate, help=rate_help)
    add("--resume", action="store_true", help="go on with the run in --out, if there is one")
    add(
        "--save-steps", type=checks.whole_number(1), default=200,
        help="steps a kill may cost (%(default)s)",
    )  # fmt: skip
    parser.set_defaults(task=task, default_data=data, settings=(*SETTINGS, *settings))
    return parser


def read(parser, smoke_rows=SMOKE_ROWS):
    """The arguments, checked; --out is there."""
    args = parser.parse_args()
    if args.resume and args.overwrite:
        parser.error("--resume goes on with what --overwrite drops: pass one of them")
    with checks.clear_errors():
        checks.make_folder(args.out)
    if args.smoke:
        args.limit = min(args.limit or smoke_rows, smoke_rows)
    return args
