"""Compiled functions: changed weights are seen, and no new length is traced again."""

import gc
import weakref

import keras
import numpy as np
import pytest
from keras import ops

from bert4keras_ext.backend.compiled import compiled

XLA = pytest.mark.parametrize("jit_compile", [False, True])


def counted(function):
    """The function, and the list to which each trace of it adds an entry."""
    traces = []

    def wrapper(*args, **kwargs):
        traces.append(1)
        return function(*args, **kwargs)

    return wrapper, traces


def rows(*shape):
    return np.arange(np.prod(shape), dtype="float32").reshape(shape)


@XLA
def test_changed_weights_are_seen(jit_compile):
    layer = keras.layers.Dense(2, use_bias=False)
    layer.build((None, 3))
    run = compiled(layer, jit_compile)
    x = rows(4, 3)
    for scale in (1.0, 2.0):
        layer.kernel.assign(scale * np.ones((3, 2)))
        np.testing.assert_allclose(run(x), scale * x.sum(1, keepdims=True) * [1, 1], rtol=1e-6)


@XLA
def test_values_are_those_of_the_function_for_every_batch_and_length(jit_compile):
    def function(x):
        return ops.sum(x, axis=1), ops.shape(x)[1]

    run = compiled(function, jit_compile)
    for batch, length in ((1, 2), (3, 5), (2, 7)):
        total, found = run(rows(batch, length, 4))
        np.testing.assert_allclose(total, rows(batch, length, 4).sum(1))
        assert int(found) == length


def test_no_trace_for_new_batches_and_lengths():
    function, traces = counted(lambda x: ops.sum(x, axis=1))
    run = compiled(function)
    for length in range(1, 6):
        run(rows(length, length + 1, 4))
    wanted = 5 if keras.backend.backend() == "torch" else 1
    if keras.backend.backend() != "jax":  # which compiles for each shape
        assert len(traces) == wanted
    width = len(traces)
    run(rows(2, 2, 5))  # another width is another program
    assert len(traces) > width


def test_open_axes_are_what_is_asked_for():
    shapes = []

    def function(cache, ids):
        shapes.append((tuple(cache.shape), tuple(ids.shape)))
        return ops.sum(cache)

    run = compiled(function, open_axes=lambda x: (0, 2) if len(x.shape) == 4 else (0,))
    assert float(run(rows(1, 2, 3, 4), rows(1, 5))) == rows(1, 2, 3, 4).sum()
    assert float(run(rows(5, 2, 1, 4), rows(2, 5))) == rows(5, 2, 1, 4).sum()
    if keras.backend.backend() == "tensorflow":
        assert shapes == [((None, 2, None, 4), (None, 5))]


@XLA
def test_trees_of_arguments_and_outputs(jit_compile):
    def function(pair, named, scale, offset=None, reverse=False):
        total = scale * (pair[0] + pair[1][0] + named["x"])
        if offset is not None:
            total = total + offset
        total = ops.flip(total) if reverse else total
        return {"total": total, "nothing": None, "both": [total, (total,)]}

    run = compiled(function, jit_compile)
    a, b, c = rows(3), rows(3) + 1, rows(3) + 2
    for arguments in ((a, [b]), [a, (b,)]):
        found = run(arguments, {"x": c}, 2.0)
        np.testing.assert_allclose(found["total"], 2 * (a + b + c))
        assert found["nothing"] is None
        np.testing.assert_allclose(found["both"][1][0], found["both"][0])
    np.testing.assert_allclose(run((a, [b]), {"x": c}, 3.0, offset=a)["total"], 3 * (a + b + c) + a)
    found = run((a, [b]), {"x": c}, 3.0, offset=a, reverse=True)["total"]
    np.testing.assert_allclose(found, (3 * (a + b + c) + a)[::-1])


def test_numbers_are_no_constants():
    function, traces = counted(lambda x, scale: x * scale)
    run = compiled(function)
    assert [float(run(np.float32(2), float(scale))) for scale in range(4)] == [0, 2, 4, 6]
    assert len(traces) == {"tensorflow": 1, "jax": 2, "torch": 4}[keras.backend.backend()]


@XLA
def test_what_is_written_is_kept(jit_compile):
    counter = keras.Variable(np.zeros((), "int32"), trainable=False)
    unread = keras.Variable(np.zeros((), "float32"), trainable=False)

    def function(x):
        counter.assign(counter + 1)
        unread.assign(ops.sum(x))
        return x + ops.cast(counter, "float32")

    run = compiled(function, jit_compile)
    assert [float(run(np.float32([0]))[0]) for _ in range(3)] == [1, 2, 3]
    assert int(counter) == 3
    run(np.float32([7]))
    assert float(unread) == 7


def test_random_numbers_go_on():
    seed = keras.random.SeedGenerator(3)
    run = compiled(lambda x: keras.random.uniform(ops.shape(x), seed=seed))
    assert len({float(run(np.zeros(1, "float32"))[0]) for _ in range(5)}) == 5


def test_precision_of_the_layer_holds():
    layer = keras.layers.Dense(2, dtype="mixed_bfloat16")
    layer.build((None, 3))
    run = compiled(layer)
    found = run(rows(4, 3))
    assert keras.backend.standardize_dtype(found.dtype) == "bfloat16"
    wanted = ops.convert_to_numpy(ops.cast(layer(rows(4, 3)), "float32"))
    np.testing.assert_allclose(ops.convert_to_numpy(ops.cast(found, "float32")), wanted, rtol=1e-2)


def test_nothing_outlives_it():
    def use():
        layer = keras.layers.Dense(2)
        layer.build((None, 3))
        compiled(layer)(rows(4, 3))
        return weakref.ref(layer.kernel)

    kernel = use()
    keras.utils.clear_session()
    gc.collect()
    assert kernel() is None
