"""Predicted answers beside the questions they belong to: what does not match is named."""

SHOWN = 3  # ids that an error lists


def by_question(rows, name, check):
    """{question id: checked value}, in order.

    Args:
        rows: a dict, or an iterable of pairs (id, value).
        name: of the argument, for errors.
        check: function from a value to what is kept; it raises ValueError.

    Raises:
        TypeError: another kind of thing.
        ValueError: an id that occurs twice, or a value that `check` refuses.
    """
    found = {}
    for id, value in _pairs(rows, name):
        id = str(id).strip()
        if id in found:
            raise ValueError(
                f"{name}: question {id!r} occurs twice (ids are compared as text); expected one "
                "entry for each question, fix: remove one of them"
            )
        try:
            found[id] = check(value)
        except ValueError as error:
            raise ValueError(f"{name}: question {id!r}: {error}") from None
    return found


def _pairs(rows, name):
    if isinstance(rows, dict):
        return rows.items()
    if isinstance(rows, (str, bytes)) or not hasattr(rows, "__iter__"):
        raise TypeError(
            f"{name}: expected a dict {{question id: answer}} or pairs (id, answer), found "
            f"{type(rows).__name__}: {rows!r:.80}"
        )
    rows = list(rows)
    for place, row in enumerate(rows):
        if not isinstance(row, (tuple, list)) or len(row) != 2:
            raise TypeError(f"{name}: expected pairs (id, answer), found at {place}: {row!r:.80}")
    return rows


def a_text(value):
    """The check of a predicted answer."""
    if not isinstance(value, str):
        raise ValueError(
            f"expected the answer as text, found {type(value).__name__}: {value!r:.80}; fix: '' "
            "where there is none"
        )
    return value


def some_texts(value):
    """The check of correct answers: a list of at least one."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, (list, tuple)) or not texts:
        raise ValueError(f"expected a correct answer, or a list of some, found {value!r:.80}")
    for text in texts:
        if not isinstance(text, str):
            raise ValueError(f"expected correct answers as texts, found among them {text!r:.80}")
    return list(texts)


def check_complete(wanted, found, remedy):
    """Raises ValueError if a wanted question has no prediction."""
    missing = [id for id in wanted if id not in found]
    if missing:
        raise ValueError(
            f"predictions: expected an answer for each of {len(wanted)} questions, found none for "
            f"{len(missing)}: {_listed(missing)}; fix: {remedy}"
        )


def check_known(found, known, remedy, name="predictions"):
    """Raises ValueError if an id belongs to no question."""
    extra = [id for id in found if id not in known]
    if extra:
        raise ValueError(
            f"{name}: expected ids of the {len(known)} questions, found {len(extra)} others: "
            f"{_listed(extra)}; fix: {remedy}"
        )


def check_some(rows, name):
    """Raises ValueError where there is nothing to score."""
    if not rows:
        raise ValueError(f"{name}: expected at least one question, found none")


def _listed(ids):
    return ", ".join(map(repr, ids[:SHOWN])) + (", ..." if len(ids) > SHOWN else "")
