"""What generation metrics count: the characters of a Chinese text, or the tokens of a list."""

from contextlib import contextmanager


def as_tokens(text, name="text"):
    """Tokens of a text or of a list.

    Args:
        text: `str`: its characters, lower-cased, without white space, as papers on Chinese
            generation count them; or a list of tokens, taken as they are.
        name: of the argument, for the error.

    Returns:
        List of tokens.

    Raises:
        TypeError: neither a text nor a list of tokens.

    Example:

    >>> as_tokens("用 BERT")
    ['用', 'b', 'e', 'r', 't']
    """
    if isinstance(text, str):
        return " ".join(text).lower().split()
    if isinstance(text, (bytes, dict, set)) or not hasattr(text, "__iter__"):
        raise TypeError(
            f"{name}: expected a text (str) or a list of tokens, found {type(text).__name__}: "
            f"{text!r:.60}; fix: decode or tokenize it first"
        )
    return list(text)


@contextmanager
def in_row(number):
    """Lets an error of what is done with a row say which one it was."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise type(error)(f"row {number}: {error}") from None


def check_same_length(candidates, references, names):
    """Raises ValueError if two lists do not hold one entry for each other's."""
    for x, name in zip((candidates, references), names):
        if isinstance(x, (str, bytes, dict)) or not hasattr(x, "__len__"):
            raise TypeError(
                f"{name}: expected a list with one entry for each row, found "
                f"{type(x).__name__}: {x!r:.60}"
            )
    if len(candidates) != len(references):
        raise ValueError(
            f"expected as many {names[0]} as {names[1]}, found {len(candidates)} and "
            f"{len(references)}; fix: give an empty text for a row without an answer"
        )
    if not len(candidates):
        raise ValueError(f"expected at least one row, found no {names[0]}")
