import gc
import signal
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path

import numpy as np
import pytest

from bert4keras_ext.data import prefetched

DATA = Path(__file__).parents[2] / "bert4keras_ext" / "data"


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "prefetched"]


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    gc.collect()
    assert not threads()


@pytest.mark.parametrize("size", [1, 2, 7])
@pytest.mark.parametrize("count", [0, 1, 5, 100])
def test_items_in_order(size, count):
    assert list(prefetched(range(count), size)) == list(range(count))


def test_arrays_none_and_tuples_are_items():
    items = [np.arange(3), None, (), np.zeros(0)]
    assert [a is b for a, b in zip(prefetched(items), items, strict=True)] == [True] * 4


def until(condition, seconds=5):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


def test_so_many_are_made_ahead_and_no_more():
    made = []
    stream = prefetched((made.append(i) or i for i in range(100)), size=3)
    assert not made and not threads()  # not before the first is wanted
    assert next(stream) == 0
    until(lambda: len(made) == 5)  # 3 wait, and one is in the thread's hands
    time.sleep(0.02)
    assert made == list(range(5))
    stream.close()


def failing():
    yield 1
    yield 2
    raise LookupError("here")


def test_an_exception_comes_in_its_turn_with_its_traceback():
    stream = prefetched(failing(), size=9)
    assert [next(stream), next(stream)] == [1, 2]
    with pytest.raises(LookupError, match="here") as caught:
        next(stream)
    assert "failing" in [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    with pytest.raises(StopIteration):
        next(stream)


def test_what_cannot_be_iterated():
    with pytest.raises(TypeError, match="not iterable"):
        next(prefetched(5))
    with pytest.raises(ValueError, match="size >= 1"):
        prefetched([], 0)


def endless(closed):
    try:
        while True:
            yield 1
    finally:
        closed.append(threading.current_thread().name)


@pytest.mark.parametrize("end", ["close", "drop", "raise"])
def test_the_thread_ends_and_closes_the_source(end):
    closed = []

    def consume():
        for _ in prefetched(endless(closed)):
            raise KeyboardInterrupt

    stream = prefetched(endless(closed))
    next(stream)
    if end == "close":
        stream.close()
    elif end == "raise":
        with pytest.raises(KeyboardInterrupt):
            consume()
    del stream
    gc.collect()
    assert set(closed) == {"prefetched"} and not threads()


def test_an_error_while_closing_is_not_in_the_way():
    def source():
        try:
            yield from range(100)
        finally:
            raise OSError("closing")

    stream = prefetched(source())
    assert next(stream) == 0
    stream.close()


def test_nested():
    assert list(prefetched(prefetched(range(20)))) == list(range(20))
    stream = prefetched(prefetched(iter(int, 1)))
    next(stream)
    stream.close()


PROGRAM = """
import sys, time
from prefetch import prefetched  # the file alone: without Keras in milliseconds
def source():
    yield 0
    while True:
        time.sleep(0.01)
        yield 1
for i in prefetched(source()):
    if i == 0:
        print("begun", flush=True)
    if sys.argv[1] == "leaving":
        stream = prefetched(source()); next(stream)
        sys.exit(3)
"""


@pytest.mark.parametrize("what, status", [("busy", -2), ("leaving", 3)])
def test_a_program_ends(what, status):
    """On Ctrl-C, and at its own end with a stream half read."""
    run = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, what],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"PYTHONPATH": str(DATA)},
        text=True,
        # Tests may themselves run where Ctrl-C is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert run.stdout.readline() == "begun\n"
    if what != "leaving":
        run.send_signal(signal.SIGINT)
    _, errors = run.communicate(timeout=20)
    assert run.returncode == status, errors
    assert ("KeyboardInterrupt" in errors) == (what != "leaving")
