import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bert4keras_ext.data import shuffle_stream


@given(st.integers(0, 60), st.integers(1, 80))
def test_every_item_once_and_not_too_early(count, size):
    result = list(shuffle_stream(iter(range(count)), size, seed=1))
    assert sorted(result) == list(range(count))
    assert all(item - place <= size - 1 for place, item in enumerate(result))


def test_seeds():
    def order(seed):
        return list(shuffle_stream(range(50), 20, seed))

    assert order(1) == order(1) != order(2)
    np.random.seed(5)
    first = order(None)
    assert order(None) != first
    np.random.seed(5)
    assert order(None) == first != list(range(50))


def test_is_lazy():
    read = []
    stream = shuffle_stream((read.append(i) or i for i in range(1000)), 10, seed=0)
    next(stream)
    assert len(read) == 11


def test_buffer_size():
    with pytest.raises(ValueError, match="buffer_size >= 1"):
        next(shuffle_stream([1], 0))
