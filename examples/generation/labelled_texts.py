"""Texts with classes, and a judge that tells the class of a text."""

from collections import Counter

import checks
import finetuning
import numpy as np
import sample_data

from bert4keras_ext.data import read_table

TRAIN = ["train.tsv", "train.txt", "sentiment.train.data"]
DEV = ["dev.tsv", "dev.txt", "sentiment.valid.data"]


def load_texts(args):
    """(train, dev): lists of (text, class), classes being 0, 1, ..."""
    paths = [checks.find_file(args.data, names) for names in (TRAIN, DEV)]
    for path in paths:
        checks.check_text(path)
    splits = [read_table(path, columns=("text", "label"), convert=_row) for path in paths]
    args.rows = finetuning.fingerprint(*(split[: args.limit] for split in splits))
    return [split[: args.limit] for split in splits]


def _row(row):
    return row["text"], int(row["label"])


FIELDS = ["109", "115"]  # of --smoke


def write_samples(folder):
    """Headlines of two of the fields of sample_data.py."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, number in (("train", 256), ("dev", 64)):
        rows = sample_data.make_rows(3 * number, seed=number)
        rows = [row for row in rows if row["label"] in FIELDS]
        lines = [f"{row['sentence']}\t{FIELDS.index(row['label'])}\n" for row in rows]
        (folder / f"{name}.tsv").write_text("".join(lines[:number]), encoding="utf-8")


class Judge:
    """Naive Bayes on the characters of a text and the pairs of them: which class is it?"""

    def __init__(self, rows, classes):
        counts = [Counter() for _ in range(classes)]
        for text, number in rows:
            counts[number].update(self.parts(text))
        words = set().union(*counts)
        totals = np.array([[sum(count.values()) + len(words)] for count in counts])
        logs = np.log(np.array([[count[word] + 1 for word in words] for count in counts]) / totals)
        self.logs = dict(zip(words, logs.T))
        sizes = Counter(number for _, number in rows)
        self.prior = np.log([sizes[number] / len(rows) for number in range(classes)])

    @staticmethod
    def parts(text):
        text = text.lower()
        return [*text, *map("".join, zip(text, text[1:]))]

    def __call__(self, text):
        known = [self.logs[part] for part in self.parts(text) if part in self.logs]
        return int(np.argmax(self.prior + sum(known)))

    def accuracy(self, rows):
        return float(np.mean([self(text) == number for text, number in rows]))
