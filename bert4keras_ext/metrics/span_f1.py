"""Precision, recall and F1 of predicted entities or spans."""

from collections import Counter

from bert4keras_ext.metrics.progress import with_progress
from bert4keras_ext.metrics.tokens import check_same_length


def span_f1(predictions, references, labels=True, progress=None):
    """Micro precision, recall and F1 of sets of spans.

    A span is right if the reference of its row holds it: start, end and label alike. Counted
    over all rows::

        precision = right / predicted,   recall = right / expected,
        F1 = 2 right / (predicted + expected)

    which are 0 where nothing was predicted or expected; where neither was, in all rows, F1 is 1.

    Args:
        predictions: a list with one collection of spans a row. A span is a tuple, as
            `(start, end, label)` or, without labels, `(start, end)`; a label that is a text may
            also stand first. A span that stands twice in a row counts once.
        references: the same, of the same length.
        labels: `False`: labels are left out of the comparison (where is there an entity?), and
            spans of one place count once.
        progress: `True`, `False`, or `None`: a progress bar if it takes more than two seconds.

    Returns:
        `{"precision", "recall", "f1", "right", "predicted", "expected"}`.

    Raises:
        ValueError: lists of different lengths, or spans of another form; the row is named.
        TypeError: other things than lists.

    Example:

    >>> found = [[(0, 2, "人名"), (5, 7, "地名")], []]
    >>> wanted = [[(0, 2, "人名"), (5, 7, "机构")], [(1, 3, "地名")]]
    >>> scores = span_f1(found, wanted)
    >>> scores["precision"], round(scores["recall"], 4), round(scores["f1"], 4)
    (0.5, 0.3333, 0.4)
    >>> span_f1(found, wanted, labels=False)["f1"]
    0.8
    """
    right, predicted, expected = 0, 0, 0
    for found, wanted in _rows(predictions, references, labels, progress):
        right, predicted, expected = (
            right + len(found & wanted),
            predicted + len(found),
            expected + len(wanted),
        )
    return _ratios(right, predicted, expected)


def span_f1_report(predictions, references, progress=None):
    """`span_f1` of each label, and over all.

    Args, raises: as `span_f1`; every span needs a label.

    Returns:
        `{label: scores}`, labels in order, then `"micro"` (all spans) and `"macro"` (the mean of
        the labels' precision, recall and F1), each as `span_f1` returns them.

    Example:

    >>> report = span_f1_report([[(0, 2, "人名"), (5, 7, "地名")]], [[(0, 2, "人名")]])
    >>> {label: round(scores["f1"], 4) for label, scores in report.items()}
    {'人名': 1.0, '地名': 0.0, 'micro': 0.6667, 'macro': 0.5}
    """
    right, predicted, expected = Counter(), Counter(), Counter()
    for found, wanted in _rows(predictions, references, True, progress, needs_labels=True):
        for counter, spans in ((right, found & wanted), (predicted, found), (expected, wanted)):
            counter.update(label for label, *_ in spans)
    counters = (right, predicted, expected)
    names = sorted(predicted.keys() | expected.keys(), key=str)
    report = {name: _ratios(*(counter[name] for counter in counters)) for name in names}
    micro = _ratios(*(sum(counter.values()) for counter in counters))
    ratios = ("precision", "recall", "f1")
    means = {key: sum(report[n][key] for n in names) / len(names) for key in ratios if names}
    return {**report, "micro": micro, "macro": {**micro, **means}}


def _rows(predictions, references, labels, progress, needs_labels=False):
    """Pairs of sets {(label, places)} of each row."""
    check_same_length(predictions, references, ("predictions", "references"))
    rows = list(zip(predictions, references))
    for row, (found, wanted) in enumerate(with_progress(rows, progress, "span F1")):
        yield (
            _spans(found, labels, needs_labels, f"predictions, row {row}"),
            _spans(wanted, labels, needs_labels, f"references, row {row}"),
        )


def _spans(spans, labels, needs_labels, place):
    if isinstance(spans, (str, bytes)) or not hasattr(spans, "__iter__"):
        raise ValueError(f"{place}: expected a collection of spans, found {spans!r:.80}")
    found = set()
    for span in spans:
        label, places = _parted(span, place)
        if needs_labels and label is None:
            raise ValueError(f"{place}: expected a label in every span, found {span!r:.80}")
        found.add((label, places) if labels else (None, places))
    return found


def _parted(span, place):
    """(label or None, (start, end)) of a span."""
    parts = span.tolist() if hasattr(span, "tolist") else span
    if isinstance(parts, (tuple, list)) and 2 <= len(parts) <= 3:
        texts = [x for x in parts if isinstance(x, str)] or list(parts[2:])
        places = [x for x in parts if not isinstance(x, str)][:2]
        if len(texts) == len(parts) - 2 and all(hasattr(x, "__index__") for x in places):
            return (texts[0] if texts else None), tuple(map(int, places))
    raise ValueError(
        f"{place}: expected spans (start, end, label) of two whole numbers and a label, or "
        f"(start, end), found {span!r:.80}"
    )


def _ratios(right, predicted, expected):
    total = predicted + expected
    return {
        "precision": right / predicted if predicted else float(not total),
        "recall": right / expected if expected else float(not total),
        "f1": 2 * right / total if total else 1.0,
        "right": right,
        "predicted": predicted,
        "expected": expected,
    }
