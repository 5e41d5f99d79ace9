"""Work ahead in a background thread, a bounded number of items."""

import threading
from collections import deque


def prefetched(iterable, size=2):
    """The items of an iterable, which a background thread makes ahead.

    While the consumer is busy with one (a GPU's step, a file) up to `size` more are made. Order
    and items are those of the iterable. An exception in it is raised here, in its turn and with
    the traceback of the thread. However the consumer stops (the end, an exception, Ctrl-C,
    `close()`, or dropping the generator) the thread stops too, after the item that it is making,
    and the iterable is closed if it is a generator.

    Args:
        iterable: what to iterate over, from the first `next` on, in the thread alone.
        size: how many items may wait.

    Example:

    >>> list(prefetched(range(3)))
    [0, 1, 2]
    """
    if size < 1:
        raise ValueError(f"expected size >= 1, received {size}")
    return _consume(iterable, size)


def _consume(iterable, size):
    queue = _Queue(size)
    thread = threading.Thread(
        target=_produce, args=(iterable, queue), name="prefetched", daemon=True
    )
    # Only the thread holds it from here on, so that it is the thread that drops it.
    del iterable
    thread.start()
    try:
        while (item := queue.get()) is not _END:
            yield item
    finally:
        queue.stop()
        # Where the garbage collector closes this generator in that very thread, it ends by itself.
        if thread is not threading.current_thread():
            thread.join()


_END = object()


def _produce(iterable, queue):
    try:
        items = iter(iterable)
        try:
            for item in items:
                if not queue.put(item):
                    break
        finally:
            if hasattr(items, "close"):
                items.close()
    except BaseException as error:  # whatever it is, it is the consumer's
        queue.end(error)
    else:
        queue.end()


class _Queue:
    """A bounded queue that either side can end; nobody waits for one who is gone."""

    def __init__(self, size):
        self.size = size
        self.items = deque()
        self.error = None
        self.is_ended = self.is_stopped = False
        self.changed = threading.Condition()

    def put(self, item):
        """Waits for room; False if nobody wants more."""
        with self.changed:
            self.changed.wait_for(lambda: self.is_stopped or len(self.items) < self.size)
            self.items.append(item)
            self.changed.notify_all()
            return not self.is_stopped

    def end(self, error=None):
        with self.changed:
            self.error, self.is_ended = error, True
            self.changed.notify_all()

    def get(self):
        """Waits for an item; _END, or the exception, after the last one."""
        with self.changed:
            self.changed.wait_for(lambda: self.items or self.is_ended)
            if self.items:
                item = self.items.popleft()
                self.changed.notify_all()
                return item
        if self.error is None:
            return _END
        error, self.error = self.error, None
        try:
            raise error
        finally:
            del error  # its traceback would hold this frame, and this frame it

    def stop(self):
        with self.changed:
            self.is_stopped = True
            self.items.clear()
            self.changed.notify_all()
