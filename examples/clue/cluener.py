"""CLUENER: the named entities of a text, of ten types; micro F1 of entities.

Data: CLUE's cluener_public folder (train.json, dev.json, test.json), one row a line, the end of a
span inclusive:

    {"text": "浙商银行的叶老桂", "label": {"name": {"叶老桂": [[5, 7]]}}}

GlobalPointer scores every span of tokens for every type, with a head for each; what scores above 0
is an entity, be it inside of another one or not. ZLPR trains it: all spans of a type that are
entities shall score above 0, all others below.

Published: BERT-base 78.82 (CLUE), 78.68 (CLUE-bert4keras), both on the test set.
Ours: see README.md.

    python examples/clue/cluener.py --data cluener_public --config chinese_roberta_folder
    python examples/clue/cluener.py --smoke

Under --out: best.weights.h5, results.json, curve.png, cluener_predict.json (of test.json, or else
of dev.json) and the state that --resume goes on from.
"""

from arguments import program, read_arguments

if __name__ == "__main__":  # before the imports that take seconds
    arguments = program.start(
        lambda: read_arguments("cluener", __doc__, epochs=5, maxlen=256, learning_rate=1e-4)
    )

from collections import Counter

import config
import finetuning
import keras
import numpy as np
import sample_entities
import span_report

from bert4keras_ext.data import (
    BucketedGenerator,
    cluener_label,
    read_cluener,
    read_jsonl,
    token_span,
    write_jsonl,
)
from bert4keras_ext.layers import GlobalPointer
from bert4keras_ext.losses import GlobalPointerCrossentropy
from bert4keras_ext.metrics import span_f1
from bert4keras_ext.training import KeepBest

HEAD_SIZE = 64
SUBMISSION = "cluener_predict.json"
CURVES = {"f1": "F1", "precision": "precision", "recall": "recall"}

# ---- data -----------------------------------------------------------------------------------


def load_data(args):
    """(types, train, dev, test, ids of test); a row is (text, [(start, end, type)] or None)."""
    train, dev, test = config.find_splits(args.data)
    rows = read_cluener(train)
    config.checks.check_labels(train, rows)
    types = sorted({kind for _, entities in rows for *_, kind in entities})
    splits = [rows, read_cluener(dev, types), read_cluener(test, types)]
    config.checks.check_labels(dev, splits[1])
    splits = [rows[: args.limit] for rows in splits]
    ids = [row.get("id", place) for place, row in enumerate(read_jsonl(test))]
    args.rows = config.fingerprint(*splits[:2], types)
    return types, *splits, ids


class Texts(BucketedGenerator):
    """Batches of texts of similar length; labels are the (first, last) tokens of the entities."""

    def __init__(self, data, tokenizer, types, args):
        super().__init__(data, args.batch_size, seed=args.seed)
        self.tokenizer, self.types, self.maxlen = tokenizer, types, args.maxlen
        # Places for as many entities of one type as a row has at most: one shape for all batches.
        counts = (Counter(kind for *_, kind in entities or ()) for _, entities in data)
        self.most = max((max(each.values()) for each in counts if each), default=1)

    def __iter__(self, random=False):
        token_ids, labels = [], []
        for is_end, (text, entities) in self.sample(random):
            tokens, places = self.tokens(text)
            token_ids.append(self.tokenizer.tokens_to_ids(tokens))
            labels.append(self.label(entities or (), places))
            if len(token_ids) == self.batch_size or is_end:
                token_ids = self.pad(token_ids, self.maxlen)
                yield [token_ids, np.zeros_like(token_ids)], np.array(labels)
                token_ids, labels = [], []

    def tokens(self, text):
        """The tokens of a text, and for each the characters of the text that it came from."""
        tokens = self.tokenizer.tokenize(text, maxlen=self.maxlen)
        return tokens, self.tokenizer.rematch(text, tokens)

    def label(self, entities, places):
        """(types, most, 2), filled up with (0, 0), where [CLS] stands and no entity."""
        label = np.zeros((len(self.types), self.most, 2), "int32")
        filled = Counter()
        for start, end, kind in entities:
            span = token_span(start, end, places)
            if span:
                label[self.types.index(kind), filled[kind]] = span
                filled[kind] += 1
        return label


# ---- model ----------------------------------------------------------------------------------


def entity_model(encoder, types):
    """Scores of all spans for all types: (batch, types, length, length)."""
    scores = GlobalPointer(
        len(types), HEAD_SIZE, kernel_initializer=encoder.initializer, dtype="float32",
        name="Entities",
    )(encoder.model.output)  # fmt: skip
    return keras.Model(encoder.model.inputs, scores)


# ---- evaluation -----------------------------------------------------------------------------


def predict(model, batches):
    """For each row [(start, end, type)], the characters of all spans that score above 0."""
    scores = (row for inputs, _ in batches for row in model.predict_on_batch(inputs))
    return [
        entities_of(each, batches.tokens(text)[1], batches.types)
        for (text, _), each in zip(batches.data, scores)
    ]


def entities_of(scores, places, types):
    """[(start, end, type)] of a row's scores (types, length, length)."""
    found = ((places[i], places[j], types[k]) for k, i, j in np.argwhere(scores > 0))
    return [(a[0], b[-1], kind) for a, b, kind in found if a and b]  # not [CLS], not [SEP]


def evaluate(model, batches):
    """Micro F1, precision and recall of entities: text, place and type alike."""
    scores = span_f1(predict(model, batches), [entities for _, entities in batches.data])
    return {f"val_{name}": scores[name] for name in CURVES}


# ---- fit ------------------------------------------------------------------------------------


def main(args):
    finetuning.prepare(args, sample_entities.write_entities)
    with config.clear_errors():
        types, *splits, ids = load_data(args)
        encoder, tokenizer = config.base_model(args, (text for text, _ in splits[0]))
    train, dev, test = (Texts(rows, tokenizer, types, args) for rows in splits)

    model = entity_model(encoder, types)
    best = KeepBest(lambda: evaluate(model, dev), args.out / "best.weights.h5", monitor="val_f1")
    finetuning.train(
        model, args, train, best,
        lambda run: span_report.write_report(args, run, best, CURVES),
        loss=GlobalPointerCrossentropy(sparse=True), files=[SUBMISSION],
    )  # fmt: skip
    with config.clear_errors():
        best.load(model)
    rows = zip(ids, splits[2], predict(model, test))
    answers = ({"id": i, "label": cluener_label(text, found)} for i, (text, _), found in rows)
    write_jsonl(args.out / SUBMISSION, answers)
    print(f"predictions, weights and curves are in {args.out}")


if __name__ == "__main__":
    program.run(main, arguments)
