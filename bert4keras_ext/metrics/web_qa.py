"""WebQA's strict and fuzzy scores."""

from bert4keras_ext.metrics.answers import (
    by_question,
    check_complete,
    check_known,
    check_some,
    some_texts,
)
from bert4keras_ext.metrics.fuzzy_matching import FuzzyMatcher, normal_form
from bert4keras_ext.metrics.progress import with_progress


def webqa_score(predictions, answers, synonyms=(), strict=True, progress=None):
    """Precision, recall and F1 of predicted answers, by strict and by fuzzy matching.

    With R the questions one of whose predicted answers is right::

        precision = |R| / answers predicted,   recall = |R| / questions,   F1 = 2 p r / (p + r)

    Strict: an answer is right if it equals a correct one but for blanks and case. Fuzzy: also if
    the two name the same thing: one of `synonyms`, or by a rule on their form, as `"北京市"` and
    `"北京"`, `"《红楼梦》"` and `"红楼梦"`, `"第3个"` and `"3"` (see `FuzzyMatcher`).

    Args:
        predictions: dict {question id: text, or list of texts}, or pairs; `""` or an empty list
            where there is no answer.
        answers: dict {question id: correct answer, or list of them}; `"no_answer"` for a question
            that has none, which the prediction `"no_result"` gets right.
        synonyms: groups of names of one thing. WebQA's own tool has a list that was made for its
            validation and test sets, and tables of places, which are not repeated here: to
            compare with published fuzzy scores, hand that list over.
        strict: whether a question without an entry in `predictions` is an error; `False` counts
            it as not answered. (Unknown questions always are one.)
        progress: `True`, `False`, or `None`: a progress bar if it takes more than two seconds.

    Returns:
        `{"strict": {"precision", "recall", "f1"}, "fuzzy": {...}, "total", "answered"}`; the scores
        from 0 to 1, the counts of questions and of answers predicted.

    Raises:
        ValueError: ids that do not match or occur twice, answers that are no texts.
        TypeError: other things than dicts or pairs.

    Example:

    >>> answers = {"1": "北京市", "2": ["萧何", "萧相国"], "3": "红色"}
    >>> scores = webqa_score({"1": "北京", "2": "萧何", "3": ""}, answers)
    >>> scores["strict"]["precision"], scores["fuzzy"]["precision"]
    (0.5, 1.0)

    Source: Li et al. 2016, "Dataset and Neural Recurrent Sequence Labeling Model for Open-Domain
    Factoid Question Answering", arXiv 1607.06275.
    """
    answers = by_question(answers, "answers", some_texts)
    check_some(answers, "answers")
    predictions = by_question(predictions, "predictions", _predicted)
    check_known(predictions, answers, "take the answers of the same split, or leave them out")
    if strict:
        check_complete(answers, predictions, "predict '' where there is none, or strict=False")
    is_synonym = FuzzyMatcher(synonyms)
    right, answered = {"strict": 0, "fuzzy": 0}, 0
    for id, correct in with_progress(answers.items(), progress, "WebQA", " questions"):
        predicted = predictions.get(id, [])
        answered += len(predicted)
        exact = _is_right(predicted, correct, _is_same)
        right["strict"] += exact
        right["fuzzy"] += exact or _is_right(predicted, correct, is_synonym)
    scores = {name: _ratios(count, answered, len(answers)) for name, count in right.items()}
    return {**scores, "total": len(answers), "answered": answered}


def _predicted(value):
    """The check of predicted answers: those that are none are dropped."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, (list, tuple)) or not all(isinstance(x, str) for x in texts):
        raise ValueError(
            f"expected an answer as text, or a list of texts, found {value!r:.80}; fix: '' where "
            "there is none"
        )
    return [text for text in texts if normal_form(text)]


def _is_right(predicted, correct, is_same):
    return any(is_same(a, b) for a in predicted for b in correct)


def _is_same(predicted, correct):
    predicted, correct = normal_form(predicted), normal_form(correct)
    return predicted == correct or (predicted, correct) == ("no_result", "no_answer")


def _ratios(right, answered, total):
    precision, recall = right / answered if answered else 0.0, right / total
    f1 = 2 * precision * recall / (precision + recall) if right else 0.0
    return {"precision": precision, "recall": recall, "f1": f1}
