"""Rows of ids to rectangular arrays."""

from itertools import chain

import numpy as np


def pad_rows(rows, width, value):
    """int32 array (rows, width) that holds each row on the left and `value` after it."""
    lengths = np.fromiter(map(len, rows), np.int64, len(rows))
    padded = np.full((len(rows), width), value, np.int32)
    filled = np.arange(width) < lengths[:, None]
    padded[filled] = np.fromiter(chain.from_iterable(rows), np.int32, int(lengths.sum()))
    return padded


def padded_width(longest, length=None, multiple=None):
    """The number of columns: `length`, or the longest row's length rounded up to a multiple."""
    for name, value in (("length", length), ("multiple", multiple)):
        if value is not None and (not isinstance(value, (int, np.integer)) or value < 1):
            raise ValueError(f"{name}: expected a positive integer or None, found {value!r}")
    if length is None:
        return longest if multiple is None else -(-longest // multiple) * multiple
    if multiple is not None and length % multiple:
        raise ValueError(
            f"expected length to be a multiple of `multiple`, found {length} and {multiple}. Give "
            "one of the two"
        )
    if longest > length:
        raise ValueError(
            f"length: expected rows of at most {length} tokens, found one of {longest}. "
            f"Give maxlen={length} as well to cut them, or a larger length"
        )
    return length
