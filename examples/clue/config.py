"""Paths, base model, optimizer, switches: the one place to change them for all CLUE scripts.

Any BERT will do. A folder in Hugging Face layout (config.json, vocab.txt, weights) is one flag,
`--config folder`; Google's files are three:

    --config bert_config.json --checkpoint bert_model.ckpt --vocab vocab.txt
"""

import argparse
import json
import os
import shlex
import sys
import zlib
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

sys.path.append(str(Path(__file__).resolve().parents[1]))  # what all examples share lies there

import checks  # first: a bad environment variable ends in one line
import keras
import reports
import sample_data
from checks import clear_errors

from bert4keras_ext import layers
from bert4keras_ext.backend import acceleration
from bert4keras_ext.data import write_jsonl
from bert4keras_ext.models import build_transformer_model
from bert4keras_ext.optimizers import Adam
from bert4keras_ext.tokenizers import Tokenizer
from bert4keras_ext.training import WarmupDecay

# ---- paths and sizes ------------------------------------------------------------------------

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("B4K_SHARED") or ROOT.parent / "shared")
BASE_MODEL = SHARED / "weights" / "m3e_small_fp16"
DATA = SHARED / "data"

MAXLEN = 128
MINLEN = 5  # [CLS], one token of a text, [SEP], one of a second text, [SEP]
BATCH_SIZE = 32
LEARNING_RATE = 5e-5
WARMUP = 0.1  # share of all steps

TINY_BERT = {  # of --smoke
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "hidden_act": "gelu",
    "dropout_rate": 0.1,
    "attention_dropout_rate": 0.1,
}
SPECIAL_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


# ---- command line ---------------------------------------------------------------------------


