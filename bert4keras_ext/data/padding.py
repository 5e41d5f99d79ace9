"""Ragged rows into one rectangular array."""

import numpy as np


def sequence_padding(
    inputs, length=None, value=0, seq_dims=1, mode="post", *, multiple=None, dtype=None
):
    """Pads (and cuts) rows to a common length and stacks them.

    Args:
        inputs: list of rows; a row is a list of numbers, an array, or lists nested `seq_dims`
            deep. What lies deeper than `seq_dims` must be regular and is left alone.
        length: length after padding, one entry for each of the `seq_dims` dimensions (a single
            int will do for one). `None`, alone or as an entry: the longest row. Longer rows
            lose their end, in both modes.
        value: what to fill with.
        seq_dims: how many dimensions, counted after the batch, are padded.
        mode: `"post"` pads behind the row, `"pre"` in front of it.
        multiple: rounds lengths that were found, not given, up to a multiple: XLA compiles once
            per shape. One int for all the padded dimensions or one (or `None`) for each.
        dtype: of the result; by default the common dtype of the rows that are not empty.

    Returns:
        An array (batch, length_1, ..., length_seq_dims, ...).

    Raises:
        ValueError: `inputs` is empty, `mode`, `length` or `multiple` do not fit, rows differ
            below `seq_dims`, or `value` cannot be held by the result's dtype.

    Example:

    >>> sequence_padding([[1, 2, 3], [4]])
    array([[1, 2, 3],
           [4, 0, 0]])
    >>> sequence_padding([[1, 2, 3], [4]], mode="pre", value=-1)
    array([[ 1,  2,  3],
           [-1, -1,  4]])
    >>> sequence_padding([[1, 2, 3], [4]], multiple=32).shape
    (2, 32)
    >>> sequence_padding([[[1, 2], [3]], [[4]]], seq_dims=2).tolist()
    [[[1, 2], [3, 0]], [[4, 0], [0, 0]]]
    """
    _check(inputs, seq_dims, mode)
    rows = _as_arrays(inputs, seq_dims)
    dtype, inner_shape = _dtype_and_inner_shape(list(_leaves(rows, seq_dims)), dtype)
    lengths = _target_lengths(rows, seq_dims, length, multiple)
    result = _filled((len(rows), *lengths, *inner_shape), value, dtype)
    for target, row in zip(result, rows):
        _fill(target, row, seq_dims, mode)
    return result


def _check(inputs, seq_dims, mode):
    if len(inputs) == 0:
        raise ValueError("expected at least one row to pad, received none")
    if mode not in ("post", "pre"):
        raise ValueError(f"expected mode 'post' or 'pre', received {mode!r}")
    if seq_dims < 1:
        raise ValueError(f"expected seq_dims >= 1, received {seq_dims}")


def _as_arrays(rows, depth):
    """`rows` with everything that lies `depth` levels down made an array."""
    try:
        if depth == 1:
            return [_as_array(row) for row in rows]
        return [_as_arrays(row, depth - 1) for row in rows]
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"expected rows of numbers nested as deep as seq_dims says, received {rows!r:.80} "
            f"({error}); fix: another seq_dims"
        ) from None


def _as_array(row):
    # NumPy calls an empty list float64; an empty array has a dtype of its own.
    return np.zeros(0, "int64") if isinstance(row, (list, tuple)) and not row else np.asarray(row)


def _leaves(rows, depth):
    for row in rows:
        if depth == 1:
            yield row
        else:
            yield from _leaves(row, depth - 1)


def _fill(target, row, depth, mode):
    count = min(len(row), len(target))
    # An empty row is also empty of dtype and inner shape: nothing to write.
    if not count:
        return
    start = len(target) - count if mode == "pre" else 0
    if depth == 1:
        target[start : start + count] = row[:count]
        return
    for inner_target, inner in zip(target[start:], row):
        _fill(inner_target, inner, depth - 1, mode)


def _target_lengths(rows, seq_dims, length, multiple):
    lengths = _per_dimension(length, seq_dims, "length")
    multiples = [multiple] * seq_dims
    if multiple is not None and not isinstance(multiple, (int, np.integer)):
        multiples = _per_dimension(multiple, seq_dims, "multiple")
    longest = _longest(rows, seq_dims) if None in lengths else lengths
    return [
        given if given is not None else -(-found // (step or 1)) * (step or 1)
        for given, found, step in zip(lengths, longest, multiples)
    ]


def _per_dimension(value, seq_dims, name):
    if value is None:
        return [None] * seq_dims
    entries = [value] if isinstance(value, (int, np.integer)) else list(value)
    if any(entry is not None and entry < 0 for entry in entries):
        raise ValueError(f"expected {name} >= 0, received {value!r}")
    if len(entries) != seq_dims:
        raise ValueError(
            f"expected {name} to have one entry for each of the {seq_dims} padded dimensions, "
            f"received {value!r}"
        )
    return entries


def _longest(rows, depth):
    """The longest length at each of `depth` levels below `rows`."""
    longest = [max(map(len, rows), default=0)]
    if depth == 1:
        return longest
    return longest + _longest([inner for row in rows for inner in row], depth - 1)


def _dtype_and_inner_shape(leaves, dtype):
    if any(not leaf.ndim for leaf in leaves):
        raise ValueError(
            "expected rows of numbers, received a bare number in place of a row; "
            "fix: another seq_dims, or np.array for plain numbers"
        )
    if not leaves:  # rows without any inner one
        return dtype or np.int64, ()
    # bert4keras makes a whole batch float64 as soon as one row is empty, since NumPy calls an
    # empty list float64; embedding look-ups then fail. Here empty rows have no say.
    filled = [leaf for leaf in leaves if leaf.size]
    if not filled:  # then arrays that know what they are empty of
        filled = [leaf for leaf in leaves if leaf.ndim > 1] or leaves
    shapes = {leaf.shape[1:] for leaf in filled}
    if len(shapes) > 1:
        raise ValueError(
            f"expected rows that differ in their padded dimensions only, received inner shapes "
            f"{sorted(shapes)}; fix: a larger seq_dims"
        )
    return dtype or np.result_type(*{leaf.dtype for leaf in filled}), shapes.pop()


def _filled(shape, value, dtype):
    try:
        with np.errstate(invalid="ignore"):
            result = np.full(shape, value, dtype)
        is_nan = value != value and np.issubdtype(result.dtype, np.inexact)
        fits = is_nan or not result.size or result.flat[0] == value
    except (OverflowError, ValueError):
        fits = False
    if not fits:
        raise ValueError(
            f"expected a padding value that {np.dtype(dtype)} can hold, received {value!r}; "
            "fix: pass dtype="
        )
    return result
