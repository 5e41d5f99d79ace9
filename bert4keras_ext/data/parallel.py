"""`func` applied to a stream by several processes or threads."""

import multiprocessing
import random
import traceback
from collections import deque
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from itertools import islice
from queue import SimpleQueue

import numpy as np


class ParallelError(RuntimeError):
    """`func` failed on an item: `index` is the number of the item, the message says why."""

    def __init__(self, index, reason):
        super().__init__(f"item {index}: {reason}")
        self.index = index


def parallel_apply_generator(
    func,
    iterable,
    workers,
    max_queue_size=None,
    dummy=False,
    random_seeds=True,
    *,
    unordered=True,
    chunk_size=1,
):
    """Yields (index, func(item)) for each item, computed by several workers.

    Works on endless streams: the iterable is read only as far ahead as the queue is long, and in
    the caller's own thread. Closing the generator (or leaving its loop for good) ends the workers.

    Args:
        func: function of one item. Processes are forked where the system can, so it may be a
            lambda or a closure; its results must be picklable.
        iterable: items, picklable.
        workers: number of processes or threads.
        max_queue_size: how many items are under way at most; by default 16 chunks a worker.
        dummy: threads in place of processes: for functions that wait or run C code.
        random_seeds: gives each process its own seed for NumPy and `random`, drawn from NumPy's
            global state (else forked workers all repeat the same random numbers); or a list of
            seeds, one a worker. Threads share the one global state, so there it does nothing.
        unordered: yields what is ready first; otherwise in the order of the items.
        chunk_size: items handed over together; cheap functions want some hundred.

    Raises:
        ParallelError: `func` raised; says the item's index and the original traceback.

    Example:

    >>> sorted(parallel_apply_generator(len, ["a", "bbb"], workers=2, dummy=True))
    [(0, 1), (1, 3)]
    """
    if workers < 1 or chunk_size < 1:
        raise ValueError(f"expected workers, chunk_size >= 1, received {workers}, {chunk_size}")
    limit = 16 * workers if max_queue_size is None else max(max_queue_size // chunk_size, 1)
    return _apply(func, iterable, workers, limit, dummy, random_seeds, unordered, chunk_size)


def _apply(func, iterable, workers, limit, dummy, random_seeds, unordered, chunk_size):
    executor = _executor(workers, dummy, random_seeds)
    collect = _as_they_finish if unordered else _in_order
    try:
        submit = _submissions(executor, func, iter(iterable), chunk_size)
        for start, results in collect(submit, limit):
            for index, (is_good, result) in enumerate(results, start):
                if not is_good:
                    raise ParallelError(index, result)
                yield index, result
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def parallel_apply(
    func,
    iterable,
    workers,
    max_queue_size=None,
    callback=None,
    dummy=False,
    random_seeds=True,
    unordered=True,
    *,
    chunk_size=1,
):
    """`func` of every item, computed by several workers.

    Args:
        callback: is called with each result, in this process, and nothing is returned; without
            it the results are returned as a list.
        unordered: results in the order they are finished; otherwise in that of the items.
        Others: as in `parallel_apply_generator`.

    Example:

    >>> parallel_apply(len, ["a", "bbb", "cc"], workers=2, dummy=True, unordered=False)
    [1, 3, 2]
    """
    pairs = parallel_apply_generator(
        func,
        iterable,
        workers,
        max_queue_size,
        dummy,
        random_seeds,
        unordered=unordered,
        chunk_size=chunk_size,
    )
    results = (result for _, result in pairs)
    if callback is None:
        return list(results)
    for result in results:
        callback(result)
    return None


def _executor(workers, dummy, random_seeds):
    if dummy:
        return ThreadPoolExecutor(workers)
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("fork" if "fork" in methods else None)
    if random_seeds is False or random_seeds is None:
        return ProcessPoolExecutor(workers, context)
    if random_seeds is True:
        random_seeds = np.random.randint(2**31 - 1, size=workers).tolist()
    if len(random_seeds) < workers:
        raise ValueError(f"expected {workers} seeds, one a worker, received {random_seeds!r}")
    seeds = context.SimpleQueue()
    for seed in random_seeds:
        seeds.put(int(seed))
    return ProcessPoolExecutor(workers, context, initializer=_seed_worker, initargs=(seeds,))


def _seed_worker(seeds):
    seed = seeds.get()
    np.random.seed(seed)
    random.seed(seed)


def _submissions(executor, func, items, chunk_size):
    """Hands one chunk over at each step; yields (index of its first item, future)."""
    start = 0
    while chunk := list(islice(items, chunk_size)):
        yield start, executor.submit(_run_chunk, func, chunk)
        start += len(chunk)


def _run_chunk(func, chunk):
    """[(True, result) or (False, why not)]: text, since not every exception can be pickled."""
    results = []
    for item in chunk:
        try:
            results.append((True, func(item)))
        except Exception as error:
            results.append((False, f"{error!r}\n\n{traceback.format_exc()}"))
            break
    return results


def _in_order(submissions, limit):
    pending = deque()
    for start, future in submissions:
        pending.append((start, future))
        if len(pending) >= limit:
            start, future = pending.popleft()
            yield start, _result(start, future)
    for start, future in pending:
        yield start, _result(start, future)


def _as_they_finish(submissions, limit):
    finished, pending = SimpleQueue(), {}
    for start, future in submissions:
        pending[future] = start
        future.add_done_callback(finished.put)
        while len(pending) >= limit or not finished.empty():
            yield _popped(pending, finished.get())
    while pending:
        yield _popped(pending, finished.get())


def _popped(pending, future):
    start = pending.pop(future)
    return start, _result(start, future)


def _result(start, future):
    """What a chunk gave; fails where the worker died, or a function or result is unpicklable."""
    try:
        return future.result()
    except Exception as error:
        raise ParallelError(start, f"no result came back: {error!r}") from error
