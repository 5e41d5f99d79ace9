"""Paths, sizes and flags of all CLUE scripts: what is read before TensorFlow is imported.

Any BERT will do. A folder in Hugging Face layout (config.json, vocab.txt, weights) is one flag,
`--config folder`; Google's files are three:

    --config bert_config.json --checkpoint bert_model.ckpt --vocab vocab.txt
"""

import os
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # what all examples share lies there

import checks
import program

# ---- paths and sizes ------------------------------------------------------------------------

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("B4K_SHARED") or ROOT.parent / "shared")
BASE_MODEL = SHARED / "weights" / "m3e_small_fp16"
DATA = SHARED / "data"

MAXLEN = 128
MINLEN = 5  # [CLS], one token of a text, [SEP], one of a second text, [SEP]
BATCH_SIZE = 32
LEARNING_RATE = 5e-5
POOLING = ("first", "avg", "max")
SMOKE_ROWS = 128

# ---- command line ---------------------------------------------------------------------------


def read_arguments(task, description, epochs, **defaults):
    """The arguments of a script.

    Args:
        task: names the data folder and the output folder.
        description: what --help shows first.
        epochs, **defaults: defaults of this script.
    """
    parser = program.argument_parser(description, Path("runs") / task, BATCH_SIZE)
    add = parser.add_argument
    add("--data", type=Path, default=DATA / task, help="folder with train, dev and test files")
    add("--config", help="folder in Hugging Face layout, or bert_config.json")
    add("--checkpoint", help="pretrained weights; found by itself in a folder")
    add("--vocab", help="vocab.txt; found by itself beside the config")
    add(
        "--maxlen", type=checks.whole_number(MINLEN), default=MAXLEN,
        help="tokens of a row (%(default)s)",
    )  # fmt: skip
    add(
        "--epochs", type=checks.whole_number(0), default=epochs,
        help="(%(default)s); 0 only predicts, with the best weights in --out; more than before "
        "with --resume lengthen a run",
    )  # fmt: skip
    add("--learning-rate", type=checks.rate, default=LEARNING_RATE, help="(%(default)s)")
    add("--pooling", choices=POOLING, default="first", help="(%(default)s: [CLS])")
    add("--resume", action="store_true", help="go on with the run in --out, if there is one")
    add(
        "--save-steps", type=checks.whole_number(1), default=200,
        help="steps a kill may cost (%(default)s)",
    )  # fmt: skip
    parser.set_defaults(task=task, **defaults)
    args = parser.parse_args()
    if args.resume and args.overwrite:
        parser.error("--resume goes on with what --overwrite drops: pass one of them")
    with checks.clear_errors():
        checks.make_folder(args.out)
    if args.smoke:
        args.limit = min(args.limit or SMOKE_ROWS, SMOKE_ROWS)
    return args