def read_arguments(task, description, epochs, **defaults):
    """The arguments of a script; the switches are set and the seeds are drawn from --seed.

    Args:
        task: names the data folder and the output folder.
        description: what --help shows first.
        epochs, **defaults: defaults of this script.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--data", type=Path, default=DATA / task, help="folder with train, dev and test files")
    add("--out", type=Path, default=Path("runs") / task, help="folder to fill (%(default)s)")
    add("--config", help="folder in Hugging Face layout, or bert_config.json")
    add("--checkpoint", help="pretrained weights; found by itself in a folder")
    add("--vocab", help="vocab.txt; found by itself beside the config")
    add("--maxlen", type=checks.whole_number(MINLEN), default=MAXLEN,
        help="tokens of a row (%(default)s)")  # fmt: skip
    add("--batch-size", type=checks.whole_number(1), default=BATCH_SIZE, help="(%(default)s)")
    add("--epochs", type=checks.whole_number(0), default=epochs,
        help="(%(default)s); 0 only predicts, with the best weights in --out")  # fmt: skip
    add("--learning-rate", type=checks.rate, default=LEARNING_RATE, help="(%(default)s)")
    add("--pooling", choices=POOLING, default="first", help="(%(default)s: [CLS])")
    add("--seed", type=checks.seed_number, default=42, help="(%(default)s)")
    add("--resume", action="store_true", help="go on with the run in --out, if there is one")
    add("--save-steps", type=checks.whole_number(1), default=200,
        help="steps a kill may cost (%(default)s)")  # fmt: skip
    add("--smoke", action="store_true", help="a tiny random model and few rows: seconds")
    acceleration.add_arguments(parser)
    parser.set_defaults(task=task, **defaults)
    args = parser.parse_args()
    with clear_errors():
        checks.make_folder(args.out)
        if args.smoke and args.data == DATA / task:
            args.data = args.out / "data"
            _write_sample_data(task, args.data)
    acceleration.apply_arguments(args)
    keras.utils.set_random_seed(args.seed)
    return args


def _write_sample_data(task, folder):
    """What --smoke runs on where no --data is given."""
    if task == "tnews":
        sample_data.write_data(folder, train=128, dev=64)
    else:
        write_jsonl(folder / "train.json", sample_data.make_pairs(128, seed=0))
        write_jsonl(folder / "dev.json", sample_data.make_pairs(64, seed=1))


def settings(args):
    """What a resumed run must have in common with the run it continues."""
    names = ("maxlen", "batch_size", "epochs", "learning_rate", "pooling", "seed", "smoke")
    names += ("config", "checkpoint", "vocab", "precision", "rows")
    return {name: getattr(args, name) for name in names}


def fingerprint(labels, train, dev):
    """Tells whether the data are the same: other rows, another order or other labels change it."""
    number = zlib.crc32(json.dumps([labels, train, dev]).encode())
    return f"{len(train)} train, {len(dev)} dev, crc32 {number:08x}"


# ---- base model -----------------------------------------------------------------------------


def base_model(args, texts):
    """(builder of the encoder, tokenizer); `texts` give the vocabulary of a smoke run.

    Change this function to change the model of every script.
    """
    if args.smoke and args.config is None:
        tokens = SPECIAL_TOKENS + sorted({char for text in texts for char in text if char.strip()})
        tokenizer = Tokenizer({token: number for number, token in enumerate(tokens)})
        config = {**TINY_BERT, "vocab_size": len(tokens), "max_position": args.maxlen}
        return build_transformer_model(config, return_keras_model=False), tokenizer
    config, vocab = _model_files(args)
    tokenizer = Tokenizer(vocab, do_lower_case=True)
    encoder = build_transformer_model(config, args.checkpoint, return_keras_model=False)
    checks.check_fits(encoder, tokenizer, args.maxlen, config, vocab)
    return encoder, tokenizer


def _model_files(args):
    config = Path(args.config or BASE_MODEL)
    if not config.exists():
        raise FileNotFoundError(
            f"no base model at {config}: pass --config FOLDER (Hugging Face layout) or --config "
            "bert_config.json --checkpoint bert_model.ckpt --vocab vocab.txt"
        )
    checks.check_weights(config, args.checkpoint)
    folder = config if config.is_dir() else config.parent
    return config, Path(args.vocab or folder / "vocab.txt")


POOLING = {
    "first": layers.FirstPooling1D,
    "avg": layers.GlobalAveragePooling1D,
    "max": layers.GlobalMaxPooling1D,
}


def classifier(encoder, num_labels, pooling="first"):
    """Softmax over the pooled states of the encoder."""
    x = POOLING[pooling](name="Pooling")(encoder.model.output)
    x = keras.layers.Dense(
        num_labels,
        activation="softmax",
        kernel_initializer=encoder.initializer,
        dtype="float32",
        name="Label",
    )(x)
    return keras.Model(encoder.model.inputs, x)


def optimizer(args, steps):
    """Adam with warm-up and linear decay over `steps` steps."""
    schedule = WarmupDecay(args.learning_rate, max(steps, 1), int(steps * WARMUP))
    return Adam(schedule)


# ---- files ----------------------------------------------------------------------------------


def find_splits(folder):
    """The paths of train, dev and test (of dev again where there is none), checked to be text."""
    train, dev = find_file(folder, "train"), find_file(folder, "dev")
    test = find_file(folder, "test", needed=False) or dev
    for path in (train, dev, test):
        checks.check_text(path)
    return train, dev, test


def find_file(folder, name, needed=True):
    """The file of a split: name.json as CLUE has it, or name.txt; None if it may be missing."""
    if not folder.is_dir():
        raise FileNotFoundError(f"no data folder {folder}: pass --data FOLDER with train and dev")
    for suffix in (".json", ".txt"):
        if (folder / f"{name}{suffix}").is_file():
            return folder / f"{name}{suffix}"
    if needed:
        raise FileNotFoundError(
            f"no {name}.json or {name}.txt in {folder}: found {sorted(os.listdir(folder))}"
        )
    return None


def write_report(args, history, best):
    """results.json and curve.png; says where all files are."""
    results = {
        "task": args.task,
        "best_dev_accuracy": best.best,
        "best_epoch": best.best_epoch,
        "scores": history,
        "seconds": round(sum(history["seconds"]), 1),
        "settings": settings(args),
        "command": shlex.join(["python", *sys.argv]),
    }
    reports.write_json(args.out / "results.json", results)
    accuracy = {"train": history["accuracy"], "dev": history["val_accuracy"]}
    panels = {"loss": {"train": history["loss"]}, "accuracy": accuracy}
    reports.draw_curves(panels, args.out / "curve.png")
    print(f"best dev accuracy {best.best:.4f} in epoch {best.best_epoch}")


def run(main):
    """Calls main; Ctrl-C ends with a message too."""
    try:
        main()
    except KeyboardInterrupt:
        print("\nStopped; the same command with --resume goes on.", file=sys.stderr)
        sys.exit(130)
