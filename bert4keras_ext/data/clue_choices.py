"""Readers of CLUE's questions with answers to choose from: C3 and ChID."""

import json
import re
from pathlib import Path
from typing import NamedTuple

from bert4keras_ext.data.readers import read_jsonl
from bert4keras_ext.data.reading_comprehension import (
    _converted,
    _document,
    _get,
    _of_type,
    _text,
)

BLANK = re.compile(r"#idiom\d*#")


class ChoiceQuestion(NamedTuple):
    """A question about a passage, with two or more choices.

    `passage` is a list: the sentences of a text, or the turns of a dialogue. `answer` is the number
    of the right choice, None in test sets.
    """

    id: str
    passage: list
    question: str
    choices: list
    answer: int


class Blank(NamedTuple):
    """A blank of a text, and the idioms of which one belongs there.

    `text` holds "#idiom000000#" or the like in place of each idiom; `start` and `end` say where the
    blank at hand stands. Blanks of one `group` have the same candidates, of which each is used
    once. `answer` is the number of the right candidate, None in test sets.
    """

    id: str
    text: str
    start: int
    end: int
    candidates: list
    group: int
    answer: int


# ---- C3 -------------------------------------------------------------------------------------


def read_c3(path, errors="raise"):
    """Reads C3: texts ("m") or dialogues ("d"), with questions of two to four choices.

    Args:
        path: a JSON file: a list of [passage, questions, name], as published.
        errors: `"raise"`, or `"skip"`: bad questions are left out, and counted in a warning of
            the logger `bert4keras_ext.data.reading_comprehension`.

    Returns:
        List of `ChoiceQuestion`; the id is the question's own, or else its place in the file.

    Raises:
        ValueError: no JSON, or a bad question: without choices, or whose answer is not one of them.
        FileNotFoundError: no such file.

    Example::

        read_c3("c3-d-dev.json")[0].choices   # ["旅行", "坏境", "工作", "家庭"]
    """
    return _converted(path, _questions(_document(path)), _choice_question, errors)


def _questions(document):
    place = 0
    for number, entry in enumerate(_of_type(document, list, "a list of passages")):
        if not isinstance(entry, list) or len(entry) < 2 or not isinstance(entry[1], list):
            raise ValueError(
                f"expected [passage, questions, name] as entry {number}, found {entry!r:.60}"
            )
        name = entry[2] if len(entry) > 2 else number
        for question in entry[1]:
            yield f"question {place} (of passage {name!r})", (place, entry[0], question)
            place += 1


def _choice_question(place, passage, entry):
    passage = [_text(part) for part in _of_type(passage, list, "a list of texts")]
    choices = [_text(choice) for choice in _of_type(_get(entry, "choice"), list, "a list")]
    if len(choices) < 2:
        raise ValueError(f"expected two choices or more, found {choices}")
    answer = entry.get("answer") or None  # test sets leave it out, or empty
    if answer is not None:
        if answer not in choices:
            raise ValueError(f"expected an answer out of {choices!r:.200}, found {answer!r:.60}")
        answer = choices.index(answer)
    question = _text(_get(entry, "question"))
    return ChoiceQuestion(entry.get("id", place), passage, question, choices, answer)


# ---- ChID -----------------------------------------------------------------------------------


def read_chid(path, answers=None, errors="raise"):
    """Reads ChID: which of these idioms belongs into which blank?

    CLUE's rows hold several texts ("content") with blanks "#idiom000000#" and one list of
    candidates for all of them; the answers, {blank: number}, have a file of their own. FewCLUE's
    hold one text with one blank "#idiom#" and its "answer".

    Args:
        path: a file of JSON objects.
        answers: the file of the answers, or that as a dict; by default the one that lies beside
            path, train_answer.json of train.json, if there is one.
        errors: `"raise"` or `"skip"` (see `read_jsonl`).

    Returns:
        List of `Blank`, in the order of the texts; the id is the blank's name, or in FewCLUE's
        form the row's "id".

    Raises:
        RowError: a row without blanks or candidates, a blank without its answer, or an answer that
            is no number of a candidate.
        ValueError: the file of the answers holds something else.

    Example::

        blanks = read_chid("chid/train.json")   # and chid/train_answer.json
    """
    answers = _answers(path, answers)
    rows = []

    def convert(row):
        candidates = [_text(idiom) for idiom in _of_type(row["candidates"], list, "a list")]
        content = row["content"]
        texts = [content] if isinstance(content, str) else _of_type(content, list, "a list")
        blanks = [_blank(row, _text(text), match, candidates, len(rows), answers)
                  for text in texts for match in BLANK.finditer(text)]  # fmt: skip
        if not blanks:
            raise ValueError(f"expected blanks such as #idiom000000#, found {texts!r:.100}")
        rows.append(blanks)
        return blanks

    read_jsonl(path, required=("candidates", "content"), errors=errors, convert=convert)
    return [blank for blanks in rows for blank in blanks]


def _answers(path, answers):
    if answers is None:
        path = Path(path)
        answers = path.with_name(f"{path.stem}_answer.json")
        if not answers.exists():
            return None
    if isinstance(answers, dict):
        return answers
    document = _document(answers)
    try:
        return _of_type(document, dict, "{blank: number}")
    except ValueError as error:
        raise ValueError(f"{answers}: {error}") from None


def _blank(row, text, match, candidates, group, answers):
    name = match.group()
    if answers is not None and name not in answers:
        raise ValueError(f"expected an answer of each blank, found none of {name}")
    answer = row.get("answer") if answers is None else answers[name]
    # JSON's true is an int of Python's
    is_number = isinstance(answer, int) and not isinstance(answer, bool)
    if answer is not None and not (is_number and 0 <= answer < len(candidates)):
        raise ValueError(
            f"expected the number of one of {len(candidates)} candidates as the answer of {name}, "
            f"found {json.dumps(answer, ensure_ascii=False):.60}"
        )
    name = name if name != "#idiom#" else row.get("id", group)
    return Blank(name, text, match.start(), match.end(), candidates, group, answer)
