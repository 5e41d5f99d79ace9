"""CSL: do these keywords, all of them, belong to the abstract of a paper? Accuracy.

Data: CLUE's csl_public folder (train.json, dev.json, test.json), one row a line,

    {"id": 1, "abst": "...", "keyword": ["...", "..."], "label": "0"}

or FewCLUE's (train_few_all.json, dev_few_all.json, ...), in the same form.

The keywords, joined by full-width semicolons, are the first text of a pair, the abstract is the
second.

Published: BERT-base 80.36 (CLUE), 84.03 (CLUE-bert4keras), both on the test set.
Ours: see README.md.

    python examples/clue/csl.py --data csl_public --config chinese_roberta_folder
    python examples/clue/csl.py --smoke

Under --out: best.weights.h5, results.json, curve.png, csl_predict.json (of the test file, or
else of the dev file) and the state that --resume goes on from.
"""

# ruff: noqa: E402 (the arguments are read before TensorFlow, which takes seconds, is imported)
import arguments
from arguments import program


def read_arguments():
    return arguments.read_arguments("csl", __doc__, epochs=5, head=True, folder="fewclue/csl")


if __name__ == "__main__":  # before the imports that take seconds
    args = program.start(read_arguments)

import config
import samples

from bert4keras_ext.data import read_csl

LABELS = ["0", "1"]

# ---- data -----------------------------------------------------------------------------------


def load_data(args):
    """([train, dev, test], ids of test); a row is (keywords, abstract, number of its label)."""
    splits, test = config.load_splits(args, read_csl, LABELS)
    return splits, config.read_ids(args, test)


def join(keywords):
    return "；".join(keywords)


# ---- model, evaluation and fit --------------------------------------------------------------


def main(args):
    config.prepare(args, samples.write_keywords)
    with config.clear_errors():
        splits, ids = load_data(args)
        texts = (text for words, abstract, _ in splits[0] for text in (join(words), abstract))
        encoder, tokenizer = config.base_model(args, texts)

    def encode(row):
        keywords, abstract, _ = row
        return tokenizer.encode(join(keywords), abstract, maxlen=args.maxlen)[0]

    def build():
        return config.classifier(encoder, len(LABELS), args)

    batches = [config.Batches(rows, encode, args) for rows in splits]
    scores = config.train(args, encoder, build, batches)  # scores dev after each epoch
    config.write_submission(args, scores, ids, LABELS)


if __name__ == "__main__":
    program.run(main, args)
