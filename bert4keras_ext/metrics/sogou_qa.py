"""SogouQA's accuracy, F1 and final score."""

import os
from collections import Counter
from pathlib import Path

from bert4keras_ext.data.readers import read_table
from bert4keras_ext.metrics.answers import (
    a_text,
    by_question,
    check_complete,
    check_known,
    check_some,
    some_texts,
)
from bert4keras_ext.metrics.progress import with_progress

# All of ASCII's marks, and these; full-width forms are also covered by their ASCII ones.
PUNCTUATION = (
    "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~\x7f"
    "\u3000、。，．：；？！…—‖•·¨ˇˉ〃々‘’“”〈〉《》「」『』【】〓〔〕〖〗（）～￣＿﹑"
    "°′″±×÷∈∑√∞∠∨∩∴∵∶≈≌≠≡≤≥≮≯⊙⊥⌒‰←↑→↓□■▲△◆◇◎●★☆♀♂※№§¤￠￥＄"
)
BLANKS = " \t\n\r\v\f"
LOWER = {ord(letter): letter.lower() for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}
HALF_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}
PARTED = str.maketrans(dict.fromkeys(PUNCTUATION, " ")) | LOWER


def _normal_form():
    """A table for `str.translate`: half width, lower case, neither punctuation nor blanks."""
    left_out = dict.fromkeys(map(ord, PUNCTUATION + BLANKS))
    table = LOWER | left_out
    return table | {full: table.get(half, half) for full, half in HALF_WIDTH.items()}


NORMAL_FORM = _normal_form()


def sogou_qa_score(predictions, answers, question_ids=None, progress=None):
    """Accuracy, character F1 and their mean, as SogouQA's evaluation counts them.

    Answers are compared in a normal form: half width, lower case (of ASCII letters), neither
    punctuation nor blanks. A prediction is right if it equals a correct answer, or if it parts,
    at punctuation and blanks, into the same set of pieces as the standard answer. Its F1, with S
    the characters that it shares with a correct answer (each as often as both have it), is that
    of the best answer::

        F1 = 2 p r / (p + r),   p = S / characters predicted,   r = S / characters of the answer

    Both are averaged over the predictions, and an empty one gets 0 of both; final is their mean.

    Args:
        predictions: dict {question id: text}, or pairs.
        answers: dict {question id: list of correct answers, the standard one first}. It may hold
            more questions than are predicted, as the official key does.
        question_ids: ids that must be predicted; `None`: those that are.
        progress: `True`, `False`, or `None`: a progress bar if it takes more than two seconds.

    Returns:
        `{"accuracy", "f1", "final", "total"}`; the scores from 0 to 1, as the official tool has
        them.

    Raises:
        ValueError: predictions of unknown questions, missing ones, ids that occur twice, answers
            that are no texts: they are named.
        TypeError: other things than dicts or pairs.

    Example:

    >>> answers = {"1": ["15年", "十五年"], "2": ["魏 蜀 吴"]}
    >>> sogou_qa_score({"1": "15", "2": "吴、魏、蜀"}, answers)["accuracy"]
    0.5
    """
    return _mean(sogou_qa_rows(predictions, answers, question_ids, progress))


def sogou_qa_rows(predictions, answers, question_ids=None, progress=None):
    """The scores of each prediction, in their order.

    Args, raises: as `sogou_qa_score`.

    Returns:
        List of `{"id", "prediction", "right", "f1", "precision", "recall", "answer"}`; `answer` is
        the first of the correct answers with the best F1, in normal form, `None` if that is 0.

    Example:

    >>> row = sogou_qa_rows({"1": "15"}, {"1": ["15年", "十五年"]})[0]
    >>> row["right"], round(row["f1"], 4), row["answer"]
    (0, 0.8, '15年')
    """
    answers = by_question(answers, "answers", some_texts)
    predictions = by_question(predictions, "predictions", a_text)
    check_known(predictions, answers, "take the key of the same split, or leave them out")
    if question_ids is not None:
        wanted = by_question(((id, None) for id in question_ids), "question_ids", lambda x: x)
        check_known(wanted, answers, "take the key of the same split", "question_ids")
        check_complete(wanted, predictions, "predict '' where there is no answer")
        check_known(predictions, wanted, "leave them out, or name them in question_ids")
    check_some(predictions, "predictions")
    return [
        {"id": id, "prediction": prediction, **_scores(prediction.strip(BLANKS), answers[id])}
        for id, prediction in with_progress(predictions.items(), progress, "SogouQA", " questions")
    ]


