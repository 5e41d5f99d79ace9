"""Sets of tokens, as processors find, forbid and allow them."""

import numpy as np
from keras import ops


def as_ids(ids):
    """A tuple of ints, from one id or several."""
    return (int(ids),) if isinstance(ids, (int, np.integer)) else tuple(int(i) for i in ids)


def check_ids(ids, vocabulary):
    """Raises ValueError for ids that are outside of the vocabulary."""
    ids = np.asarray(ids, "int64")
    outside = ids[(ids < 0) | (ids >= vocabulary)]
    if len(outside):
        raise ValueError(
            f"expected ids of the {vocabulary} tokens of the model, found {outside[:5].tolist()}: "
            "do they come from another vocabulary?"
        )


def among(ids, vocabulary):
    """A constant bool (vocabulary,): which tokens are among ids."""
    check_ids(ids, vocabulary)
    found = np.zeros(vocabulary, "bool")
    found[list(ids)] = True
    return ops.convert_to_tensor(found)


def marked(ids, vocabulary):
    """bool (batch, width, vocabulary): which tokens are among ids (batch, width, n); -1 is none."""
    batch, width, number = ops.shape(ids)
    first = ops.reshape(ops.arange(batch * width) * (vocabulary + 1), (batch, width, 1))
    places = ops.reshape(first + ops.where(ids < 0, vocabulary, ids), (-1, 1))
    found = ops.zeros((batch * width * (vocabulary + 1),), "bool")
    found = ops.scatter_update(found, places, ops.ones((batch * width * number,), "bool"))
    return ops.reshape(found, (batch, width, vocabulary + 1))[..., :vocabulary]


def followers(text, written, end, size):
    """What follows in a text wherever the last ``size`` written tokens stand: -1 elsewhere.

    Args:
        text, written: int32 (batch, width, places), -1 where there is no token.
        end: how many places of ``written`` count, a scalar.
        size: how many tokens have to agree; where fewer are written, these do.

    Returns:
        int32 (batch, width, places), of text's places.
    """
    agree = ops.ones_like(text, dtype="bool")
    for back in range(1, size + 1):
        token = ops.take(written, ops.maximum(end - back, 0), axis=2)[..., None]
        same = ops.logical_and(shifted(text, back) == token, token >= 0)
        agree = ops.logical_and(agree, ops.logical_or(same, end < back))
    return ops.where(agree, text, -1)


def shifted(text, places):
    """Each place has what stood ``places`` before it; -1 at the beginning."""
    moved = ops.roll(text, places, axis=-1)
    return ops.where(ops.arange(ops.shape(text)[-1]) < places, -1, moved)
