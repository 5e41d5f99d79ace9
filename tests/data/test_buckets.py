import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bert4keras_ext.data import BucketedGenerator, bucket_batches, bucket_length, text_length


@given(st.integers(0, 600), st.sampled_from([1, 8, 32]), st.one_of(st.none(), st.integers(1, 600)))
def test_bucket_length(length, multiple, maxlen):
    result = bucket_length(length, multiple, maxlen=maxlen)
    if maxlen is not None and result == maxlen:
        return
    assert result >= length and result % multiple == 0 and result - length <= multiple
    assert maxlen is None or result < maxlen


def test_given_buckets():
    assert [bucket_length(n, buckets=[64, 16]) for n in (1, 16, 17, 64)] == [16, 16, 64, 64]
    assert bucket_length(65, buckets=[64, 16], maxlen=80) == 80
    with pytest.raises(ValueError, match="at most 64"):
        bucket_length(65, buckets=[64, 16])
    assert bucket_length(7, multiple=None) == 7


@pytest.mark.parametrize(
    "item, length",
    [
        ("四个汉字", 4),
        (("两字", "三个字", 9), 5),
        (([1, 2], [3]), 3),
        ([1, 2], 2),
        ({"a": "xyz"}, 3),
    ],
)
def test_text_length(item, length):
    assert text_length(item) == length


@given(st.lists(st.integers(1, 50), max_size=80), st.integers(1, 9), st.integers(1, 5))
def test_batches_hold_every_item_once(lengths, batch_size, window):
    items = [(number, "x" * length) for number, length in enumerate(lengths)]
    batches = list(bucket_batches(items, batch_size, lambda item: len(item[1]), window, seed=3))
    assert sorted(item for batch in batches for item in batch) == items
    assert all(len(batch) == batch_size for batch in batches[:-1])


class Batches(BucketedGenerator):
    def __iter__(self, random=False):
        batch = []
        for is_end, item in self.sample(random):
            batch.append(item)
            if len(batch) == self.batch_size or is_end:
                yield batch
                batch = []


def test_generator_cuts_padding_and_still_shuffles():
    rng = np.random.default_rng(0)
    data = ["x" * n for n in rng.integers(5, 200, size=1000)]
    train = Batches(data, batch_size=16, seed=7)

    def padding(batches):
        return sum(len(batch) * max(map(len, batch)) - sum(map(len, batch)) for batch in batches)

    bucketed = list(train.__iter__(random=True))
    plain = list(train.__iter__(random=False))
    assert padding(bucketed) < 0.1 * padding(plain)
    assert [item for batch in plain for item in batch] == data
    assert sorted(item for batch in bucketed for item in batch) == sorted(data)
    longest = [max(map(len, batch)) for batch in bucketed[:-1]]  # the last one is any
    assert longest != sorted(longest)
    assert len(bucketed) == len(train)
    again = Batches(data, batch_size=16, seed=7)
    assert list(again.__iter__(random=True)) == bucketed
    again.epoch = 1
    assert list(again.__iter__(random=True)) != bucketed
