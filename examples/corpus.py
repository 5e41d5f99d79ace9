"""Texts to pretrain on: a folder with dev.txt and any number of other .txt files, one text a line.

They are read as they are needed, so that they may be larger than memory.
"""

import bisect
from itertools import accumulate

import checks
import flags
import sample_texts

from bert4keras_ext.data import TextFile

FOLDER = flags.DATA / "corpus"


class Corpus:
    """The lines of several files as one sequence; none is held in memory."""

    def __init__(self, paths, limit=None):
        self.files = [TextFile(path, encoding="utf-8", indexable=True) for path in paths]
        self.ends = list(accumulate(map(len, self.files)))
        self.size = min(self.ends[-1], limit or self.ends[-1])

    def __len__(self):
        return self.size

    def __getitem__(self, place):
        if not 0 <= place < self.size:
            raise IndexError(place)
        number = bisect.bisect_right(self.ends, place)
        return self.files[number][place - self.ends[number]].strip()

    def close(self):
        for file in self.files:
            file.close()


def open_corpora(args):
    """(train, dev): sequences of texts."""
    dev = checks.find_file(args.data, ["dev.txt"])
    train = sorted(path for path in args.data.glob("*.txt") if path != dev)
    if not train:
        raise FileNotFoundError(f"no .txt file but dev.txt in {args.data}: put texts there")
    for path in (dev, *train):
        checks.check_text(path)
    return Corpus(train, args.limit), Corpus([dev], args.limit)


def write_samples(folder):
    folder.mkdir(parents=True, exist_ok=True)
    for name, number in (("train", 64), ("dev", 16)):
        lines = ("".join(row["abst"] for row in sample_texts.make_titles(5, seed))
                 for seed in range(number, 2 * number))  # fmt: skip
        (folder / f"{name}.txt").write_text("\n".join(lines), encoding="utf-8")
