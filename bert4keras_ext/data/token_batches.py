"""`TokenBatches`: batches of tokenized rows, without a loop over rows."""

import numpy as np

from bert4keras_ext.data.buckets import BucketedGenerator
from bert4keras_ext.data.lengths import bucket_length
from bert4keras_ext.data.prefetch import prefetched
from bert4keras_ext.data.shuffle import random_generator
from bert4keras_ext.data.token_rows import TokenRows


class TokenBatches(BucketedGenerator):
    """A generator over rows that are token ids already: `TokenRows`, as `TokenCache` gives them.

    Order and content of the batches are those of a `BucketedGenerator` with the same rows, seed
    and window: rows of similar length together, an order that depends on seed and epoch alone. So
    `forfit`, `fortest`, `to_dataset` and `resumable_fit` take it as they take that one. The rows of
    a batch are padded all at once, straight from where they lie, and by a background thread.

    Args:
        data: `TokenRows`, or a list of rows: tuples of lists of ids, labels, ...
        batch_size: rows of a batch.
        seed, window: as in `BucketedGenerator`. The length of a row is that of its first field.
        multiple, buckets, maxlen: what lengths are rounded up to (see `bucket_length`); rows longer
            than `maxlen` are cut.
        value: what the first field is filled up with: the id of the padding. The others are with
            0; or a tuple with one value for each field.
        prefetch: how many batches are made ahead; 0 for none. Random ones without a seed never
            are: NumPy's global state would be drawn from in two threads. `epoch` is that of the
            batch that is being made.

    What the arrays of a batch are is said by `assemble`, for subclasses to override: it is given
    the fields of `batch_size` rows, (rows,) for numbers, (rows, length) for sequences, and
    (rows, sequences, length) for groups of them. By default the first field, token ids, and the
    second, if it is a sequence too, segment ids (else zeros are) are the inputs; what follows are
    targets and sample weights.

    Example:

    >>> rows = [([2, 7, 3], 0), ([2, 3], 1), ([2, 8, 9, 3], 1)]
    >>> train = TokenBatches(rows, batch_size=2, multiple=8, seed=1)
    >>> (ids, segments), labels = next(train.forfit(random=False))
    >>> ids.tolist(), labels.tolist()
    ([[2, 7, 3, 0, 0, 0, 0, 0], [2, 3, 0, 0, 0, 0, 0, 0]], [0, 1])

    Four choices that stand together, each a row for the model:

    >>> class Choices(TokenBatches):
    ...     def assemble(self, ids, label):
    ...         ids = ids.reshape(-1, ids.shape[-1])   # (rows * 4, length)
    ...         return [ids, np.zeros_like(ids)], label
    >>> question = ([[2, 7, 3], [2, 8, 3], [2, 9, 9, 3], [2, 3]], 2)
    >>> (ids, segments), label = next(Choices([question] * 3, batch_size=2).forfit())
    >>> ids.shape, label.tolist()
    ((8, 32), [2, 2])
    """

    def __init__(
        self,
        data,
        batch_size=32,
        *,
        seed=None,
        multiple=32,
        buckets=None,
        maxlen=None,
        window=100,
        value=0,
        prefetch=2,
    ):
        data = data if isinstance(data, TokenRows) else TokenRows.from_rows(data)
        super().__init__(
            data,
            batch_size,
            length=_row_length,
            window=window,
            seed=seed,
            multiple=multiple,
            buckets=buckets,
        )
        self.maxlen = maxlen
        self.value = value
        self.prefetch = prefetch

    def __iter__(self, random=False):
        for places in self.places(random):
            yield self.assemble(*self.fields(places))

    def assemble(self, *fields):
        """The batch of padded fields: (inputs, targets, weights) as far as there are any."""
        count = min(self.data.sequences, 2)
        inputs, others = list(fields[:count]), fields[count:]
        if not count or len(others) > 2:
            raise ValueError(
                "expected rows of ids, segment ids (or none), target and weight (or none), "
                f"received {len(fields)} fields, {self.data.sequences} sequences first; fix: a "
                "subclass with assemble(self, field, field, ...)"
            )
        if count == 1:
            inputs.append(np.zeros_like(inputs[0]))
        return (inputs, *others)

    def fields(self, places):
        """The padded fields of some rows, by their numbers: a list of arrays."""
        values = self.value
        if not isinstance(values, tuple):
            values = (values, *[0] * (len(self.data.columns) - 1))
        return [
            column.padded(places, self._width, value)
            for column, value in zip(self.data.columns, values, strict=True)
        ]

    def _width(self, longest):
        return bucket_length(longest, self.multiple, self.buckets, self.maxlen)

    def places(self, random=False):
        """One pass: arrays with the numbers of the rows of each batch.

        The same draws in the same order as in `BucketedGenerator.items`.
        """
        order, size = np.arange(len(self.data)), self.batch_size
        if random:
            rng = np.random if self.seed is None else np.random.default_rng(self._epoch_seed())
            order = rng.permutation(len(order))
            rng = random_generator(None if self.seed is None else [*self._epoch_seed(), 1])
        step = size * self.window
        for window in (order[start : start + step] for start in range(0, len(order), step)):
            whole = len(window) - len(window) % size
            starts = range(0, whole, size)
            if random:
                lengths = self.data.lengths(window[:whole])
                window[:whole] = window[np.argsort(lengths, kind="stable")]
                starts = rng.permutation(starts)
            for start in starts:
                yield window[start : start + size]
            if whole < len(window):
                yield window[whole:]

    def passes(self, random=True, initial_epoch=0):
        batches = super().passes(random, initial_epoch)
        if not self.prefetch or (random and self.seed is None):
            return batches
        return prefetched(batches, self.prefetch)


def _row_length(row):
    first = row[0]
    return max(map(len, first), default=0) if isinstance(first, list) else np.size(first)
