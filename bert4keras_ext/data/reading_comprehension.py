"""Readers of reading comprehension sets: CMRC2018, DRCD and SQuAD; WebQA and SogouQA."""

import json
import logging
import re
from typing import NamedTuple

from bert4keras_ext.data.readers import _raw_lines

logger = logging.getLogger(__name__)


class SpanQuestion(NamedTuple):
    """A question about a passage; its answers are stretches of it.

    `answers` holds pairs (text, start), with `passage[start : start + len(text)] == text`; none in
    test sets. `article` names what the passage was taken from: split sets by it, not by question.
    """

    id: str
    question: str
    passage: str
    answers: list
    article: str


class PassagesQuestion(NamedTuple):
    """A question with several passages; `passages` holds pairs (text, answer).

    The answer is "" where the passage has none (and in test sets); pieces of an answer are parted
    by spaces.
    """

    id: str
    question: str
    passages: list


def read_squad(path, errors="raise", answers=True):
    """Reads CMRC2018, DRCD, SQuAD and others in that form: articles, paragraphs, questions.

    CMRC2018's first form, a list of contexts whose answers are texts alone, is read too. An
    answer that does not stand where its `answer_start` says is looked for: the nearest place
    counts (CMRC2018 counts some rare characters twice; without a start the first place counts).

    Args:
        path: a JSON file, also `.gz`.
        errors: `"raise"`, or `"skip"`: bad questions are left out, and counted in a warning of
            the logger `bert4keras_ext.data.reading_comprehension`.
        answers: False leaves them out. Test files hold none, or something that stands for them.

    Returns:
        List of `SpanQuestion`.

    Raises:
        ValueError: no JSON, or a bad question: without text, or whose answer is not in the passage.
        FileNotFoundError: no such file.

    Example::

        questions = read_squad("cmrc2018_trial.json")
        questions[0].answers   # [("踢爆", 127)]
    """
    convert = _span_question if answers else _without_answers
    return _converted(path, _paragraph_questions(_document(path)), convert, errors)


def read_webqa(path, errors="skip"):
    """Reads WebQA and SogouQA in Su's JSON form: questions, each with several passages.

    Args:
        path: a JSON file, also `.gz`.
        errors: `"skip"` or `"raise"`, as in `read_squad`; the published samples end with an entry
            that was cut off, so bad ones are left out by default, with a warning.

    Returns:
        List of `PassagesQuestion`.

    Raises:
        ValueError: no JSON, or with `"raise"` an entry without question or passages.
        FileNotFoundError: no such file.

    Example::

        questions = read_webqa("SogouQA.json")
        questions[0].passages[5]   # ("...作者林海音...", "林海音")
    """
    document = _of_type(_document(path), list, "a list of questions")
    entries = ((f"entry {number}", (number, entry)) for number, entry in enumerate(document))
    return _converted(path, entries, _passages_question, errors)


def _document(path):
    content = b"".join(_raw_lines(path))
    try:
        return json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{path}: expected one JSON document in UTF-8, found {error}; is it cut off, or JSON "
            "lines (read_jsonl)?"
        ) from None


def _converted(path, entries, convert, errors):
    """`convert(*entry)` of all (place, entry); the bad ones raise, or are counted and left out."""
    if errors not in ("raise", "skip"):
        raise ValueError(f"expected errors='raise' or 'skip', received {errors!r}")
    rows, skipped = [], []
    for place, entry in entries:
        try:
            rows.append(convert(*entry))
        except ValueError as error:
            message = f"{path}, {place}: {error}"
            if errors == "raise":
                raise ValueError(message) from None
            skipped.append(message)
    if skipped:
        logger.warning("skipped %d bad questions, the first: %s", len(skipped), skipped[0])
    return rows


# ---- CMRC2018, DRCD, SQuAD ------------------------------------------------------------------


def _paragraph_questions(document):
    """Yields (place, (name of the article, paragraph, question)) of a whole file."""
    if isinstance(document, dict):
        document = _get(document, "data")
    for number, article in enumerate(_of_type(document, list, "a list of articles")):
        name = article.get("title") or article.get("id") or str(number)
        for paragraph in article.get("paragraphs", [article]):
            for entry in _of_type(_get(paragraph, "qas"), list, "a list of questions"):
                name_of_entry = entry.get("id", entry.get("query_id"))
                yield f"question {name_of_entry} of {name!r}", (name, paragraph, entry)


def _span_question(article, paragraph, entry):
    passage = _text(_get(paragraph, "context", "context_text"))
    question = _text(_get(entry, "question", "query_text"))
    answers = [_answer(answer, passage) for answer in entry.get("answers") or ()]
    answers = [(text, start) for text, start in answers if text]  # "": no answer, in SQuAD 2
    return SpanQuestion(str(_get(entry, "id", "query_id")), question, passage, answers, article)


def _without_answers(article, paragraph, entry):
    return _span_question(article, paragraph, {**entry, "answers": None})


def _answer(answer, passage):
    """(text, start) of an answer, with a start that is right."""
    if isinstance(answer, str):
        answer = {"text": answer}
    text, start = _text(_get(answer, "text")), answer.get("answer_start", 0)
    if start >= 0 and passage.startswith(text, start):
        return text, start
    places = [match.start() for match in re.finditer(f"(?={re.escape(text)})", passage)]
    if not places:
        raise ValueError(f"expected an answer that stands in its passage, found {text!r:.60}")
    return text, min(places, key=lambda place: abs(place - start))


# ---- WebQA and SogouQA ----------------------------------------------------------------------


def _passages_question(number, entry):
    question = _text(_get(entry, "question"))
    passages = _of_type(_get(entry, "passages"), list, "a list of passages")
    if not passages:
        raise ValueError("expected at least one passage, found none")
    pairs = [(_text(_get(each, "passage")), _text(each.get("answer") or "")) for each in passages]
    return PassagesQuestion(str(entry.get("id", number)), question, pairs)


# ---- checks ---------------------------------------------------------------------------------


def _get(entry, *names):
    """The value under the first of the names that is there."""
    for name in names:
        if name in _of_type(entry, dict, "a JSON object"):
            return entry[name]
    raise ValueError(f"expected a key {names[0]!r}, found {list(entry)}; is it cut off?")


def _of_type(value, kind, description):
    if not isinstance(value, kind):
        raise ValueError(f"expected {description}, found {type(value).__name__}: {value!r:.60}")
    return value


def _text(value):
    return _of_type(value, str, "a text")
