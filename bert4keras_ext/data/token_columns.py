"""Columns of numbers with rows of any length, flat in one array, and padded without a loop."""

import numpy as np


class Column:
    """One field of all rows: numbers, sequences of numbers, or groups of sequences.

    The numbers of all rows lie one behind the other in `values`; where a row begins and ends is
    said by an array of starts and one of ends. So a column may be a file mapped into memory, and
    any rows of it become a padded array by a few operations of NumPy.

    Args:
        values: array (numbers,).
        spans: none for one number a row (depth 0); `[(starts, ends)]` of the rows in `values` for
            a sequence a row (depth 1); `[(starts, ends) of the rows in the next, (starts, ends)
            of the sequences in values]` for groups (depth 2).

    Example:

    >>> column = Column(np.array([5, 6, 7, 8]), [(np.array([0, 3]), np.array([3, 4]))])
    >>> column.padded(np.array([1, 0]), lambda longest: longest + 1)
    array([[8, 0, 0, 0],
           [5, 6, 7, 0]])
    """

    def __init__(self, values, spans=()):
        self.values = values
        self.spans = list(spans)
        self.depth = len(self.spans)

    def __len__(self):
        return len(self.spans[0][0] if self.spans else self.values)

    def __getitem__(self, place):
        """A row: a number, an array (a view), or a list of arrays."""
        if not self.depth:
            return self.values[place].item()
        starts, ends = self.spans[-1]
        if self.depth == 1:
            return self.values[starts[place] : ends[place]]
        first, last = (bounds[place] for bounds in self.spans[0])
        return [self.values[starts[i] : ends[i]] for i in range(first, last)]

    def select(self, places):
        """The column of some rows, by a slice (nothing is copied) or an array of numbers."""
        if not self.spans:
            return Column(self.values[places])
        rows = tuple(bounds[places] for bounds in self.spans[0])
        return Column(self.values, [rows, *self.spans[1:]])

    def lengths(self, places):
        """The length of each row, of its longest sequence in a group; 0 for numbers: (rows,)."""
        if not self.depth:
            return np.zeros(len(places), "int64")
        starts, ends = (bounds[places] for bounds in self.spans[0])
        if self.depth == 1:
            return ends - starts
        return self._sequences(starts, ends)[1].max(axis=1, initial=0)

    def padded(self, places, width, value=0):
        """Some rows as one array, filled up with `value`.

        Args:
            places: numbers of the rows, an array.
            width: function from the longest length to the one of the array; more is cut off.
            value: what to fill up with.

        Returns:
            (rows,), (rows, length) or (rows, sequences of the largest group, length).
        """
        if not self.depth:
            return self.values[places]
        starts, ends = (bounds[places] for bounds in self.spans[0])
        if self.depth == 1:
            lengths = ends - starts
            return gather(self.values, starts, lengths, width(_longest(lengths)), value)
        starts, lengths = self._sequences(starts, ends)  # (rows, sequences)
        flat = gather(self.values, starts.ravel(), lengths.ravel(), width(_longest(lengths)), value)
        return flat.reshape(*starts.shape, flat.shape[-1])

    def _sequences(self, first, last):
        """Starts and lengths of the sequences of groups, of length 0 where a group is smaller."""
        size = _longest(last - first)
        starts, ends = (gather(bounds, first, last - first, size) for bounds in self.spans[1])
        return starts, ends - starts  # (rows, sequences)


def _longest(lengths):
    return int(lengths.max(initial=0))


def gather(values, starts, lengths, width, value=0):
    """Runs of a flat array as the rows of one array, cut or filled up to the same width.

    Args:
        values: array (numbers,).
        starts, lengths: where each run begins, and how long it is: (rows,).
        width: columns of the result.
        value: what to fill up with.

    Returns:
        (rows, width), of the dtype of `values`.

    Example:

    >>> gather(np.array([5, 6, 7, 8]), np.array([2, 0]), np.array([2, 1]), 3, -1)
    array([[ 7,  8, -1],
           [ 5, -1, -1]])
    """
    steps = np.arange(width)
    outside = steps >= lengths[:, None]  # (rows, width)
    if not values.size:
        return np.full(outside.shape, value, values.dtype)
    # What is outside may lie beyond the end of the array.
    result = values.take(starts[:, None] + steps, mode="clip")
    np.copyto(result, value, where=outside)
    return result
