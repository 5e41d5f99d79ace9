"""AFQMC: do two questions to a bank's customer service mean the same? Accuracy.

Data: CLUE's afqmc_public folder (train.json, dev.json, test.json), one row a line,

    {"sentence1": "...", "sentence2": "...", "label": "0"}

or tables train.txt and dev.txt: text, text, label, parted by tabs.

Published: BERT-base 73.70 (CLUE), 73.37 (CLUE-bert4keras), both on the test set.
Ours: see README.md.

    python examples/clue/afqmc.py --data afqmc_public --config chinese_roberta_folder
    python examples/clue/afqmc.py --smoke

Under --out: best.weights.h5, results.json, curve.png, afqmc_predict.json (of the test file, or else
of the dev file) and the state that --resume goes on from.
"""

from arguments import program, read_arguments

if __name__ == "__main__":  # before the imports that take seconds
    arguments = program.start(lambda: read_arguments("afqmc", __doc__, epochs=5))

import config
import numpy as np

from bert4keras_ext.data import BucketedGenerator, read_afqmc, read_jsonl

LABELS = ["0", "1"]

# ---- data -----------------------------------------------------------------------------------


def load_data(args):
    """(train, dev, test, ids of test); a row is (text, text, number of its label or None)."""
    train, dev, test = config.find_splits(args.data)
    splits = [read_afqmc(path) for path in (train, dev, test)]
    splits = [rows[: args.limit] for rows in splits]
    for path, rows in zip((train, dev), splits):
        config.checks.check_labels(path, rows)
    args.rows = config.fingerprint(*splits[:2], LABELS)
    return *splits, read_ids(test, len(splits[2]))


def read_ids(path, number):
    """What the submission calls the rows: their "id", or else their place."""
    with open(path, encoding="utf-8-sig") as file:
        is_table = not file.read(64).lstrip().startswith("{")
    rows = [{}] * number if is_table else read_jsonl(path)
    return [row.get("id", place) for place, row in enumerate(rows)]


class Pairs(BucketedGenerator):
    """Batches of pairs of similar length, padded to a multiple of 32."""

    def __init__(self, data, tokenizer, args):
        super().__init__(data, args.batch_size, seed=args.seed)
        self.tokenizer = tokenizer
        self.maxlen = args.maxlen

    def __iter__(self, random=False):
        token_ids, labels = [], []
        for is_end, (first, second, label) in self.sample(random):
            token_ids.append(self.tokenizer.encode(first, second, maxlen=self.maxlen)[0])
            labels.append(-1 if label is None else label)
            if len(token_ids) == self.batch_size or is_end:
                token_ids = self.pad(token_ids, self.maxlen)
                # Segment ids are 0 for both texts, as in CLUE-bert4keras: [SEP] parts them, and
                # models pretrained on single texts (RoBERTa) never saw another segment.
                yield [token_ids, np.zeros_like(token_ids)], np.array(labels)
                token_ids, labels = [], []


# ---- model, evaluation and fit --------------------------------------------------------------


def main(args):
    config.prepare(args)
    with config.clear_errors():
        *splits, ids = load_data(args)
        texts = (text for first, second, _ in splits[0] for text in (first, second))
        encoder, tokenizer = config.base_model(args, texts)
    train, dev, test = (Pairs(rows, tokenizer, args) for rows in splits)

    model = config.classifier(encoder, len(LABELS), args.pooling)
    best = config.train(model, args, train, dev)  # scores dev after each epoch: config.evaluate
    config.write_submission(model, args, best, test, ids, LABELS)


if __name__ == "__main__":
    program.run(main, arguments)
