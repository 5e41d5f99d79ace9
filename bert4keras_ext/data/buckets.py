"""Few lengths and little padding: rounded lengths, and batches of rows of similar length."""

from itertools import islice

from bert4keras_ext.data.generator import DataGenerator
from bert4keras_ext.data.lengths import text_length
from bert4keras_ext.data.shuffle import random_generator


def bucket_batches(items, batch_size, length=text_length, window=100, seed=None):
    """Yields lists of items of similar length, in random order.

    Windows of `window * batch_size` items are sorted by length, cut into batches, and the batches
    shuffled. Only the last batch of the stream may be short; it is a random one, not the one with
    the longest items.

    Args:
        items: iterable, shuffled already (the batches of one window stay together).
        batch_size: items of a batch.
        length: function of an item; by default the characters of the texts in it.
        window: batches that are sorted together. Larger: less padding, less randomness.
        seed: see `random_generator`.

    Example:

    >>> batches = list(bucket_batches(["a", "bb" * 9, "c", "dd" * 9], batch_size=2, seed=0))
    >>> sorted(sorted(map(len, batch)) for batch in batches)
    [[1, 1], [18, 18]]
    """
    if batch_size < 1 or window < 1:
        raise ValueError(f"expected batch_size, window >= 1, received {batch_size}, {window}")
    rng, items = random_generator(seed), iter(items)
    while rows := list(islice(items, batch_size * window)):
        whole = len(rows) - len(rows) % batch_size
        ordered = sorted(rows[:whole], key=length)
        for start in rng.permutation(range(0, whole, batch_size)):
            yield ordered[start : start + batch_size]
        if rows[whole:]:
            yield rows[whole:]


class BucketedGenerator(DataGenerator):
    """A `DataGenerator` whose random batches hold items of similar length.

    Subclasses are written as for `DataGenerator`: `sample(random=True)` gives the items in such an
    order that every `batch_size` in a row are similar in length. Without `random` (prediction)
    the order of the data is kept.

    Args:
        data, batch_size, buffer_size, **kwargs: as in `DataGenerator`.
        length: function of an item that says how long it will be; by default the characters of
            the texts in it.
        window: how many batches are sorted together.

    Example:

    >>> class Batches(BucketedGenerator):
    ...     def __iter__(self, random=False):
    ...         batch = []
    ...         for is_end, item in self.sample(random):
    ...             batch.append(item)
    ...             if len(batch) == self.batch_size or is_end:
    ...                 yield batch
    ...                 batch = []
    >>> data = ["短"] * 4 + ["很长的一句话"] * 4
    >>> sorted(len(set(map(len, batch))) for batch in Batches(data, 4).__iter__(random=True))
    [1, 1]
    """

    def __init__(
        self, data, batch_size=32, buffer_size=None, *, length=text_length, window=100, **kwargs
    ):
        super().__init__(data, batch_size, buffer_size, **kwargs)
        self.length = length
        self.window = window

    def items(self, random=False):
        items = super().items(random)
        if not random:
            return items
        # Another stream than the one that shuffled the items.
        seed = None if self.seed is None else [*self._epoch_seed(), 1]
        batches = bucket_batches(items, self.batch_size, self.length, self.window, seed)
        return (item for batch in batches for item in batch)
