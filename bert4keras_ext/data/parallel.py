"""`func` applied to a stream by several processes or threads."""

import multiprocessing
import pickle
import random
import traceback
from collections import deque
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
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
    if isinstance(random_seeds, (list, tuple)) and len(random_seeds) < workers:
        raise ValueError(f"expected {workers} seeds, one a worker, received {random_seeds!r}")
    limit = 16 * workers if max_queue_size is None else max(max_queue_size // chunk_size, 1)
    return _apply(func, iterable, workers, limit, dummy, random_seeds, unordered, chunk_size)


def _apply(func, iterable, workers, limit, dummy, random_seeds, unordered, chunk_size):
    if dummy:
        executor = ThreadPoolExecutor(workers)
        run, pack = partial(_run_chunk, func), list
    else:
        executor = _process_executor(func, workers, random_seeds)
        run, pack = _run_in_process, pickle.dumps
    collect = _as_they_finish if unordered else _in_order
    try:
        submissions = _submissions(executor, run, pack, iter(iterable), chunk_size)
        for start, results in collect(submissions, limit):
            for index, (is_good, result) in enumerate(results, start):
                if not is_good:
                    raise ParallelError(index, result)
                yield index, result if dummy else pickle.loads(result)
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


def _process_executor(func, workers, random_seeds):
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("fork" if "fork" in methods else None)
    if random_seeds is True:
        random_seeds = np.random.randint(2**31 - 1, size=workers).tolist()
    seeds = context.SimpleQueue()
    for seed in random_seeds or [None] * workers:
        seeds.put(seed)
    return ProcessPoolExecutor(workers, context, initializer=_start_worker, initargs=(func, seeds))


def _start_worker(func, seeds):
    """Keeps `func`, which a forked process inherits and so need not be picklable."""
    global _function
    _function = func
    seed = seeds.get()
    if seed is not None:
        np.random.seed(seed)
        random.seed(seed)


def _submissions(executor, run, pack, items, chunk_size):
    """Hands one chunk over at each step; yields (index of its first item, future)."""
    start = 0
    while chunk := list(islice(items, chunk_size)):
        try:
            packed = pack(chunk)
        except Exception as error:
            raise ParallelError(start, f"cannot be sent to a process: {error!r}") from error
        yield start, executor.submit(run, packed)
        start += len(chunk)


# Items and results are pickled here, not by the executor: its own thread for that reports an
# error late or (Python 3.11) never, and leaves the executor hanging.
def _run_in_process(packed):
    return _run_chunk(lambda item: pickle.dumps(_function(item)), pickle.loads(packed))


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
    """What a chunk gave; fails where the worker died."""
    try:
        return future.result()
    except Exception as error:
        raise ParallelError(start, f"no result came back: {error!r}") from error
