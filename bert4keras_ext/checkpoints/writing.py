"""What the writers share: tensors computed when their turn comes, and complete files only."""

import os
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bert4keras_ext.checkpoints.arrays import as_array, dtype_of, is_floating


@dataclass(frozen=True)
class LazyArray:
    """A tensor to write whose shape and dtype are known before its values.

    Args:
        shape: its shape, a tuple.
        dtype: its NumPy dtype.
        compute: a function without arguments that returns the array.
    """

    shape: tuple
    dtype: Any
    compute: Any

    @property
    def nbytes(self):
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize

    def read(self):
        """Computes the values: a contiguous array of the promised shape and dtype."""
        return np.ascontiguousarray(self.compute(), dtype=self.dtype).reshape(self.shape)


def checked_dtype(dtype):
    """A floating-point dtype to store weights in, or None."""
    try:
        checked = None if dtype is None else dtype_of(dtype)
    except TypeError:
        checked = np.dtype(object)
    if checked is not None and not is_floating(checked):
        raise ValueError(
            f"expected dtype='float32', 'float16', 'bfloat16', 'float64' or None, received "
            f"{dtype!r}: weights written as anything else lose their values"
        )
    return checked


def as_lazy(tensor, dtype=None):
    """A LazyArray of an array, Keras variable or LazyArray; floats become `dtype` if given."""
    dtype = checked_dtype(dtype)
    if not isinstance(tensor, LazyArray):
        if not hasattr(tensor, "dtype"):
            tensor = np.asarray(tensor)
        source = tensor
        tensor = LazyArray(tuple(source.shape), dtype_of(source.dtype), lambda: as_array(source))
    if dtype is None or not is_floating(tensor.dtype):
        return tensor
    return LazyArray(tensor.shape, dtype, tensor.compute)


@contextmanager
def replaced_when_done(path):
    """Opens a temporary file beside `path` for writing; it takes that name when all went well.

    Whoever reads `path` sees the old file or the complete new one, even if the writer is killed.
    After an exception the temporary file is removed.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
