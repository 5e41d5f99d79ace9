"""AFQMC: do two questions to a bank's customer service mean the same? Accuracy.

Data: CLUE's afqmc_public folder (train.json, dev.json, test.json), one row a line,

    {"sentence1": "...", "sentence2": "...", "label": "0"}

or tables train.txt and dev.txt: text, text, label, parted by tabs.

Published: BERT-base 73.70 (CLUE), 73.37 (CLUE-bert4keras), both on the test set.
Ours: see README.md.

    python examples/clue/afqmc.py --data afqmc_public --config chinese_roberta_folder
    python examples/clue/afqmc.py --smoke

Under --out: best.weights.h5, results.json, curve.png, afqmc_predict.json (of the test file, or
else of the dev file) and the state that --resume goes on from.
"""

# ruff: noqa: E402 (the arguments are read before TensorFlow, which takes seconds, is imported)
import arguments
from arguments import program


def read_arguments():
    return arguments.read_arguments("afqmc", __doc__, epochs=5, head=True)


if __name__ == "__main__":  # before the imports that take seconds
    args = program.start(read_arguments)

import config
import pairs
import samples

from bert4keras_ext.data import read_afqmc

LABELS = ["0", "1"]

# ---- data -----------------------------------------------------------------------------------


def load_data(args):
    """([train, dev, test], ids of test); a row is (text, text, number of its label or None)."""
    splits, test = config.load_splits(args, read_afqmc, LABELS)
    return splits, config.read_ids(args, test)


# ---- model, evaluation and fit --------------------------------------------------------------


def main(args):
    pairs.classify(args, samples.write_questions, load_data, LABELS)


if __name__ == "__main__":
    program.run(main, args)
