"""CMRC2018's F1 and exact match, also taken for DRCD."""

import re

from bert4keras_ext.data.common_sequences import longest_common_substring
from bert4keras_ext.metrics.answers import (
    a_text,
    by_question,
    check_complete,
    check_known,
    check_some,
    some_texts,
)
from bert4keras_ext.metrics.english_words import english_words
from bert4keras_ext.metrics.json_file import read_json
from bert4keras_ext.metrics.progress import with_progress

# What the official script leaves out. Its list also names the two-character ellipsis, which no
# single character equals, and of the single quotes only the closing one.
PUNCTUATION = "-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』"
WITHOUT_PUNCTUATION = str.maketrans("", "", PUNCTUATION)
CHINESE = re.compile("([\u4e00-\u9fa5])")


def cmrc2018_score(predictions, data, strict=True, progress=None):
    """F1 and exact match of predicted answers, as CMRC2018's evaluation counts them.

    Texts are lower-cased and rid of punctuation. Exact match: the prediction equals one of the
    correct answers. F1: with L the longest run of words that prediction and answer share (a
    Chinese character is a word, and so is an English one)::

        F1 = 2 p r / (p + r),   p = L / words of the prediction,   r = L / words of the answer

    of the best answer. Both are averaged over the questions and given in percent. The figures
    are those of the official script, but for English of more than one sentence, which it cuts by
    a trained model (see `english_words.py`).

    Args:
        predictions: dict {question id: text}, as the official prediction file holds it, or pairs.
        data: what the official file holds, parsed: `{"data": [{"paragraphs": [{"qas": ...}]}]}`,
            or the older list of `{"context_id", "qas": [{"query_id", "answers"}]}`; or a dict
            {question id: list of correct answers}.
        strict: whether a question without prediction, and a prediction without question, is an
            error. The official script counts the former as wrong and passes over the latter:
            so does `False`.
        progress: `True`, `False`, or `None`: a progress bar if it takes more than two seconds.

    Returns:
        `{"average", "f1", "em"}` in percent, and the counts `{"total", "skipped"}`: questions,
        and those without prediction.

    Raises:
        ValueError: rows that do not match or are not of the format; they are named.
        TypeError: another kind of thing.

    Example:

    >>> data = {"1": ["1999年"], "2": ["在北京", "北京"]}
    >>> scores = cmrc2018_score({"1": "1999 年。", "2": "北京市"}, data)
    >>> round(scores["f1"], 1), scores["em"]
    (90.0, 0.0)

    Source: Cui et al. 2019, "A Span-Extraction Dataset for Chinese Machine Reading
    Comprehension".
    """
    rows = cmrc2018_rows(predictions, data, strict, progress)
    f1 = 100 * sum(row["f1"] for row in rows) / len(rows)
    em = 100 * sum(row["em"] for row in rows) / len(rows)
    skipped = sum(row["prediction"] is None for row in rows)
    return {"average": (f1 + em) / 2, "f1": f1, "em": em, "total": len(rows), "skipped": skipped}


def cmrc2018_rows(predictions, data, strict=True, progress=None):
    """The scores of each question, in the order of the data.

    Args, raises: as `cmrc2018_score`.

    Returns:
        List of `{"id", "prediction", "answers", "f1", "em"}`, F1 and exact match from 0 to 1; the
        prediction is `None` where there is none.

    Example:

    >>> cmrc2018_rows({"1": "北京市"}, {"1": ["北京"]})[0]["f1"]
    0.8
    """
    questions = by_question(_answers(data), "data", some_texts)
    check_some(questions, "data")
    predictions = by_question(predictions, "predictions", a_text)
    if strict:
        check_complete(
            questions,
            predictions,
            "predict '' where there is no answer, or strict=False, which counts them as wrong",
        )
        check_known(
            predictions,
            questions,
            "take the data of the same split, or strict=False, which leaves them out",
        )
    rows = []
    for id, answers in with_progress(questions.items(), progress, "F1 and EM", " questions"):
        prediction = predictions.get(id)
        f1, em = (0.0, 0) if prediction is None else _scores(prediction, answers)
        rows.append({"id": id, "prediction": prediction, "answers": answers, "f1": f1, "em": em})
    return rows


def evaluate_cmrc2018(prediction_path, data_path, strict=True, progress=None):
    """`cmrc2018_score` of two files in the official JSON formats.

    Args:
        prediction_path: `{question id: answer}`.
        data_path: the data file, as `cmrc2018_trial.json` or `DRCD_dev.json`.
        strict, progress: as for `cmrc2018_score`.

    Raises:
        RowError: a file that is no JSON, or holds a key twice; file and line are named.
        ValueError: files that do not match.
        FileNotFoundError: no such file.

    Example::

        evaluate_cmrc2018("predictions.json", "cmrc2018_dev.json")["f1"]
    """
    predictions, data = read_json(prediction_path), read_json(data_path)
    if not isinstance(predictions, dict) or isinstance(predictions.get("data"), list):
        raise ValueError(
            f"{prediction_path}: expected an object {{question id: answer}}, found "
            f"{predictions!r:.80}; fix: the file of predictions comes first, the data second"
        )
    return cmrc2018_score(predictions, data, strict, progress)


def _scores(prediction, answers):
    words = _words(prediction)
    f1 = max(_f1(words, _words(answer)) for answer in answers)
    plain = _plain(prediction)
    return f1, int(any(_plain(answer) == plain for answer in answers))


def _f1(found, wanted):
    common = longest_common_substring(wanted, found)[0]
    # 2 p r / (p + r) with p = common / found and r = common / wanted
    return 2 * common / (len(found) + len(wanted)) if common else 0.0


def _plain(text):
    return text.lower().strip().translate(WITHOUT_PUNCTUATION)


def _words(text):
    words = []
    for piece in CHINESE.split(_plain(text)):
        words += [piece] if CHINESE.match(piece) else english_words(piece)
    return words


def _answers(data):
    """Pairs (question id, list of correct answers) of any of the formats."""
    if isinstance(data, dict) and not isinstance(data.get("data"), list):
        yield from data.items()
        return
    articles = data["data"] if isinstance(data, dict) else data
    for article, at_article in _entries(articles, "data"):
        paragraphs = article.get("paragraphs", [article])
        for paragraph, at_paragraph in _entries(paragraphs, f"{at_article}.paragraphs"):
            questions = _of(paragraph, at_paragraph, "qas")
            for question, place in _entries(questions, f"{at_paragraph}.qas"):
                answers = _texts(_of(question, place, "answers"), f"{place}.answers")
                yield _of(question, place, "id", "query_id"), answers


def _entries(entries, place):
    if not isinstance(entries, list):
        raise ValueError(f"{place}: expected a list, found {entries!r:.80}; fix: CMRC2018's format")
    for number, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise ValueError(f"{place}[{number}]: expected an object, found {entry!r:.80}")
        yield entry, f"{place}[{number}]"


def _of(entry, place, *keys):
    for key in keys:
        if key in entry:
            return entry[key]
    raise ValueError(
        f"{place}: expected the key {' or '.join(map(repr, keys))}, found {list(entry)}; fix: a "
        "file in CMRC2018's or SQuAD's format, with answers"
    )


def _texts(answers, place):
    if isinstance(answers, list) and all(isinstance(answer, dict) for answer in answers):
        return [_of(answer, f"{place}[{i}]", "text") for i, answer in enumerate(answers)]
    return answers
