"""Small helpers for arrays: dtypes by any name, Keras variables, raw bytes from a file."""

import math

import ml_dtypes
import numpy as np

MAX_AXES = 32  # what every NumPy can hold
BLOCK = 2**18  # bytes that are read, and converted, at a time
ASSIGNED = 2**21  # bytes of a variable that are assigned at a time


def dtype_of(dtype):
    """A NumPy dtype of whatever NumPy, Keras and people call it ("bfloat16" included).

    In this machine's byte order, whichever an array has: files are written in that one.
    """
    name = getattr(dtype, "name", dtype)
    return np.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else dtype).newbyteorder("=")


def is_floating(dtype):
    """Whether a dtype is a floating-point one; NumPy itself does not count bfloat16 among them."""
    return np.issubdtype(dtype, np.floating) or dtype.name.startswith(("bfloat", "float"))


def is_too_large(shape, itemsize):
    """Whether NumPy refuses a shape: it counts bytes even where another axis is empty."""
    return itemsize * math.prod(size or 1 for size in shape) >= 2**63


def as_array(tensor):
    """The values of an array or Keras variable as a NumPy array."""
    if isinstance(tensor, np.ndarray):
        return tensor
    import keras

    return keras.ops.convert_to_numpy(tensor)


def assign(variable, value):
    """Assigns an array to a Keras variable, without a second copy of a large one.

    TensorFlow copies an array before it assigns it. Row by row, that copy is never large.
    """
    target = getattr(variable, "value", None)
    # Variables with a copy a device have `values`, and in their strategy's scope no handle to ask.
    is_replicated = hasattr(target, "values")
    if value.nbytes <= ASSIGNED or is_replicated or not hasattr(target, "handle"):
        variable.assign(value)
        return
    import tensorflow as tf

    step = max(1, ASSIGNED * len(value) // value.nbytes)
    for start in range(0, len(value), step):
        rows = value[start : start + step]
        # `variable[a:b].assign` would read the variable, and so make TensorFlow copy all of it.
        tf.raw_ops.ResourceStridedSliceAssign(
            ref=target.handle, begin=[start], end=[start + len(rows)], strides=[1], value=rows
        )


def read_raw(file, dtype, out):
    """Reads a C-ordered tensor from a file's present position into an array, block by block.

    Args:
        file: an open binary file.
        dtype: the dtype that the file has.
        out: array of the tensor's shape. Any strides and any dtype: what is read is transposed and
            converted on the way, which takes no more memory than a block.

    Raises:
        EOFError: if the file ends before the tensor does.
    """
    if out.flags.c_contiguous and out.dtype == dtype:
        _fill(file, out.reshape(-1).view(np.uint8))
        return
    rows = out if out.ndim else out.reshape(1)
    row_size = max(1, dtype.itemsize * int(np.prod(rows.shape[1:], dtype=np.int64)))
    step = max(1, BLOCK // row_size)
    for start in range(0, len(rows), step):
        block = np.empty(rows[start : start + step].shape, dtype)
        _fill(file, block.reshape(-1).view(np.uint8))
        rows[start : start + step] = block


def _fill(file, memory):
    if file.readinto(memory) != memory.nbytes:
        raise EOFError
