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

import config
import numpy as np

from bert4keras_ext.backend import acceleration
from bert4keras_ext.data import BucketedGenerator, read_afqmc, read_jsonl, write_jsonl
from bert4keras_ext.training import KeepBest, StateError, resumable_fit

LABELS = ["0", "1"]

# ---- data -----------------------------------------------------------------------------------


def load_data(args):
    """(train, dev, test, ids of test); a row is (text, text, number of its label or None)."""
    train, dev, test = config.find_splits(args.data)
    splits = [read_afqmc(path) for path in (train, dev, test)]
    if args.smoke:
        splits = [rows[:128] for rows in splits]
    for path, rows in zip((train, dev), splits):
        config.checks.check_labels(path, rows)
    args.rows = config.fingerprint(LABELS, *splits[:2])
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


# ---- evaluation -----------------------------------------------------------------------------


def predict(model, batches):
    """The number of the likeliest label of each row."""
    scores = model.predict(batches.fortest(), steps=len(batches), verbose=0)
    return scores.argmax(axis=-1)


def evaluate(model, batches):
    labels = [label for *_, label in batches.data]
    return {"val_accuracy": np.mean(predict(model, batches) == labels)}


# ---- model and fit --------------------------------------------------------------------------


def main():
    args = config.read_arguments("afqmc", __doc__, epochs=5)
    with config.clear_errors():
        *splits, ids = load_data(args)
        texts = (text for first, second, _ in splits[0] for text in (first, second))
        encoder, tokenizer = config.base_model(args, texts)
    train, dev, test = (Pairs(rows, tokenizer, args) for rows in splits)

    model = config.classifier(encoder, len(LABELS), args.pooling)
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
    answers = (LABELS[number] for number in predict(model, test))
    submission = args.out / "afqmc_predict.json"
    write_jsonl(submission, ({"id": i, "label": label} for i, label in zip(ids, answers)))
    print(f"predictions, weights and curves are in {args.out}")


if __name__ == "__main__":
    config.run(main)
