"""CMRC2018 and DRCD: the answer as a span of the passage, by GlobalPointer; EM and F1.

Data: files in SQuAD's form (cmrc2018_train.json, DRCD_training.json, ...), some to train on and
some to score on (--dev). Without --dev one article in five of each file is held out.

A passage that is longer than the model's input is read in windows. GlobalPointer scores every span
of a window, and one softmax goes over them all; [CLS] is the span of windows without the answer.
The likeliest span of all windows is the answer.

Published (CMRC2018, EM on CLUE's test set): BERT-base 72.10 (CLUE-bert4keras), 71.60 (CLUE).
Ours: see README.md.

    python examples/reading_comprehension/extractive.py --data cmrc2018_train.json \\
        --dev cmrc2018_dev.json --config chinese_roberta_folder
    python examples/reading_comprehension/extractive.py --smoke --show 2

Under --out: best.weights.h5, results.json, curve.png, FILE_predict.json (for the official scorer:
{id: answer}) for each file that is scored on, and the state that --resume goes on from.
"""

# ruff: noqa: E402 (the arguments are read before TensorFlow, which takes seconds, is imported)
import reading_flags
from reading_flags import checks, program

# ---- config ---------------------------------------------------------------------------------

HEAD_SIZE = 64
WITH_ANSWER = 0.75  # share of the windows in training that have the answer in them
NOWHERE = 0, 0  # the place of [CLS]
CURVES = {"f1": "F1", "em": "EM"}


def read_arguments():
    parser = reading_flags.reading_parser(
        "extractive", __doc__, [reading_flags.CMRC, reading_flags.DRCD], settings=["stride"],
        epochs=3, maxlen=512, minlen=16, learning_rate=5e-5, batch_size=16,
    )  # fmt: skip
    add = parser.add_argument
    add("--stride", type=checks.whole_number(1), default=128, help="tokens from window to window")
    return reading_flags.read(parser, maxlen=64, stride=16)


if __name__ == "__main__":  # before the imports that take seconds
    arguments = program.start(read_arguments)

import finetuning
import keras
import numpy as np
import pretrained
import reading
import reports
import sample_questions
from checks import clear_errors

from bert4keras_ext.data import BucketedGenerator, read_squad, sliding_windows
from bert4keras_ext.layers import GlobalPointer
from bert4keras_ext.metrics import cmrc2018_score
from bert4keras_ext.training import KeepBest

# ---- data -----------------------------------------------------------------------------------


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
    """EM and F1 in percent, of {id: answer}."""
    references = {row.id: [text for text, _ in row.answers] for row in rows}
    scores = cmrc2018_score({name: answers[name] for name in references}, references)
    return {name: scores[name] for name in CURVES}


# ---- fit ------------------------------------------------------------------------------------


def main(args):
    finetuning.prepare(args, sample_questions.write_spans)
    with clear_errors():
        train, dev = reading.load_splits(args, read_squad)
        rows = [row for row in reading.flat(train) if row.answers]
        texts = (text for row in rows for text in (row.question, row.passage))
        encoder, tokenizer = pretrained.base_model(args, texts)
        batches = Windows([windows_of(row, tokenizer, args) for row in rows], args)
        questions = [windows_of(row, tokenizer, args) for row in reading.flat(dev)]
    model = span_model(encoder)
    texts = {row.id: row.passage for row in reading.flat(dev)}
    guesses = reading.random_spans(texts, [len(row.answers[0][0]) for row in rows])

    def evaluate():
        answers = answers_of(questions, read_passages(model, questions, args))
        return {f"val_{name}": value for name, value in score(answers, reading.flat(dev)).items()}

    best = KeepBest(evaluate, args.out / "best.weights.h5", monitor="val_f1")
    baseline = "random spans", score(guesses, reading.flat(dev))
    finetuning.train(
        model, args, batches, best,
        lambda run: reading.write_report(args, run, best, CURVES, baseline),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        files=[f"{name}_predict.json" for name in dev],
    )  # fmt: skip
    with clear_errors():
        best.load(model)
    write_predictions(args, dev, questions, read_passages(model, questions, args), guesses)


def write_predictions(args, dev, questions, votes, guesses):
    """FILE_predict.json of each file, the table of scores, and --show."""
    answers, table = answers_of(questions, votes), {}
    for name, rows in dev.items():
        predictions = {row.id: answers[row.id] for row in rows}
        reports.write_json(args.out / f"{name}_predict.json", predictions)
        table[f"{name}, random spans"], table[name] = score(guesses, rows), score(answers, rows)
    rows = (windows[0][0] for windows in questions)
    shown = [(row, each, answers[row.id], dict(row.answers)) for row, each in zip(rows, votes)]
    reading.finish(args, table, shown)


if __name__ == "__main__":
    program.run(main, arguments)
