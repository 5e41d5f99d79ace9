"""OCNLI: natural language inference, written in Chinese.

Does the second sentence follow from the first one, contradict it, or neither? Accuracy.

Data: CLUE's ocnli_public folder (train.50k.json, dev.json, test.json), one row a line,

    {"sentence1": "...", "sentence2": "...", "label": "entailment"}

or tables train.txt and dev.txt: text, text, label, parted by tabs. Pairs whose label is "-" (the
annotators did not agree) are neither trained nor scored on.

Published: BERT-base 72.20 (CLUE), 71.73 (CLUE-bert4keras), both on the test set.
Ours: see README.md.

    python examples/clue/ocnli.py --data ocnli_public --config chinese_roberta_folder
    python examples/clue/ocnli.py --smoke

Under --out: best.weights.h5, results.json, curve.png, ocnli_predict.json (of the test file, or
else of the dev file) and the state that --resume goes on from.
"""

# ruff: noqa: E402 (the arguments are read before TensorFlow, which takes seconds, is imported)
import arguments
from arguments import program


def read_arguments():
    return arguments.read_arguments("ocnli", __doc__, epochs=5, head=True)


if __name__ == "__main__":  # before the imports that take seconds
    args = program.start(read_arguments)

import config
import pairs
import samples

from bert4keras_ext.data import read_pairs

LABELS = ["contradiction", "entailment", "neutral"]

# ---- data -----------------------------------------------------------------------------------


def load_data(args):
    """([train, dev, test], ids of test); a row is (text, text, number of its label or None)."""
    splits, test = config.load_splits(
        args, lambda path: read_pairs(path, LABELS), LABELS, no_label="drop"
    )
    return splits, config.read_ids(args, test)


# ---- model, evaluation and fit --------------------------------------------------------------


def main(args):
    pairs.classify(args, samples.write_inferences, load_data, LABELS)


if __name__ == "__main__":
    program.run(main, args)
