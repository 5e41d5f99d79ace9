"""Batches in the form Keras 3 takes: tuples of arrays whose lengths may vary."""

import numbers

import numpy as np


def as_keras_batch(batch):
    """What bert4keras scripts yield, as Keras 3 wants it: lists of arrays become tuples.

    Args:
        batch: `(inputs, targets)`, `(inputs, targets, weights)` or `(inputs,)`, as a tuple or a
            list; anything else is taken for inputs alone. Inputs and targets may be arrays, lists,
            tuples or dicts of them, or `None` (a model whose loss is a layer has no targets).
            A list of numbers, however nested, is one array; a tuple never is.

    Returns:
        A tuple of 1 to 3 entries, with arrays in place of lists of numbers.

    Raises:
        ValueError: numbers nested irregularly: rows that were not padded.

    Example:

    >>> ids = np.zeros((2, 4), int)
    >>> inputs, targets = as_keras_batch([[ids, ids], [0, 1]])
    >>> type(inputs), targets
    (<class 'tuple'>, array([0, 1]))
    """
    if not isinstance(batch, (list, tuple)) or _is_numbers(batch):
        batch = (batch,)
    return tuple(_as_tuples(part) for part in batch)


def _as_tuples(value):
    if isinstance(value, dict):
        return {key: _as_tuples(part) for key, part in value.items()}
    if not isinstance(value, (list, tuple)):
        return value
    if not _is_numbers(value):
        return tuple(_as_tuples(part) for part in value)
    try:
        return np.array(value)
    except ValueError:
        raise ValueError(
            f"expected arrays in a batch, received rows of different lengths: {value!r:.80}; "
            "fix: sequence_padding(rows)"
        ) from None


def as_keras_sample(sample, guide, is_leaf):
    """`as_keras_batch` for a single sample, where lists of rows and of numbers look alike.

    `[token_ids, segment_ids]` may be two inputs or one array; a guide tells, which is nested like
    the sample: a list becomes a tuple where the guide is nested, and an array where it ends.

    Args:
        sample: as `as_keras_batch` takes a batch.
        guide: dtypes, shapes or names, nested like the sample; `None` for none.
        is_leaf: function that says of a part of the guide whether it is a dtype, shape or name.

    Returns:
        A tuple.

    Example:

    >>> as_keras_sample([[2, 7, 3], [0, 0, 0]], ("int32", "int32"), lambda x: isinstance(x, str))
    (array([2, 7, 3]), array([0, 0, 0]))
    """
    if guide is None:
        return as_keras_batch(sample)
    parts = _follow(guide, sample, is_leaf)
    return parts if isinstance(parts, tuple) else (parts,)


def _follow(guide, value, is_leaf):
    if isinstance(guide, dict) and isinstance(value, dict) and guide.keys() == value.keys():
        return {key: _follow(guide[key], part, is_leaf) for key, part in value.items()}
    if is_leaf(guide) or isinstance(guide, dict) or not isinstance(value, (list, tuple)):
        return _as_tuples(value)
    if len(guide) == 1 and _is_row(value):
        return (_as_tuples(value),)
    if len(guide) != len(value):
        return _as_tuples(value)  # whoever reads the guide next reports it
    return tuple(_follow(part, entry, is_leaf) for part, entry in zip(guide, value))


def _is_row(value):
    return isinstance(value, list) and not any(np.ndim(entry) for entry in value)


def _is_numbers(value):
    """Whether a list holds plain values, however nested; judged by its first one."""
    if isinstance(value, tuple):
        return False
    while isinstance(value, (list, tuple)):
        if not value:
            return True
        value = value[0]
    return isinstance(value, (numbers.Number, np.generic, str, bytes))


def map_arrays(function, batch):
    """`function` of every array of a batch; tuples, dicts and `None` stay what they are."""
    if isinstance(batch, dict):
        return {key: map_arrays(function, part) for key, part in batch.items()}
    if isinstance(batch, tuple):
        return tuple(map_arrays(function, part) for part in batch)
    return None if batch is None else function(batch)


def open_axes(array):
    """Which axes of a batch array may have another size in the next batch: a tuple of bools.

    All but those of size 1 and the last of three or more axes of floating numbers (features),
    unless it is as long as the one before it (a table of token pairs).
    """
    shape = np.shape(array)
    is_open = [axis == 0 or size != 1 for axis, size in enumerate(shape)]
    if len(shape) > 2 and np.asarray(array).dtype.kind == "f" and shape[-1] != shape[-2]:
        is_open[-1] = False
    return tuple(is_open)


class _OpenSize(int):
    """An int that a set tells from the equal plain int."""

    def __hash__(self):
        return ~int.__hash__(self)


class _OpenArray(np.ndarray):
    """An array that tells Keras which of its axes vary. See `with_open_axes`."""

    @property
    def shape(self):
        is_open = open_axes(self.view(np.ndarray))
        sizes = self.view(np.ndarray).shape
        return tuple(_OpenSize(size) if open_ else size for size, open_ in zip(sizes, is_open))


def with_open_axes(batch):
    """The same batch, in arrays that make Keras leave the varying axes open.

    Keras fixes every axis that has the same size in the first two batches of a generator, and
    stops with a TypeError at the first batch of another length. With rounded lengths two equal
    ones are the rule. It compares by collecting the sizes in a set, so in the first batch the sizes
    of varying axes are ints that a set takes for different ones; all else sees ordinary arrays.
    """
    return map_arrays(
        lambda array: array.view(_OpenArray) if type(array) is np.ndarray else array, batch
    )
