"""Readers of the CLUE tasks and sets of their shape: texts with label numbers."""

from bert4keras_ext.data.readers import _open_bytes, read_jsonl, read_table

# How CLUE's files mark a row nobody agreed on (OCNLI), and how test rows leave the label out.
_NO_LABEL = ("-", "", None)


def read_labels(path):
    """Reads CLUE's `labels.json`: a dict {label: description}, in the order of the file.

    The place of a label is its number: `list(read_labels(path))[number]` is the label again,
    for submissions.

    Example::

        labels = read_labels("tnews/labels.json")   # {"100": "news_story", ...}
    """
    labels = {}

    def add(row):
        label = str(row["label"])
        if label in labels:
            raise ValueError(
                f"expected each label once, found {label!r} again; is this labels.json, not data?"
            )
        labels[label] = row.get("label_desc", row.get("label_des", ""))

    read_jsonl(path, required=("label",), convert=add)
    return labels


def distinct_labels(rows, key="label"):
    """The labels that occur in rows (dicts), sorted; numbers by their value.

    >>> distinct_labels([{"label": "10"}, {"label": "2"}, {"label": 2}, {}])
    ['2', '10']
    """
    labels = {str(row[key]) for row in rows if row.get(key) not in _NO_LABEL}
    return sorted(labels, key=lambda label: (len(label), label) if label.isdigit() else (99, label))


def read_sentences(path, labels=None, errors="raise", text="sentence"):
    """Reads single texts with a label: TNEWS, IFLYTEK and others in that form.

    Args:
        path: a file of JSON objects; the label may be missing (test sets) or a number.
        labels: what the label numbers mean: the path of a `labels.json`, or a sequence of labels.
            By default the distinct labels of this very file, sorted - good for a training file;
            give the same labels to all files of a task.
        errors: `"raise"` or `"skip"` (see `read_jsonl`).
        text: key of the text.

    Returns:
        List of (text, label number or `None`).

    Raises:
        RowError: a row without text, or a label that is not among `labels`.

    Example::

        train = read_sentences("iflytek/train.json", labels="iflytek/labels.json")
    """
    numbered = _numbering(labels)

    def convert(row):
        return _text(row, text), numbered(row.get("label"))

    rows = read_jsonl(path, required=(text,), errors=errors, convert=convert)
    return rows if labels is not None else _numbered_afterwards(rows)


def read_pairs(path, labels=None, errors="raise", columns=("sentence1", "sentence2", "label")):
    """Reads pairs of texts with a label: AFQMC, OCNLI, CMNLI, LCQMC and others in that form.

    Args:
        path: a file of JSON objects, or a tab separated one without header: text, text, label.
            Test files leave out the label (in a table, in all rows).
        labels, errors: as in `read_sentences`.
        columns: keys of the two texts and of the label in JSON objects.

    Returns:
        List of (first text, second text, label number or `None`). OCNLI's label "-" is `None`:
        leave such rows out of training and evaluation.

    Example::

        dev = read_pairs("ocnli/dev.json", labels=("entailment", "neutral", "contradiction"))
    """
    numbered = _numbering(labels)
    first, second, label = columns

    def convert(row):
        return _text(row, first), _text(row, second), numbered(row.get(label))

    if _looks_like_json(path):
        rows = read_jsonl(path, required=(first, second), errors=errors, convert=convert)
    else:
        rows = read_table(
            path, errors=errors, convert=lambda fields: convert(_as_row(fields, columns))
        )
    return rows if labels is not None else _numbered_afterwards(rows)


def read_tnews(path, labels=None, errors="raise"):
    """TNEWS (short news titles, 15 classes): `read_sentences` by another name.

    The official labels are "100" to "116" (without two): pass `labels="labels.json"`.
    """
    return read_sentences(path, labels, errors)


def read_afqmc(path, errors="raise"):
    """AFQMC (do two questions mean the same): `read_pairs` with the labels "0" and "1"."""
    return read_pairs(path, labels=("0", "1"), errors=errors)


