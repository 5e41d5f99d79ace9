"""Named entities: texts with labelled spans of characters."""

from bert4keras_ext.data.readers import read_jsonl


def read_cluener(path, labels=None, errors="raise"):
    """Reads CLUENER and others in that form: one JSON object a line,

    ``{"text": "浙商银行的叶老桂", "label": {"name": {"叶老桂": [[5, 7]]}}}``

    Args:
        path: a file of JSON objects; `label` is missing in test sets.
        labels: names that a label may have; by default any. Give the training file's to the other
            files of a task.
        errors: `"raise"` or `"skip"` (see `read_jsonl`).

    Returns:
        List of (text, spans), spans a list of (start, end, label), sorted, the end inclusive:
        `text[start : end + 1]`; `None` for a row without `label`.

    Raises:
        RowError: a row without text, an unknown label, or a span that does not hold its text.
        FileNotFoundError: no such file.

    Example::

        train = read_cluener("cluener/train.json")
        labels = sorted({label for _, spans in train for *_, label in spans})
        dev = read_cluener("cluener/dev.json", labels)
        train[0][1][0]   # (0, 3, "company")

    Source: Xu et al. 2020, arXiv 2001.04351.
    """

    def convert(row):
        text = _of_type(row["text"], str, "a text under 'text'")
        entities = row.get("label")
        if entities is None:
            return text, None
        spans = _spans(entities, text)
        for *_, label in spans:
            if labels is not None and label not in labels:
                raise ValueError(f"expected a label out of {list(labels)!r:.200}, found {label!r}")
        return text, spans

    return read_jsonl(path, required=("text",), errors=errors, convert=convert)


def cluener_label(text, spans):
    """What a row of CLUENER, or of its submission, holds as `label`; `read_cluener` reads it.

    Args:
        text: the text.
        spans: (start, end, label) of the entities, the end inclusive.

    Returns:
        `{label: {text of the span: [[start, end], ...]}}`

    Example:

    >>> cluener_label("浙商银行的叶老桂", [(5, 7, "name"), (0, 3, "company")])
    {'company': {'浙商银行': [[0, 3]]}, 'name': {'叶老桂': [[5, 7]]}}
    """
    found = {}
    for start, end, label in sorted(spans):
        found.setdefault(label, {}).setdefault(text[start : end + 1], []).append([start, end])
    return found


def token_span(start, end, places):
    """The (first, last) tokens that hold the characters from start to end, both inclusive.

    None if no token holds them, or if the row was cut before `end`.

    Args:
        start, end: places in the text.
        places: for each token the characters that it came from, as a tokenizer's `rematch` gives
            them.

    Example:

    >>> token_span(2, 3, [[], [0], [1], [2, 3], []])
    (3, 3)
    """
    held = [i for i, each in enumerate(places) if each and each[0] <= end and start <= each[-1]]
    is_whole = held and end <= max(each[-1] for each in places if each)
    return (held[0], held[-1]) if is_whole else None


def _spans(entities, text):
    """The sorted (start, end, label) of {label: {text of the span: [[start, end], ...]}}."""
    spans = set()
    for label, found in _of_type(entities, dict, "an object {label: {text: spans}}").items():
        for part, places in _of_type(found, dict, f"an object {{text: spans}} of {label}").items():
            for place in _of_type(places, list, f"a list of spans of {part!r}"):
                spans.add((*_checked_place(place, part, text), label))
    return sorted(spans)


def _checked_place(place, part, text):
    if not (isinstance(place, list) and [type(each) for each in place] == [int, int]):
        raise ValueError(f"expected a span [start, end] of {part!r}, found {place!r:.60}")
    start, end = place
    if not 0 <= start <= end or text[start : end + 1] != part:
        raise ValueError(
            f"expected {part!r} from character {start} to {end}, the end inclusive, found "
            f"{text[max(start, 0) : end + 1]!r:.60}; it begins at {text.find(part)} (-1: nowhere)"
        )
    return start, end


def _of_type(value, kind, what):
    if not isinstance(value, kind):
        raise ValueError(f"expected {what}, found {type(value).__name__}: {value!r:.60}")
    return value
