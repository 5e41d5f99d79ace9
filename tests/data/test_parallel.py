import itertools
import multiprocessing
import os
import threading
import time

import numpy as np
import pytest

from bert4keras_ext.data import ParallelError, parallel_apply, parallel_apply_generator

BOTH = pytest.mark.parametrize("dummy", [False, True], ids=["processes", "threads"])


@BOTH
@pytest.mark.parametrize("chunk_size", [1, 7])
def test_results(dummy, chunk_size):
    offset = 3  # a closure

    def shifted(x):
        return x + offset

    result = parallel_apply(shifted, range(50), 2, 10, dummy=dummy, chunk_size=chunk_size)
    assert sorted(result) == list(range(3, 53))
    ordered = parallel_apply(
        shifted, range(50), 2, 10, dummy=dummy, unordered=False, chunk_size=chunk_size
    )
    assert ordered == list(range(3, 53))


def test_unordered_gives_the_quick_ones_first():
    def slow_first(x):
        time.sleep(0.3 if x == 0 else 0)
        return x

    assert parallel_apply(slow_first, range(6), 2, dummy=True)[0] != 0
    assert parallel_apply(slow_first, range(6), 2, dummy=True, unordered=False) == list(range(6))


def test_callback():
    seen = []
    assert parallel_apply(abs, [-1, -2], 2, 10, seen.append, True, unordered=False) is None
    assert seen == [1, 2]


@BOTH
def test_errors_name_the_item(dummy):
    def fails(x):
        if x == 11:
            raise KeyError("no such thing")
        return x

    with pytest.raises(ParallelError, match="item 11: KeyError.*no such thing") as error:
        parallel_apply(fails, range(20), 2, dummy=dummy, chunk_size=4)
    assert error.value.index == 11
    assert "in fails" in str(error.value)


def test_a_result_that_cannot_come_back():
    with pytest.raises(ParallelError, match="item 1: .*pickle"):
        parallel_apply(lambda x: threading.Lock() if x else x, [0, 1], 1)
    with pytest.raises(ParallelError, match="item 1: cannot be sent"):
        parallel_apply(abs, [0, threading.Lock()], 1)


def test_a_worker_that_dies():
    with pytest.raises(ParallelError, match="no result came back"):
        parallel_apply(lambda x: os._exit(3), [1], 1)


@BOTH
@pytest.mark.parametrize("unordered", [True, False])
def test_endless_streams_and_cleaning_up(dummy, unordered):
    read = []
    stream = (read.append(i) or i for i in itertools.count())
    threads = threading.active_count()
    results = parallel_apply_generator(abs, stream, 2, 8, dummy=dummy, unordered=unordered)
    first = list(itertools.islice(results, 20))
    assert len(read) <= 20 + 8 + 1
    if not unordered:
        assert first == [(i, i) for i in range(20)]
    results.close()
    assert multiprocessing.active_children() == []
    assert threading.active_count() == threads


def test_each_worker_has_its_own_seed():
    def draw(_):
        time.sleep(0.05)
        return os.getpid(), np.random.randint(2**31 - 1)

    for seeds in (True, [1, 2]):
        drawn = parallel_apply(draw, range(8), 2, random_seeds=seeds)
        assert len({pid for pid, _ in drawn}) == 2
        assert len({number for _, number in drawn}) == 8
    # Without seeds forked workers repeat each other.
    drawn = parallel_apply(draw, range(8), 2, random_seeds=False)
    assert len({number for _, number in drawn}) < 8


def test_arguments():
    with pytest.raises(ValueError, match="workers"):
        list(parallel_apply_generator(abs, [1], 0))
    with pytest.raises(ValueError, match="expected 2 seeds"):
        parallel_apply(abs, [1], 2, random_seeds=[1])
