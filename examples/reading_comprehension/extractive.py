"""CMRC2018 and DRCD: the answer as a span of the passage, by GlobalPointer; EM and F1.

Data: files in SQuAD's form (cmrc2018_train.json, DRCD_training.json, ...), some to train on and
some to score on (--dev). Without --dev one article in five of each file is held out.

A passage that is longer than the model's input is read in windows. GlobalPointer scores every span
of a window, and one softmax goes over them all; [CLS] is the span of windows without the answer.
The likeliest span of all windows is the answer. All that is in ../span_reading.py, which
../clue/cmrc2018.py trains with too.

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
import pretrained
import reading
import reports
import sample_questions
from checks import clear_errors
from span_reading import (
    Windows,
    answers_of,
    read_passages,
    score,
    span_loss,
    span_model,
    windows_of,
)

from bert4keras_ext.data import read_squad
from bert4keras_ext.training import KeepBest

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
        loss=span_loss(),
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