def evaluate_sogou_qa(
    prediction_path, answers_path, output_path=None, question_ids=None, progress=None
):
    """`sogou_qa_score` of files in the official formats.

    Args:
        prediction_path: lines `id <tab> answer`.
        answers_path: lines `id <tab> standard answer <tab> correct|answers|...`, as
            `qid_answer_expand`.
        output_path: if given, a file of the official seven columns is written there: id,
            prediction, 1 or 0, F1, precision, recall, answer. (Of several equally good answers
            it names the first, the official tool any.)
        question_ids, progress: as for `sogou_qa_score`.

    Raises:
        RowError: a line of another form, or an id that occurs twice; file and line are named.
        ValueError: files that do not match.
        FileNotFoundError: no such file.

    Example::

        evaluate_sogou_qa("predictions.txt", "qid_answer_expand", "scores.txt")["final"]
    """
    predictions = _read(prediction_path, ("id", "answer"), lambda row: row["answer"])
    answers = _read(
        answers_path,
        ("id", "answer", "correct"),
        lambda row: [row["answer"], *row["correct"].split("|")],
    )
    rows = sogou_qa_rows(predictions, answers, question_ids, progress)
    if output_path is not None:
        _write(output_path, rows)
    return _mean(rows)


def _mean(rows):
    accuracy = sum(row["right"] for row in rows) / len(rows)
    f1 = sum(row["f1"] for row in rows) / len(rows)
    return {"accuracy": accuracy, "f1": f1, "final": (accuracy + f1) / 2, "total": len(rows)}


def _scores(prediction, answers):
    scores = {"right": 0, "f1": 0.0, "precision": 0.0, "recall": 0.0, "answer": None}
    if not prediction:
        return scores
    found = prediction.translate(NORMAL_FORM)
    correct = [answer.translate(NORMAL_FORM) for answer in answers]
    scores["right"] = int(found in correct or _pieces(prediction) == _pieces(answers[0]))
    characters = Counter(found)
    for answer in correct:
        shared = sum((characters & Counter(answer)).values())
        f1 = 2 * shared / (len(found) + len(answer)) if shared else 0.0
        if f1 > scores["f1"]:
            scores |= {"precision": shared / len(found), "recall": shared / len(answer)}
            scores |= {"f1": f1, "answer": answer}
    return scores


def _pieces(text):
    """Pieces in normal form; two marks in a row have an empty one between them."""
    return {piece.translate(NORMAL_FORM) for piece in text.translate(PARTED).split(" ")}


def _read(path, columns, convert):
    """{id: what `convert` makes of the row} of a table."""
    found = {}

    def add(row):
        if row["id"] in found:
            raise ValueError(f"expected every id once, found {row['id']!r} again; fix: remove one")
        found[row["id"]] = convert(row)

    read_table(path, columns, convert=add)
    return found


def _write(path, rows):
    """All rows or none: a draft takes the file's name when it is complete."""
    path = Path(path)
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(draft, "w", encoding="utf-8", newline="\n") as file:
            for row in rows:
                figures = "\t".join(f"{row[key]:.6f}" for key in ("f1", "precision", "recall"))
                prefix = f"{row['id']}\t{row['prediction']}\t{row['right']}"
                file.write(f"{prefix}\t{figures}\t{row['answer']}\n")
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
