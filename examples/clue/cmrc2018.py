"""CMRC2018: the answer to a question, a span of the passage; exact match (EM), and F1.

Data: CLUE's cmrc2018_public folder (train.json, dev.json, test.json; the names of the first
publication, cmrc2018_train.json and so on, are taken too), in SQuAD's form:

    {"data": [{"paragraphs": [{"context": "...", "qas": [{"id": "TRAIN_186_QUERY_0",
     "question": "...", "answers": [{"text": "...", "answer_start": 30}]}]}]}]}

Where there is no train.json, trial.json is parted: one article in five is scored on.

The model reads [CLS] question [SEP] part of the passage [SEP]; a passage that is too long is read
in windows, which start 128 tokens apart. GlobalPointer with one head scores every span (start,
end) of the passage, and (0, 0), which is [CLS], for "not in this window": one softmax over them
all. The likeliest span of all windows is the answer. ../span_reading.py holds that, since
../reading_comprehension/extractive.py, for several sets at once, trains with it too.

Published (EM): BERT-base 71.60 (CLUE), 72.10 (CLUE-bert4keras), both on the test set.
Ours: see README.md.

    python examples/clue/cmrc2018.py --data cmrc2018_public --config chinese_roberta_folder
    python examples/clue/cmrc2018.py --smoke

Under --out: best.weights.h5, results.json, curve.png, cmrc2018_predict.json (of test.json, or else
of what is scored on) and the state that --resume goes on from.
"""

from arguments import program, read_arguments

if __name__ == "__main__":  # before the imports that take seconds
    arguments = program.start(
        lambda: read_arguments("cmrc2018", __doc__, epochs=3, maxlen=512, batch_size=16)
    )

import config
import finetuning
import reports
import sample_questions
import span_report
from span_reading import (
    Windows,
    answers_of,
    read_passages,
    score,
    span_loss,
    span_model,
    split_by_article,
    windows_of,
)

from bert4keras_ext.data import read_squad
from bert4keras_ext.training import KeepBest

STRIDE = 128  # tokens from window to window
HELD_OUT = 0.2  # of the articles of trial.json
SUBMISSION = "cmrc2018_predict.json"
CURVES = {"em": "EM", "f1": "F1"}

# ---- data -----------------------------------------------------------------------------------


def load_data(args):
    """(train, dev, test): lists of `SpanQuestion`; the test file's are without answers."""
    trial = find_file(args.data, "trial", needed=False)
    train = find_file(args.data, "train", needed=trial is None)
    if train is None:
        print(f"no train.json in {args.data}: one article in five of {trial.name} is scored on")
        splits = split_by_article(read_squad(trial), HELD_OUT)
        splits = [*splits, splits[1]]
    else:
        dev = find_file(args.data, "dev")
        test = find_file(args.data, "test", needed=False) or dev
        splits = [read_squad(train), read_squad(dev), read_squad(test, answers=False)]
        check_answers(train, splits[0])
        check_answers(dev, splits[1])
    splits = [rows[: args.limit] for rows in splits]
    args.rows = config.fingerprint(*splits[:2])
    return splits


def find_file(folder, name, needed=True):
    path = config.checks.find_file(folder, [f"{name}.json", f"cmrc2018_{name}.json"], needed)
    if path is not None:
        config.checks.check_text(path)
    return path


def check_answers(path, rows):
    for row in rows:
        if not row.answers:
            raise ValueError(
                f"{path}, question {row.id}: expected an answer to each question, found none: add "
                "it, or leave the question out"
            )


def write_samples(folder):
    folder.mkdir(parents=True, exist_ok=True)
    for seed, (name, articles) in enumerate({"train": 12, "dev": 4}.items()):
        document = sample_questions.make_spans(articles, seed)
        reports.write_json(folder / f"{name}.json", document)


# ---- evaluation -----------------------------------------------------------------------------


def predict(model, questions, args):
    """{id: answer}"""
    return answers_of(questions, read_passages(model, questions, args))


def evaluate(model, questions, args):
    """EM and F1 of the official script, from 0 to 1."""
    scores = score(predict(model, questions, args), [windows[0][0] for windows in questions])
    return {f"val_{name}": scores[name] / 100 for name in CURVES}


# ---- fit ------------------------------------------------------------------------------------


def main(args):
    finetuning.prepare(args, write_samples)
    args.stride = STRIDE
    if args.smoke:
        args.maxlen, args.stride = min(args.maxlen, 64), 16
    with config.clear_errors():
        splits = load_data(args)
        texts = (text for row in splits[0] for text in (row.question, row.passage))
        encoder, tokenizer = config.base_model(args, texts)
        train, dev, test = ([windows_of(row, tokenizer, args) for row in rows] for rows in splits)
    model = span_model(encoder)

    best = KeepBest(
        lambda: evaluate(model, dev, args), args.out / "best.weights.h5", monitor="val_em"
    )
    finetuning.train(
        model, args, Windows(train, args), best,
        lambda run: span_report.write_report(args, run, best, CURVES),
        loss=span_loss(), files=[SUBMISSION],
    )  # fmt: skip
    with config.clear_errors():
        best.load(model)
    reports.write_json(args.out / SUBMISSION, predict(model, test, args))
    print(f"predictions, weights and curves are in {args.out}")


if __name__ == "__main__":
    program.run(main, arguments)
