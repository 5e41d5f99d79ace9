"""The batches of ../clue_reference.py, and our own training on them.

python clue_ours.py batches FOLDER SEED   (reads task.json; writes batches-SEED.npz, gold.npz)
python clue_ours.py train FOLDER SEED     (reads both; writes ours-SEED.npz)
"""

import json
import pathlib
import sys
import time

import cluener
import keras
import numpy as np

from bert4keras_ext.data import BucketedGenerator, read_afqmc, read_cluener, read_pairs
from bert4keras_ext.layers import FirstPooling1D
from bert4keras_ext.losses import GlobalPointerCrossentropy
from bert4keras_ext.models import build_transformer_model
from bert4keras_ext.optimizers import Adam
from bert4keras_ext.tokenizers import Tokenizer
from bert4keras_ext.training import WarmupDecay

NLI = ["contradiction", "neutral", "entailment"]

# ---- batches --------------------------------------------------------------------------------


class Pairs(BucketedGenerator):
    """Batches of (ids, labels) of pairs of texts."""

    def __init__(self, data, batch_size, seed, tokenizer, maxlen):
        super().__init__(data, batch_size, seed=seed)
        self.tokenizer, self.maxlen = tokenizer, maxlen

    def __iter__(self, random=False):
        rows, labels = [], []
        for is_end, (first, second, label) in self.sample(random):
            rows.append(self.tokenizer.encode(first, second, maxlen=self.maxlen)[0])
            labels.append(label)
            if len(rows) == self.batch_size or is_end:
                yield self.pad(rows, self.maxlen), np.array(labels, "int32")
                rows, labels = [], []


class Entities(cluener.Texts):
    """Batches of (ids, (n, most, 3) of type, first and last token, -1 where none is)."""

    def __init__(self, data, batch_size, seed, tokenizer, maxlen):
        args = type("", (), dict(batch_size=batch_size, seed=seed, maxlen=maxlen))
        types = sorted({kind for _, entities in data for *_, kind in entities})
        super().__init__(data, tokenizer, types, args)

    def __iter__(self, random=False):
        for (ids, _), labels in super().__iter__(random):
            places = [np.argwhere(row[..., 1] > 0) for row in labels]
            spans = np.full((len(ids), max([1, *map(len, places)]), 3), -1, "int32")
            for row, own in enumerate(places):
                for number, (kind, place) in enumerate(own):
                    spans[row, number] = kind, *labels[row, kind, place]
            yield ids, spans


def read_ocnli(path):
    return [row for row in read_pairs(path, NLI) if row[-1] is not None]


READERS = {"afqmc": read_afqmc, "ocnli": read_ocnli, "cluener": read_cluener}


def write_batches(folder, task, seed):
    tokenizer = Tokenizer(str(pathlib.Path(task["config"]) / "vocab.txt"), do_lower_case=True)
    train, dev = (READERS[task["task"]](task[name]) for name in ("train", "dev"))
    kind = Pairs if task["kind"] == "classes" else Entities
    train = kind(train[: task["rows"]], task["batch_size"], seed, tokenizer, task["maxlen"])
    dev = kind(dev, 64, 0, tokenizer, task["maxlen"])
    arrays, step = {}, 0
    for train.epoch in range(task["epochs"]):
        for ids, labels in train.__iter__(random=True):
            arrays |= {f"train-{step}-ids": ids, f"train-{step}-labels": labels}
            step += 1
    assert step == task["steps"], (step, task["steps"])
    gold = {}
    for number, (ids, labels) in enumerate(dev):
        arrays[f"dev-{number}-ids"] = ids
        gold[f"dev-{number}"] = labels
    np.savez_compressed(folder / f"batches-{seed}.npz", **arrays)
    np.savez_compressed(folder / "gold.npz", **gold)


# ---- training -------------------------------------------------------------------------------


def model_of(task):
    encoder = build_transformer_model(task["config"], return_keras_model=False)
    if task["kind"] == "spans":
        return cluener.entity_model(encoder, range(task["classes"]))
    x = FirstPooling1D()(encoder.model.output)
    x = keras.layers.Dense(task["classes"], kernel_initializer=encoder.initializer)(x)
    return keras.Model(encoder.model.inputs, x)


LOSSES = {
    "classes": lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    "spans": lambda: GlobalPointerCrossentropy(sparse=True),
}


def labels_for(task, labels):
    """Spans in the form of our loss: (types, most, 2), filled up with (0, 0)."""
    if task["kind"] == "classes":
        return labels
    dense = np.zeros((len(labels), task["classes"], labels.shape[1], 2), "int32")
    for row, spans in enumerate(labels):
        for place, (kind, start, end) in enumerate(spans[spans[:, 0] >= 0]):
            dense[row, kind, place] = start, end
    return dense


def predictions(task, scores):
    return scores.argmax(-1) if task["kind"] == "classes" else np.argwhere(scores > 0)


def train(folder, task, seed):
    keras.utils.set_random_seed(seed)
    batches = np.load(folder / f"batches-{seed}.npz")
    model = model_of(task)
    schedule = WarmupDecay(task["learning_rate"], task["steps"], task["warmup"])
    model.compile(
        Adam(schedule, epsilon=task["epsilon"]), LOSSES[task["kind"]](), jit_compile=False
    )
    began, losses = time.monotonic(), []
    for step in range(task["steps"]):
        ids, labels = (batches[f"train-{step}-{x}"] for x in ("ids", "labels"))
        model.reset_metrics()
        losses.append(float(model.train_on_batch([ids, 0 * ids], labels_for(task, labels))))
    seconds = time.monotonic() - began
    found = {}
    for number in range(sum(name.startswith("dev") for name in batches)):
        ids = batches[f"dev-{number}-ids"]
        found[f"dev-{number}"] = predictions(task, model.predict_on_batch([ids, 0 * ids]))
    np.savez(folder / f"ours-{seed}.npz", losses=losses, seconds=seconds, **found)


if __name__ == "__main__":
    action, folder, seed = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3])
    task = json.loads((folder / "task.json").read_text())
    {"batches": write_batches, "train": train}[action](folder, task, seed)
