"""Constraints: processors that leave only what may stand in an answer."""

import numpy as np
from keras import ops

from bert4keras_ext.generation.search import FORBIDDEN
from bert4keras_ext.generation.token_sets import among, as_ids, check_ids, followers, marked


class ExtractiveNgrams:
    """Allows only what stands in the source: every n tokens in a row are some passage's.

    The end token is always allowed.

    Args:
        passages: for each row of the inputs a list of passages, each a list of ids. (Under
            ``votes``: for each group of rows.)
        n: how long the runs are that must be found; None is the whole answer.
        end_id: the end token, or several.

    Raises:
        ValueError, TypeError: for an n below 1; for passages of another form; and, when it is used,
            for ids outside of the vocabulary.

    Source: article 7115.
    """

    def __init__(self, passages, n=None, end_id=()):
        if n is not None and n < 1:
            raise ValueError(f"expected n of at least 1, or None for the whole answer; found {n}")
        self.n = n
        self.end_ids = as_ids(end_id)
        self.text = _side_by_side(passages)
        self.number_of_rows = len(self.text)

    def __call__(self, scores, generated):
        vocabulary = scores.shape[-1]
        check_ids(self.text[self.text != -1], vocabulary)
        text = ops.take(ops.convert_to_tensor(self.text), generated.rows, axis=0)
        text = ops.repeat(text[:, None], ops.shape(scores)[1], axis=1)
        if self.n is None:
            found = _after_all(text, generated.tokens, generated.length)
        else:
            found = followers(text, generated.tokens, generated.length, self.n - 1)
        allowed = ops.logical_or(marked(found, vocabulary), among(self.end_ids, vocabulary))
        return ops.where(allowed, scores, FORBIDDEN)


def _after_all(text, tokens, length):
    """What follows in a text wherever all tokens stand, -1 elsewhere: (batch, width, places)."""
    batch, width, places = ops.shape(text)
    text = ops.concatenate([text, ops.full_like(text, -1)], axis=2)

    def later(count):
        """What stands so many places after each of the text."""
        return ops.slice(text, (0, 0, ops.minimum(count, places)), (batch, width, places))

    def agree_with_one_more(count, begins):
        token = ops.take(tokens, count, axis=2)[..., None]
        return ops.logical_and(begins, later(count) == token)

    begins = ops.fori_loop(0, length, agree_with_one_more, later(0) >= 0)
    return ops.where(begins, later(length), -1)


def _side_by_side(passages):
    """int32 (rows, places): the passages of each row, each followed by -1."""
    rows = []
    for number, row in enumerate(passages):
        line = [-1]
        for passage in _as_list(row, number):
            ids = np.asarray(_as_list(passage, number))
            if ids.ndim != 1 or ids.size and (ids.dtype.kind not in "iu" or ids.min() < 0):
                raise ValueError(
                    f"expected passages of ids, whole numbers from 0 on, found {passage!r:.60} in "
                    f"row {number}"
                )
            line += [*ids.tolist(), -1]
        rows.append(line)
    text = np.full((len(rows), max([len(row) for row in rows] + [1])), -1, "int32")
    for line, row in zip(text, rows):
        line[: len(row)] = row
    return text


def _as_list(values, number):
    if isinstance(values, (list, tuple, np.ndarray)):
        return values
    raise TypeError(
        f"expected for each row a list of passages, each a list of ids, found {values!r:.60} in "
        f"row {number}: one passage is a list in a list"
    )
