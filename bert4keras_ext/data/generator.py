"""`DataGenerator`: from rows to an endless stream of batches."""

from itertools import count

import numpy as np

from bert4keras_ext.data.batches import as_keras_batch, with_open_axes
from bert4keras_ext.data.lengths import bucket_length
from bert4keras_ext.data.padding import sequence_padding
from bert4keras_ext.data.shuffle import shuffle_stream, silence_shuffle_warning

_NOTHING = object()


class DataGenerator:
    """Base class of data generators; a subclass defines `__iter__(self, random=False)`.

    `__iter__` makes one pass over the data and yields batches `inputs, targets`, in which
    `inputs` may be a list of arrays as in bert4keras; what reaches Keras are tuples.

    Args:
        data: a sequence (list, array, `TextFile(path, indexable=True)`), or any iterable that
            can be iterated anew each epoch: a stream, shuffled through a buffer.
        batch_size: rows of a batch.
        buffer_size: size of the shuffle buffer of a stream; by default 1000 batches.
        seed: with a seed the order depends on it and on the number of the epoch alone, so a run
            can be resumed by `forfit(initial_epoch=n)`. Without, on NumPy's global random state,
            as in bert4keras.
        multiple, buckets: what `pad` rounds lengths up to (see `bucket_length`).

    Attributes:
        steps: batches of one pass, `len(generator)`; `None` for a stream.
        epoch: number of the current pass of `forfit`.

    Example:

    >>> class Batches(DataGenerator):
    ...     def __iter__(self, random=False):
    ...         ids, labels = [], []
    ...         for is_end, (row, label) in self.sample(random):
    ...             ids.append(row)
    ...             labels.append([label])
    ...             if len(ids) == self.batch_size or is_end:
    ...                 yield [self.pad(ids)], np.array(labels)
    ...                 ids, labels = [], []
    >>> train = Batches([([2, 7, 3], 0), ([2, 3], 1), ([2, 8, 9, 3], 1)], batch_size=2)
    >>> len(train)
    2
    >>> inputs, targets = next(train.forfit(random=False))
    >>> inputs[0].shape, targets.shape
    ((2, 32), (2, 1))

    Then `model.fit(train.forfit(), steps_per_epoch=len(train))`,
    `model.predict(test.fortest(), steps=len(test))`, or `model.fit(train.to_dataset(), ...)` with
    `validation_data=dev.to_dataset(random=False, repeat=False)`.
    """

    def __init__(
        self, data, batch_size=32, buffer_size=None, *, seed=None, multiple=32, buckets=None
    ):
        if not isinstance(batch_size, (int, np.integer)) or batch_size < 1:
            raise ValueError(f"expected batch_size, an integer >= 1, received {batch_size!r}")
        self.data = data
        self.batch_size = batch_size
        self.buffer_size = buffer_size or batch_size * 1000
        self.seed = seed
        self.multiple = multiple
        self.buckets = buckets
        self.epoch = 0
        self.steps = self._count_steps()

    def _count_steps(self):
        try:
            return -(-len(self.data) // self.batch_size)
        except TypeError:
            return None

    def __len__(self):
        if self.steps is None:
            raise TypeError(
                f"a stream ({type(self.data).__name__}) has no length: pass steps_per_epoch as a "
                "number, or give DataGenerator a sequence"
            )
        return self.steps

    def __bool__(self):
        return True

    def __iter__(self, random=False):
        raise NotImplementedError(
            f"{type(self).__name__} must define __iter__(self, random=False), which yields "
            "batches made of the items of self.sample(random)"
        )

    def sample(self, random=False):
        """One pass over the items: yields (is_end, item), is_end at the last one only."""
        previous = _NOTHING
        for item in self.items(random):
            if previous is not _NOTHING:
                yield False, previous
            previous = item
        if previous is not _NOTHING:
            yield True, previous

    def items(self, random=False):
        """One pass over the data, in its own or in random order; override to change the order."""
        if not random:
            return iter(self.data)
        if self.steps is None:
            return shuffle_stream(self.data, self.buffer_size, self._epoch_seed())
        # NumPy's global state as it is, not a generator made from it: the same seed gives the
        # same order as in bert4keras.
        rng = np.random if self.seed is None else np.random.default_rng(self._epoch_seed())
        return (self.data[place] for place in rng.permutation(len(self.data)).tolist())

    def _epoch_seed(self):
        return None if self.seed is None else [self.seed, self.epoch]

    def pad(self, sequences, maxlen=None, **kwargs):
        """`sequence_padding` to the longest row, rounded up so that few lengths occur.

        The length is the next multiple of `self.multiple` (or the next of `self.buckets`), but
        at most `maxlen`; longer rows are cut. Other arguments go to `sequence_padding`.
        """
        longest = max(map(len, sequences), default=0)
        length = bucket_length(longest, self.multiple, self.buckets, maxlen)
        return sequence_padding(sequences, length=length, **kwargs)

    def passes(self, random=True, initial_epoch=0):
        """What `__iter__` yields, as it is, pass after pass without end; see `forfit`."""
        for self.epoch in count(initial_epoch):
            is_empty = True
            for batch in self.__iter__(random):
                yield batch
                is_empty = False
            if is_empty:
                raise ValueError(
                    f"a pass over the data ({type(self.data).__name__}) yielded no batch: expected "
                    "at least one item, and data that can be iterated again in each epoch"
                )

    def forfit(self, random=True, initial_epoch=0):
        """Endless batches for `fit`, as tuples; each pass in a new order.

        Raises ValueError if a pass yields nothing: no data, or an iterator that was used up.
        """
        silence_shuffle_warning()
        return self._stream(random, initial_epoch)

    def _stream(self, random, initial_epoch):
        batches = map(as_keras_batch, self.passes(random, initial_epoch))
        yield with_open_axes(next(batches))
        yield from batches

    def fortest(self, random=False):
        """Endless batches for `predict` and `evaluate`, in order; pass `steps=len(generator)`.

        The batches are whole, targets included (bert4keras yields the inputs alone): `predict`
        ignores the targets, `evaluate` needs them. For `validation_data` of `fit` pass
        `to_dataset(random=False, repeat=False)`: from the second epoch on Keras restarts a
        Python generator with its first two batches and wherever it stands by then.
        """
        return self.forfit(random)

    def to_dataset(self, types=None, shapes=None, names=None, padded_batch=False, **kwargs):
        """The batches as a `tf.data.Dataset`; see `bert4keras_ext.data.dataset.make_dataset`."""
        from bert4keras_ext.data.dataset import make_dataset

        return make_dataset(self, types, shapes, names, padded_batch, **kwargs)
