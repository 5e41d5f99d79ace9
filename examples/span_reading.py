"""Answers as spans of a passage, read in windows: batches, model, votes, scores.

A passage that is longer than the model's input is read in windows. GlobalPointer scores every span
of a window, and one softmax goes over them all; [CLS] is the span of windows without the answer.
The likeliest span of all windows is the answer.
"""

import keras
import numpy as np

from bert4keras_ext.data import BucketedGenerator, sliding_windows
from bert4keras_ext.layers import GlobalPointer
from bert4keras_ext.metrics import cmrc2018_score

HEAD_SIZE = 64
WITH_ANSWER = 0.75  # share of the windows in training that have the answer in them
NOWHERE = 0, 0  # the place of [CLS]

# ---- data -----------------------------------------------------------------------------------


def split_by_article(questions, share):
    """(train, dev): all questions about an article are on the same side.

    Several questions about one passage answer each other: a split by question would reward a model
    that remembers passages.
    """
    names = sorted({article_of(row) for row in questions})
    if len(names) < 2:
        raise ValueError(
            f"expected questions about two articles or more, to hold some out, found {len(names)}: "
            "pass --dev FILE (clue/cmrc2018.py: put train.json and dev.json into --data)"
        )
    np.random.default_rng(0).shuffle(names)  # whatever --seed is, so that runs compare
    held_out = set(names[: max(1, round(share * len(names)))])
    train = [row for row in questions if article_of(row) not in held_out]
    return train, [row for row in questions if article_of(row) in held_out]


def article_of(row):
    """What a question is about; one with passages of its own stands for itself."""
    return getattr(row, "article", row.id)


def windows_of(row, tokenizer, args):
    """[(question, window, (first, last) place of the answer, or NOWHERE)]"""
    text, start = row.answers[0] if row.answers else ("", 0)
    windows = sliding_windows(tokenizer, row.question, row.passage, args.maxlen, args.stride)
    return [(row, each, each.places(start, start + len(text)) or NOWHERE) for each in windows]


class Windows(BucketedGenerator):
    """Batches of windows, one of each question, drawn anew in each epoch."""

    def __init__(self, data, args):
        super().__init__(
            data, args.batch_size, seed=args.seed, length=lambda row: len(row[0][1][0])
        )

    def __iter__(self, random=False):
        draw = np.random.default_rng([self.seed, self.epoch, 2])
        windows, spans = [], []
        for is_end, choice in self.sample(random):
            _, window, span = draw_window(choice, draw)
            windows.append(window)
            spans.append(span)
            if len(windows) == self.batch_size or is_end:
                inputs = self.inputs(windows)
                length = inputs[0].shape[1]
                yield inputs, np.array([first * length + last for first, last in spans])
                windows, spans = [], []

    def inputs(self, windows):
        """Ids, segments, and where an answer may stand: in the passage, or at [CLS] for none."""
        allowed = [[1, *[0] * (w.first - 1), *[1] * len(w.spans), 0] for w in windows]
        rows = [w.token_ids for w in windows], [w.segment_ids for w in windows], allowed
        return [self.pad(each) for each in rows]


def draw_window(windows, draw):
    with_answer = [each for each in windows if each[2] != NOWHERE]
    without = [each for each in windows if each[2] == NOWHERE]
    is_with = with_answer and (not without or draw.random() < WITH_ANSWER)
    choice = with_answer if is_with else without
    return choice[draw.integers(len(choice))]


# ---- model ----------------------------------------------------------------------------------


def span_model(encoder):
    """Scores of all spans of a row: (batch, length * length), start before end."""
    allowed = keras.Input((None,), dtype="int32", name="Input-Allowed")
    spans = GlobalPointer(
        1, HEAD_SIZE, kernel_initializer=encoder.initializer, dtype="float32", name="Spans"
    )(encoder.model.output, mask=allowed)
    scores = keras.layers.Flatten(dtype="float32", name="Scores")(spans)
    return keras.Model([*encoder.model.inputs, allowed], scores)


def span_loss():
    """One softmax over all spans of a row."""
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


# ---- evaluation -----------------------------------------------------------------------------


def read_passages(model, questions, args):
    """For each question the votes of its windows: [(probability, answer, part of the passage)]"""
    batches = Windows([[window] for windows in questions for window in windows], args)
    scores = (row for inputs, _ in batches for row in model.predict_on_batch(inputs))
    return [[best_span(window, next(scores)) for window in windows] for windows in questions]


def best_span(sample, scores):
    """The likeliest span in the passage's part of a window, as a vote."""
    row, window, _ = sample
    part = row.passage[slice(*window.reach)]
    if not window.spans:
        return 0.0, "", part
    spans = np.exp(scores - scores.max())
    length = int(len(spans) ** 0.5)
    first, last = divmod(int(spans[window.first * length :].argmax()), length)
    answer = row.passage[slice(*window.characters(window.first + first, last))]
    return float(spans[window.first * length :].max() / spans.sum()), answer, part


def answers_of(questions, votes):
    """{id: what the likeliest span of all windows says}"""
    return {windows[0][0].id: max(each)[1] for windows, each in zip(questions, votes)}


def score(answers, rows):
    """F1 and EM in percent, of {id: answer}."""
    references = {row.id: [text for text, _ in row.answers] for row in rows}
    scores = cmrc2018_score({name: answers[name] for name in references}, references)
    return {name: scores[name] for name in ("f1", "em")}
