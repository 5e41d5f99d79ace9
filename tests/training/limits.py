"""A full disk without one: for this process files end at a given size."""

import contextlib
import resource


@contextlib.contextmanager
def small_files(size):
    """Writing beyond `size` bytes fails with EFBIG, in Python and in C libraries alike."""
    former = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, former[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, former)
