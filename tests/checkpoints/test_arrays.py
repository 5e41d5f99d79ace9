"""Assigning in parts, and reading raw bytes in blocks."""

import io

import keras
import numpy as np
import pytest
import tensorflow as tf

from bert4keras_ext.checkpoints import arrays
from bert4keras_ext.checkpoints.arrays import dtype_of


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("shape", [(100, 3), (7, 5, 2), (300,), (1, 400), (5,)])
def test_assign_in_parts(monkeypatch, dtype, shape):
    monkeypatch.setattr(arrays, "ASSIGNED", 100)
    value = np.arange(np.prod(shape)).reshape(shape).astype(dtype_of(dtype))
    variable = keras.Variable("zeros", shape=shape, dtype=dtype)
    arrays.assign(variable, value)
    np.testing.assert_array_equal(variable.value.numpy(), value)


def test_every_replica_is_assigned(monkeypatch):
    monkeypatch.setattr(arrays, "ASSIGNED", 100)
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    with strategy.scope():
        variable = keras.Variable("zeros", shape=(100, 3))
    value = np.arange(300, dtype="float32").reshape(100, 3)
    parts = []
    monkeypatch.setattr(tf.raw_ops, "ResourceStridedSliceAssign", lambda **a: parts.append(a))
    arrays.assign(variable, value)
    for replica in variable.value.values:
        np.testing.assert_array_equal(replica.numpy(), value)
    with strategy.scope():  # where such a variable has no handle to ask for
        arrays.assign(variable, -value)
    np.testing.assert_array_equal(variable.numpy(), -value)
    assert parts == []  # parts would reach the first replica only


@pytest.mark.parametrize("block", [1, 64, 2**20])
@pytest.mark.parametrize("shape", [(), (3,), (30, 7), (2, 3, 4), (0, 3), (3, 0)])
def test_read_raw(monkeypatch, block, shape):
    monkeypatch.setattr(arrays, "BLOCK", block)
    source = np.arange(np.prod(shape)).reshape(shape).astype("float16")
    for out in (
        np.empty(shape, "float16"),
        np.empty(shape, "float32"),
        np.empty(shape[::-1], "float32").T,
    ):
        arrays.read_raw(io.BytesIO(source.tobytes()), source.dtype, out)
        np.testing.assert_array_equal(out, source)
        if source.size:
            with pytest.raises(EOFError):
                arrays.read_raw(io.BytesIO(source.tobytes()[:-1]), source.dtype, out)
