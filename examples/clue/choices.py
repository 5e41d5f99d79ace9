"""What C3 and ChID share: one of some given answers is right, and a softmax goes over them.

A question becomes as many rows as the most choices that any has. The model gives each row one
score; the loss takes the rows of a question together. Questions with fewer choices are filled up
with fake ones, which the loss and the prediction leave out: they can never win.
"""

import keras
import numpy as np
from config import Batches, score
from keras import ops

from bert4keras_ext.data import softmax

FAKE = -1.0  # in place of 1 for the right choice and 0 for a wrong one
NEVER = -1e9


class Questions(Batches):
    """Batches of questions, each of them `size` rows.

    Args:
        data: named tuples, whose last entry is the number of the right choice, or None.
        encode: function of a question that gives the token ids of each choice.
        args: of the command line.
        size: the most choices of a question.
    """

    def __init__(self, data, encode, args, size):
        super().__init__(data, encode, args, length=_length)
        self.size = size

    def __iter__(self, random=False):
        token_ids, labels = [], []
        for is_end, question in self.sample(random):
            choices = self.encode(question)
            fakes = self.size - len(choices)
            token_ids += choices + choices[:1] * fakes
            labels += [float(n == question[-1]) for n in range(len(choices))] + [FAKE] * fakes
            if len(token_ids) == self.batch_size * self.size or is_end:
                token_ids = self.pad(token_ids, self.args.maxlen)
                yield [token_ids, np.zeros_like(token_ids)], np.array(labels, "float32")
                token_ids, labels = [], []

    def of(self, rows):
        return type(self)(rows, self.encode, self.args, self.size)

    def predict(self, model):
        """The probabilities of the choices: (questions, size); those of fake ones are 0."""
        scores = super().predict(model).reshape(-1, self.size)
        counts = np.array([len(choices_of(question)) for question in self.data])
        return softmax(np.where(np.arange(self.size) < counts[:, None], scores, -np.inf))


def choices_of(question):
    """The choices, or candidates."""
    return next(getattr(question, name) for name in ("choices", "candidates")
                if hasattr(question, name))  # fmt: skip


def most_choices(*splits):
    return max(len(choices_of(question)) for rows in splits for question in rows)


def _length(question):
    """The characters of passage, question and choices, so far as they differ."""
    texts = [part for part in question if isinstance(part, str)]
    lists = [part for part in question if isinstance(part, list)]
    return sum(map(len, texts)) + sum(len(text) for part in lists for text in part)


def scorer(encoder, args):
    """One score a row: (questions * size, 1)."""
    return keras.Model(encoder.model.inputs, score(encoder, 1, args))


def compiling(size):
    """Loss and metrics for `compile`."""

    def loss(labels, scores):
        labels, scores = _grouped(labels, size), _grouped(scores, size)
        likelihoods = ops.log_softmax(ops.where(labels < 0, NEVER, scores), axis=-1)
        return -ops.sum(ops.maximum(labels, 0.0) * likelihoods, axis=-1)

    def accuracy(labels, scores):
        labels, scores = _grouped(labels, size), _grouped(scores, size)
        guesses = ops.argmax(ops.where(labels < 0, NEVER, scores), axis=-1)
        return ops.cast(ops.equal(guesses, ops.argmax(labels, axis=-1)), "float32")

    metric = keras.metrics.MeanMetricWrapper(accuracy, name="accuracy")
    return {"loss": loss, "metrics": [metric]}


def _grouped(values, size):
    return ops.reshape(ops.cast(values, "float32"), (-1, size))
