"""Pairs of sentences that mean the same or not, and how far their characters tell."""

import checks
import finetuning
import sample_data

from bert4keras_ext.data import read_table
from bert4keras_ext.numerics import optimal_threshold


def load_pairs(args):
    """(train, dev): similar pairs of sentences to train on, and (sentence, sentence, label)."""
    if args.data.is_file():
        rows = read_pairs(args.data)
        rows, dev = [row for i, row in enumerate(rows) if i % 10], rows[::10]
    else:
        rows, dev = (read_pairs(checks.find_file(args.data, [f"{name}.txt"]))
                     for name in ("train", "dev"))  # fmt: skip
    rows, dev = rows[: args.limit], dev[: args.limit]
    args.rows = finetuning.fingerprint(rows, dev)
    return [(first, second) for first, second, label in rows if label], dev


def read_pairs(path):
    checks.check_text(path)
    return read_table(path, columns=("first", "second", "label"), convert=_row)


def _row(row):
    if row["label"] not in ("0", "1"):
        raise ValueError(f"expected a label 0 or 1, found {row['label']!r}")
    return row["first"], row["second"], int(row["label"])


def write_samples(folder):
    folder.mkdir(parents=True, exist_ok=True)
    for name, number in (("train", 128), ("dev", 32)):
        rows = sample_data.make_pairs(number, seed=number)
        lines = "".join("\t".join(row.values()) + "\n" for row in rows)
        (folder / f"{name}.txt").write_text(lines, encoding="utf-8")


def overlap_accuracy(pairs):
    """The baseline: a threshold on the share of characters that two sentences have in common."""
    sets = [(set(first), set(second)) for first, second, _ in pairs]
    shares = [len(a & b) / max(len(a | b), 1) for a, b in sets]
    return optimal_threshold([label for *_, label in pairs], shares)[1]
