"""Tensor helpers against bert4keras' recordings and NumPy."""

import keras
import numpy as np
import pytest

from bert4keras_ext.backend.tensors import (
    divisible_temporal_padding,
    flatten,
    pool1d,
    swapped,
)
from tests.shared import oracle

RECORDED = dict(np.load(oracle("bert4keras") / "backend.npz"))
X = RECORDED["seqmask/in"]  # (2, 5, 4): what pool1d and divisible_temporal_padding were given


def test_flatten_equals_bert4keras():
    found = flatten(RECORDED["flatten/in"], start=1, end=3)
    np.testing.assert_allclose(found, RECORDED["flatten/out"], atol=2e-6)


@pytest.mark.parametrize(
    "start, end, shape",
    [(0, None, (120,)), (2, None, (2, 3, 20)), (0, 2, (6, 4, 5)), (1, -1, (2, 12, 5)),
     (-2, None, (2, 3, 20)), (1, 2, (2, 3, 4, 5))],
)  # fmt: skip
def test_flatten_takes_what_a_slice_takes(start, end, shape):
    x = RECORDED["flatten/in"]
    np.testing.assert_array_equal(flatten(x, start, end), x.reshape(shape))


def test_flatten_of_no_axis_is_refused():
    with pytest.raises(ValueError, match="start=2 and end=2 leave no axis to flatten of 4"):
        flatten(RECORDED["flatten/in"], 2, 2)


def test_pool1d_equals_bert4keras():
    np.testing.assert_allclose(pool1d(X, 2), RECORDED["pool1d/out"], atol=2e-6)


@pytest.mark.parametrize("size, strides", [(1, 1), (2, 2), (3, 2), (4, 1)])
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("mode", ["max", "avg"])
def test_pool1d_equals_a_loop(size, strides, padding, mode):
    length = X.shape[1]
    windows = (length - size) // strides + 1 if padding == "valid" else -(-length // strides)
    before = max((windows - 1) * strides + size - length, 0) // 2 if padding == "same" else 0
    starts = [k * strides - before for k in range(windows)]
    parts = [X[:, max(start, 0) : start + size].astype("float64") for start in starts]
    wanted = np.stack([p.max(1) if mode == "max" else p.mean(1) for p in parts], axis=1)
    np.testing.assert_allclose(pool1d(X, size, strides, padding, mode), wanted, atol=2e-6)


def test_unknown_poolings_name_the_known_ones():
    with pytest.raises(ValueError, match="avg.*received 'min'"):
        pool1d(X, 2, pool_mode="min")


def test_divisible_temporal_padding_equals_bert4keras():
    found = divisible_temporal_padding(X, 4)
    np.testing.assert_allclose(found, RECORDED["divpad/out"], atol=2e-6)
    np.testing.assert_array_equal(divisible_temporal_padding(X, 5), X)


def test_in_a_functional_model():
    inputs = keras.Input((5, 4))
    outputs = [flatten(inputs, 1), pool1d(inputs, 2), divisible_temporal_padding(inputs, 4)]
    found = keras.Model(inputs, outputs)(X)
    np.testing.assert_array_equal(found[0], X.reshape(2, 20))
    np.testing.assert_allclose(found[1], RECORDED["pool1d/out"], atol=2e-6)
    np.testing.assert_array_equal(found[2], RECORDED["divpad/out"])


@pytest.mark.parametrize("jit", [False, True])
def test_lengths_known_only_in_the_graph(jit):
    import tensorflow as tf

    spec = tf.TensorSpec((None, None, 4), "float32")
    padded = tf.function(lambda x: divisible_temporal_padding(x, 4), [spec], jit_compile=jit)
    np.testing.assert_array_equal(padded(X), RECORDED["divpad/out"])
    flat = tf.function(lambda x: flatten(x, 0, 2), [spec], jit_compile=jit)
    np.testing.assert_array_equal(flat(X), X.reshape(10, 4))


# ---- axes in each other's place ---------------------------------------------------------------


@pytest.mark.parametrize("m, n", [(1, 5), (5, 1), (1, 1), (3, 4), (8, 12), (12, 3), (9, 10)])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_swapped_is_transpose(m, n, dtype):
    x = keras.ops.cast(np.random.default_rng(0).normal(size=(2, m, n, 4)), dtype)
    wanted = np.swapaxes(keras.ops.convert_to_numpy(x), 1, 2)
    np.testing.assert_array_equal(swapped(x), wanted)

    import tensorflow as tf

    for open_axes in ((0,), (0, 1), (0, 2), (0, 1, 2)):
        shape = [None if axis in open_axes else size for axis, size in enumerate(x.shape)]
        for jit in (False, True):
            spec = [tf.TensorSpec(shape, dtype)]
            compiled = tf.function(swapped, input_signature=spec, jit_compile=jit)
            np.testing.assert_array_equal(compiled(x), wanted)


def test_swapped_has_a_gradient():
    import tensorflow as tf

    x = tf.random.stateless_normal((2, 3, 4, 5), [1, 2])
    weights = tf.random.stateless_normal((2, 4, 3, 5), [3, 4])
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = tf.reduce_sum(weights * swapped(x) ** 2)
    wanted = 2 * np.swapaxes(weights, 1, 2) * x.numpy()
    np.testing.assert_allclose(tf.convert_to_tensor(tape.gradient(value, x)), wanted, rtol=1e-6)
