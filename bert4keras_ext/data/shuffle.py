"""Shuffling what does not fit in memory; and Keras, which would shuffle it once more."""

import warnings
from itertools import islice

import numpy as np


def random_generator(seed=None):
    """A NumPy `Generator` from a seed, a sequence of seeds, or a `Generator` (returned as is).

    `None` draws the seed from NumPy's global random state, so `np.random.seed` and
    `keras.utils.set_random_seed` still rule the result.
    """
    if seed is None:
        seed = np.random.randint(2**31 - 1)
    return np.random.default_rng(seed)


def shuffle_stream(items, buffer_size, seed=None):
    """Shuffles a stream through a buffer: each step gives out a random one of `buffer_size` items.

    Every item comes exactly once. One item can come out at most `buffer_size - 1` places early
    but arbitrarily late; a buffer as large as the stream makes a full shuffle.

    Args:
        items: any iterable; read lazily.
        buffer_size: how many items are held at a time.
        seed: see `random_generator`.

    Example:

    >>> sorted(shuffle_stream(range(5), buffer_size=3, seed=0))
    [0, 1, 2, 3, 4]
    """
    if buffer_size < 1:
        raise ValueError(f"expected buffer_size >= 1, received {buffer_size}")
    rng, items = random_generator(seed), iter(items)
    buffer = list(islice(items, buffer_size))
    for item in items:
        place = rng.integers(len(buffer))
        yield buffer[place]
        buffer[place] = item
    for place in rng.permutation(len(buffer)):
        yield buffer[place]


def silence_shuffle_warning():
    """Silences Keras' warning that a generator or dataset is not shuffled by `fit`.

    `fit` gives it whenever it is called without `shuffle=False`; ours are shuffled already, and
    there is no kind of data by which they could say so.
    """
    warnings.filterwarnings(
        "ignore",
        "`shuffle=True` was passed, but will be ignored since the data `x` was provided as a "
        r"(generator|tf\.data\.Dataset)",
        UserWarning,
    )
