"""TNEWS: the topic of a short news title, 15 classes; accuracy.

Data: CLUE's tnews_public folder (train.json, dev.json, test.json, labels.json), one row a line:

    {"label": "102", "label_desc": "news_entertainment", "sentence": "..."}

Published: BERT-base 57.42 (CLUE), 56.29 (CLUE-bert4keras), both on the test set.
Ours: see README.md.

    python examples/clue/tnews.py --data tnews_public --config chinese_roberta_folder
    python examples/clue/tnews.py --smoke

Under --out: best.weights.h5, results.json, curve.png, tnews_predict.json (of test.json, or else of
dev.json) and the state that --resume goes on from.
"""

from arguments import program, read_arguments

if __name__ == "__main__":  # before the imports that take seconds
    arguments = program.start(lambda: read_arguments("tnews", __doc__, epochs=5))

import config
import numpy as np

from bert4keras_ext.data import (
    BucketedGenerator,
    distinct_labels,
    read_jsonl,
    read_labels,
    read_tnews,
)

# ---- data -----------------------------------------------------------------------------------


def load_data(args):
    """(labels, train, dev, test, ids of test); a row is (text, number of its label or None)."""
    train, dev, test = config.find_splits(args.data)
    names = args.data / "labels.json"
    labels = list(read_labels(names)) if names.exists() else distinct_labels(read_jsonl(train))
    splits = [read_tnews(path, labels) for path in (train, dev, test)]
    ids = [row.get("id", number) for number, row in enumerate(read_jsonl(test))]
    splits = [rows[: args.limit] for rows in splits]
    for path, rows in zip((train, dev), splits):
        config.checks.check_labels(path, rows)
    args.rows = config.fingerprint(*splits[:2], labels)
    return labels, *splits, ids


class Titles(BucketedGenerator):
    """Batches of titles of similar length, padded to a multiple of 32."""

    def __init__(self, data, tokenizer, args):
        super().__init__(data, args.batch_size, seed=args.seed)
        self.tokenizer = tokenizer
        self.maxlen = args.maxlen

    def __iter__(self, random=False):
        token_ids, labels = [], []
        for is_end, (text, label) in self.sample(random):
            token_ids.append(self.tokenizer.encode(text, maxlen=self.maxlen)[0])
            labels.append(-1 if label is None else label)
            if len(token_ids) == self.batch_size or is_end:
                token_ids = self.pad(token_ids, self.maxlen)
                yield [token_ids, np.zeros_like(token_ids)], np.array(labels)
                token_ids, labels = [], []


# ---- model, evaluation and fit --------------------------------------------------------------


def main(args):
    config.prepare(args)
    with config.clear_errors():
        labels, *splits, ids = load_data(args)
        encoder, tokenizer = config.base_model(args, (text for text, _ in splits[0]))
    train, dev, test = (Titles(rows, tokenizer, args) for rows in splits)

    model = config.classifier(encoder, len(labels), args.pooling)
    best = config.train(model, args, train, dev)  # scores dev after each epoch: config.evaluate
    config.write_submission(model, args, best, test, ids, labels)


if __name__ == "__main__":
    program.run(main, arguments)
