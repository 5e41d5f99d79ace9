"""Questions with several passages: files, samples, votes and predictions of by_*.py.

Files are in WebQA's form. Those in SQuAD's form are brought into it: a long passage is cut into
pieces at the ends of its sentences.

A sample is one passage of a question and the answer in it, "" where it has none. Marks that
separate are commas in passages and answers, so that an answer of several pieces can be a stretch of
its passage.
"""

import os
import re

import numpy as np
import reading

from bert4keras_ext.data import PassagesQuestion, read_squad, read_webqa, text_segmentate
from bert4keras_ext.metrics import sogou_qa_score

LONGEST = 30  # characters of an answer; longer ones of SQuAD's form are left out
WITH_ANSWER = 0.5  # share of the samples in training that have an answer, as about in SogouQA
CURVES = {"final": "final", "accuracy": "accuracy", "f1": "F1"}

# ---- data -----------------------------------------------------------------------------------


def load_splits(args):
    """(train, dev): each {name of a file: its questions}."""
    splits = reading.load_splits(args, _read_either)
    return [
        {name: as_passages(rows, args.piece) for name, rows in files.items()} for files in splits
    ]


def _read_either(path):
    with open(path, "rb") as file:
        is_webqa = b'"passages"' in file.read(4096)
    return read_webqa(path) if is_webqa else read_squad(path)


def as_passages(rows, piece):
    """Questions in WebQA's form; those that no passage answers are left out."""
    rows = [_cut(row, piece) if hasattr(row, "passage") else row for row in rows]
    return [row for row in rows if references_of(row)]


def _cut(row, piece):
    pieces = text_segmentate(row.passage, piece, "\n。！？；，")
    answers = [text for text, _ in row.answers if len(text) <= LONGEST]
    found = [next((text for text in answers if text in piece), "") for piece in pieces]
    return PassagesQuestion(row.id, row.question, list(zip(pieces, found)))


def with_commas(text):
    return re.sub("[ 、；，]", ",", text)


def references_of(row):
    """The distinct answers of a question."""
    return list(dict.fromkeys(answer for _, answer in row.passages if answer))


def texts_of(rows):
    """All questions and passages, as the models read them."""
    return (with_commas(text) for row in rows for text in (row.question, *dict(row.passages)))


def draw_sample(row, draw):
    """(passage, answer in it): one passage of the question at random."""
    samples = [(with_commas(text), answer_in(text, row)) for text, _ in row.passages]
    answered = [sample for sample in samples if sample[1]]
    others = [sample for sample in samples if not sample[1]]
    is_answered = answered and (not others or draw.random() < WITH_ANSWER)
    choice = answered if is_answered else others
    return choice[draw.integers(len(choice))]


def answer_in(passage, row):
    """The first answer of the question all pieces of which stand in the passage, or ""."""
    passage = with_commas(passage)
    answers = map(with_commas, references_of(row))
    found = (each for each in answers if all(piece in passage for piece in each.split(",")))
    return next(found, "")


def encode(tokenizer, passage, question, lengths):
    """[CLS] passage [SEP] question [SEP]"""
    ids = tokenizer.encode(with_commas(passage), maxlen=lengths.passage)[0]
    return ids + tokenizer.encode(question, maxlen=lengths.question + 1)[0][1:]


def encode_answer(tokenizer, answer, lengths):
    """answer [SEP]"""
    return tokenizer.encode(answer, maxlen=lengths.answer + 1)[0][1:]


# ---- evaluation -----------------------------------------------------------------------------


def elect(votes):
    """The answer with the largest sum p^2 / (1 + sum p) over its votes; "" without any.

    Args:
        votes: list of (p, answer, ...); passages whose answer is "" do not vote.
    """
    probabilities = {}
    for probability, answer, *_ in votes:
        if answer:
            probabilities.setdefault(answer, []).append(probability)
    weights = {
        answer: sum(p * p for p in each) / (1 + sum(each)) for answer, each in probabilities.items()
    }
    return max(weights, key=weights.get, default="")


def score(answers, rows):
    """SogouQA's accuracy, F1 and their mean ("final") in percent, of {id: answer}."""
    predictions = {row.id: answers[row.id] for row in rows}
    scores = sogou_qa_score(predictions, {row.id: references_of(row) for row in rows})
    return {name: 100 * scores[name] for name in CURVES}


def random_spans(train, dev):
    """The baseline, {id: a span of one of the passages}, as long as answers in training are."""
    draw = np.random.default_rng(0)
    texts = {row.id: row.passages[draw.integers(len(row.passages))][0] for row in dev}
    lengths = [len(answer) for row in train for answer in references_of(row)]
    return reading.random_spans(texts, lengths)


# ---- files ----------------------------------------------------------------------------------


def write_answers(path, answers):
    """`id, tab, answer`, one line a question, as SogouQA's scorer reads it; whole or not at all."""
    draft = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        lines = (f"{name}\t{' '.join(answer.split())}\n" for name, answer in answers.items())
        draft.write_text("".join(lines), encoding="utf-8")
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def write_predictions(args, dev, answers, votes, guesses):
    """FILE_predict.txt of each file, the table of scores, and --show."""
    table = {}
    for name, rows in dev.items():
        write_answers(args.out / f"{name}_predict.txt", {row.id: answers[row.id] for row in rows})
        table[f"{name}, random spans"], table[name] = score(guesses, rows), score(answers, rows)
    rows = zip(reading.flat(dev), votes)
    shown = [(row, each, answers[row.id], references_of(row)) for row, each in rows]
    reading.finish(args, table, shown)