def read_csl(path, labels=("0", "1"), errors="raise"):
    """Reads CSL: do these keywords, all of them, belong to that abstract?

    Args:
        path: a file of JSON objects with "keyword" (a list of texts), "abst" and "label".
        labels, errors: as in `read_sentences`.

    Returns:
        List of (list of keywords, abstract, label number or `None`).

    Raises:
        RowError: a row without keywords or abstract, or a label that is not among `labels`.

    Example::

        train = read_csl("csl/train.json")
    """
    numbered = _numbering(labels)

    def convert(row):
        keywords = row["keyword"]
        if not isinstance(keywords, list) or not all(isinstance(word, str) for word in keywords):
            raise ValueError(f"expected a list of texts under 'keyword', found {keywords!r:.60}")
        return keywords, _text(row, "abst"), numbered(row.get("label"))

    return read_jsonl(path, required=("keyword", "abst"), errors=errors, convert=convert)


def read_wsc(path, labels=("false", "true"), errors="raise"):
    """Reads CLUEWSC2020: does the second span of the text (a pronoun) mean the first one?

    Args:
        path: a file of JSON objects with "text", "label" and "target": the text of either span and
            its index, such as "span1_text" and "span1_index".
        labels, errors: as in `read_sentences`.

    Returns:
        List of (text, first span, second span, label number or `None`), a span being (start, end).

    Raises:
        RowError: a row without text or spans, a span that is not where its index says, spans that
            overlap, or a label that is not among `labels`.

    Example::

        text, first, second, label = read_wsc("cluewsc2020/train.json")[0]
        text[slice(*first)]   # "伤口"
    """
    numbered = _numbering(labels)

    def convert(row):
        text = _text(row, "text")
        first, second = (_span(text, row["target"], name) for name in ("span1", "span2"))
        if max(first[0], second[0]) < min(first[1], second[1]):
            raise ValueError(f"expected two spans apart, found {first} and {second}")
        return text, first, second, numbered(row.get("label"))

    return read_jsonl(path, required=("text", "target"), errors=errors, convert=convert)


def _span(text, target, name):
    keys = [f"{name}_text", f"{name}_index"]
    if not isinstance(target, dict) or not set(keys) <= set(target):
        raise ValueError(f"expected keys {keys} under 'target', found {target!r:.100}")
    words, start = _text(target, keys[0]), target[keys[1]]
    if not isinstance(start, int) or start < 0 or not words or not text.startswith(words, start):
        raise ValueError(f"expected {name} {words!r:.40} at {start!r:.20} of the text {text!r:.60}")
    return start, start + len(words)


def read_sts(path, errors="raise"):
    """Reads tab separated text, text, score: a list of (text, text, float)."""

    def convert(row):
        return row["sentence1"], row["sentence2"], _score(row["score"])

    return read_table(path, ("sentence1", "sentence2", "score"), errors=errors, convert=convert)


def _score(field):
    try:
        return float(field)
    except ValueError:
        raise ValueError(f"expected a number as score, found {field!r}") from None


def _text(row, key):
    text = row[key]
    if not isinstance(text, str):
        raise ValueError(f"expected text under {key!r}, found {type(text).__name__}: {text!r:.60}")
    return text


def _as_row(fields, columns):
    if len(fields) not in (2, 3):
        raise ValueError(f"expected 2 or 3 fields parted by tabs, found {len(fields)}")
    return dict(zip(columns, fields))


def _numbering(labels):
    """A function from a label to its number; the label itself while there are no `labels`."""
    if labels is None:
        return lambda label: None if label in _NO_LABEL else str(label)
    if isinstance(labels, (str, bytes)) or hasattr(labels, "open"):
        labels = read_labels(labels)
    numbers = {str(label): number for number, label in enumerate(labels)}

    def number(label):
        if str(label) in numbers:
            return numbers[str(label)]
        if label in _NO_LABEL:
            return None
        raise ValueError(f"expected a label out of {list(numbers)!r:.200}, found {label!r}")

    return number


def _numbered_afterwards(rows):
    labels = distinct_labels({"label": row[-1]} for row in rows)
    numbers = {label: number for number, label in enumerate(labels)}
    return [(*row[:-1], numbers.get(row[-1])) for row in rows]


def _looks_like_json(path):
    with _open_bytes(path) as file:
        return file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{")
