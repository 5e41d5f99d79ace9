"""IFLYTEK: what an app is for, by its long description, 119 classes; accuracy.

Data: CLUE's iflytek_public folder (train.json, dev.json, test.json, labels.json), one row a line:

    {"label": "70", "label_des": "工具", "sentence": "..."}

or FewCLUE's (train_few_all.json, dev_few_all.json, ...).

Published: BERT-base 60.29 (CLUE), 61.19 (CLUE-bert4keras), both on the test set.
Ours: see README.md.

    python examples/clue/iflytek.py --data iflytek_public --config chinese_roberta_folder
    python examples/clue/iflytek.py --smoke

Under --out: best.weights.h5, results.json, curve.png, iflytek_predict.json (of the test file, or
else of the dev file) and the state that --resume goes on from.
"""

# ruff: noqa: E402 (the arguments are read before TensorFlow, which takes seconds, is imported)
import arguments
from arguments import program


def read_arguments():
    return arguments.read_arguments(
        "iflytek", __doc__, epochs=5, head=True, folder="fewclue/iflytek"
    )


if __name__ == "__main__":  # before the imports that take seconds
    args = program.start(read_arguments)

import config
import samples

from bert4keras_ext.data import distinct_labels, read_jsonl, read_labels, read_sentences

# ---- data -----------------------------------------------------------------------------------


def load_data(args):
    """(labels, [train, dev, test], ids of test); a row is (text, number of its label or None)."""
    names = args.data / "labels.json"
    if names.exists():
        labels = list(read_labels(names))
    else:
        rows = (row for path in config.find_files(args, "train") for row in read_jsonl(path))
        labels = distinct_labels(rows)
    splits, test = config.load_splits(args, lambda path: read_sentences(path, labels), labels)
    return labels, splits, config.read_ids(args, test)


# ---- model, evaluation and fit --------------------------------------------------------------


def main(args):
    config.prepare(args, samples.write_titles)
    with config.clear_errors():
        labels, splits, ids = load_data(args)
        encoder, tokenizer = config.base_model(args, (text for text, _ in splits[0]))

    def encode(row):
        text, _ = row
        return tokenizer.encode(text, maxlen=args.maxlen)[0]

    def build():
        return config.classifier(encoder, len(labels), args)

    batches = [config.Batches(rows, encode, args) for rows in splits]
    scores = config.train(args, encoder, build, batches)  # scores dev after each epoch
    config.write_submission(args, scores, ids, labels)


if __name__ == "__main__":
    program.run(main, args)
