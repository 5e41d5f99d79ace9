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

import config
import numpy as np

from bert4keras_ext.backend import acceleration
from bert4keras_ext.data import (
    BucketedGenerator,
    distinct_labels,
    read_jsonl,
    read_labels,
    read_tnews,
    write_jsonl,
)
from bert4keras_ext.training import KeepBest, StateError, resumable_fit

# ---- data -----------------------------------------------------------------------------------


def load_data(args):
    """(labels, train, dev, test, ids of test); a row is (text, number of its label or None)."""
    train, dev, test = config.find_splits(args.data)
    names = args.data / "labels.json"
    labels = list(read_labels(names)) if names.exists() else distinct_labels(read_jsonl(train))
    splits = [read_tnews(path, labels) for path in (train, dev, test)]
    ids = [row.get("id", number) for number, row in enumerate(read_jsonl(test))]
    if args.smoke:
        splits = [rows[:128] for rows in splits]
    for path, rows in zip((train, dev), splits):
        config.checks.check_labels(path, rows)
    args.rows = config.fingerprint(labels, *splits[:2])
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


# ---- evaluation -----------------------------------------------------------------------------


def predict(model, batches):
    """The number of the likeliest label of each row."""
    scores = model.predict(batches.fortest(), steps=len(batches), verbose=0)
    return scores.argmax(axis=-1)


def evaluate(model, batches):
    labels = [label for _, label in batches.data]
    return {"val_accuracy": np.mean(predict(model, batches) == labels)}


# ---- model and fit --------------------------------------------------------------------------


def main():
    args = config.read_arguments("tnews", __doc__, epochs=5)
    with config.clear_errors():
        labels, *splits, ids = load_data(args)
        encoder, tokenizer = config.base_model(args, (text for text, _ in splits[0]))
    train, dev, test = (Titles(rows, tokenizer, args) for rows in splits)

    model = config.classifier(encoder, len(labels), args.pooling)
    model.compile(
        config.optimizer(args, args.epochs * len(train)),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=acceleration.jit_compile(),
    )
    best = KeepBest(
        lambda: evaluate(model, dev), args.out / "best.weights.h5", monitor="val_accuracy"
    )
    if args.epochs:
        with config.clear_errors(StateError):
            history = resumable_fit(
                model,
                train,
                args.epochs,
                folder=args.out,
                callbacks=[best],
                save_steps=args.save_steps,
                resume=args.resume,
                settings=config.settings(args),
            )
        config.write_report(args, history, best)

    with config.clear_errors():
        best.load(model)
    answers = (labels[number] for number in predict(model, test))
    submission = args.out / "tnews_predict.json"
    write_jsonl(submission, ({"id": i, "label": label} for i, label in zip(ids, answers)))
    print(f"predictions, weights and curves are in {args.out}")


if __name__ == "__main__":
    config.run(main)
