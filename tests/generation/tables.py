"""Decoders over a table of logits, for a model whose next token follows the last two."""

import json

import numpy as np

from bert4keras_ext.generation import AutoRegressiveDecoder
from tests.shared import oracle


def softmax(logits):
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def table_decoder(rtype="probas"):
    """The class, as a user of bert4keras writes it."""

    class TableDecoder(AutoRegressiveDecoder):
        def __init__(self, table, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.table = table

        @AutoRegressiveDecoder.wraps(default_rtype=rtype)
        def predict(self, inputs, output_ids, states):
            ids = np.concatenate([inputs[0], output_ids], 1)
            logits = self.table[ids[:, -2], ids[:, -1]]
            return softmax(logits) if rtype == "probas" else logits

    return TableDecoder


class TableStepper:
    """The same table with a cache: the last two tokens of each row."""

    def __init__(self, table):
        self.table = table

    def start(self, inputs):
        self.last = np.concatenate(inputs, axis=1)[:, -2:]
        return self._probabilities()

    def step(self, tokens, parents):
        self.last = np.stack([self.last[parents, 1], tokens], axis=1)
        return self._probabilities()

    def _probabilities(self):
        return softmax(self.table[self.last[:, 0], self.last[:, 1]])


def recorded(kind):
    """(cases of bert4keras' decoder, its table)."""
    with open(oracle("bert4keras") / "snippets.json", encoding="utf-8") as file:
        cases = json.load(file)[kind]
    return cases, np.load(oracle("bert4keras") / "snippets.npz")["decoder/table"]


def lists(outputs):
    return [ids.tolist() for ids in outputs]
