"""k batches are one large batch: in float64, with clipping, schedules and a remainder."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from bert4keras_ext.optimizers import AdaFactor, Adam, Lion
from tests.optimizers.compositions import extended

# What Keras says of things that are done here on purpose.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Gradients do not exist"),
]

RNG = np.random.default_rng(7)
X, Y = RNG.integers(0, 9, (24, 3)), RNG.normal(size=(24, 2))


@pytest.fixture(autouse=True)
def _float64():
    before = keras.config.floatx()
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_floatx(before)


def make_model(optimizer):
    keras.utils.set_random_seed(1)
    layers = [keras.layers.Embedding(9, 4), keras.layers.Flatten(), keras.layers.Dense(2)]
    model = keras.Sequential([keras.Input((3,), dtype="int32"), *layers])
    model.compile(optimizer, "mse")
    return model


def train(model, batch_size, rows=24, epochs=2, **kwargs):
    data = tf.data.Dataset.from_tensor_slices((X[:rows], Y[:rows])).batch(batch_size)
    model.fit(data, epochs=epochs, shuffle=False, verbose=0, **kwargs)


def assert_equal(model, other):
    for a, b in zip(model.get_weights(), other.get_weights()):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)


# Sums in another order: a few 2^-52, which Adam divides by roots of moments near 1e-2.
@pytest.mark.parametrize(
    "base, kwargs",
    [
        (Adam, {}),
        (Adam, {"global_clipnorm": 0.1}),
        (Adam, {"clipnorm": 0.05}),
        (Adam, {"clipvalue": 0.01, "weight_decay": 0.1}),
        (AdaFactor, {"min_dim_size_to_factor": 2}),
        (keras.optimizers.SGD, {"momentum": 0.9, "use_ema": True}),
        (Lion, {}),
    ],
)
def test_equals_the_large_batch(base, kwargs):
    rate = keras.optimizers.schedules.PolynomialDecay(0.1, 5)
    cls = extended(["lookahead"], base)
    large = make_model(cls(rate, steps_per_slow_update=2, **kwargs))
    train(large, 12)
    small = make_model(
        extended(["gradient_accumulation"], cls)(
            rate, steps_per_slow_update=2, grad_accum_steps=3, **kwargs
        )
    )
    train(small, 4)
    assert int(small.optimizer.iterations.numpy()) == 4
    assert_equal(small, large)


def test_an_incomplete_group_is_carried_over():
    """20 rows are five batches: the groups of 2 do not end with the epochs."""
    whole = make_model(Adam(0.1))
    rows = np.concatenate([X[:20], X[:20]]), np.concatenate([Y[:20], Y[:20]])
    whole.fit(*rows, batch_size=8, shuffle=False, verbose=0)
    carried = make_model(extended(["gradient_accumulation"])(0.1, grad_accum_steps=2))
    train(carried, 4, rows=20)
    assert_equal(carried, whole)


def test_flush_takes_the_mean_of_what_is_there():
    large = make_model(Adam(0.1))
    large.fit(X[:12], Y[:12], batch_size=12, shuffle=False, verbose=0)
    large.fit(X[12:20], Y[12:20], batch_size=8, shuffle=False, verbose=0)
    small = make_model(extended(["gradient_accumulation"])(0.1, grad_accum_steps=3))
    flush = keras.callbacks.LambdaCallback(on_train_end=lambda logs: small.optimizer.flush())
    train(small, 4, rows=20, epochs=1, callbacks=[flush])
    assert int(small.optimizer.iterations.numpy()) == 2
    assert_equal(small, large)
    small.optimizer.flush()  # nothing is left
    assert_equal(small, large)


def test_no_update_before_the_group_is_complete():
    model = make_model(extended(["weight_decay", "gradient_accumulation"])(0.1, grad_accum_steps=7))
    start = model.get_weights()
    train(model, 4, epochs=1)
    for a, b in zip(start, model.get_weights()):
        np.testing.assert_array_equal(a, b)
    assert int(model.optimizer.iterations.numpy()) == 0


def test_a_schedule_counts_updates():
    names = ["piecewise_linear_lr", "gradient_accumulation"]
    optimizer = extended(names, keras.optimizers.SGD)(
        1.0, lr_schedule={0: 1, 2: 0}, grad_accum_steps=3
    )
    weight, path = keras.Variable([0.0]), []
    for _ in range(9):
        optimizer.apply([keras.ops.ones(1)], [weight])
        path.append(float(weight[0]))
    assert path == [0, 0, -1, -1, -1, -1.5, -1.5, -1.5, -1.5]


def test_missing_gradients_are_named():
    weights = [keras.Variable([1.0], name="first"), keras.Variable([1.0], name="second")]
    optimizer = extended(["gradient_accumulation"])(0.1)
    with pytest.warns(UserWarning, match="second"):
        optimizer.apply([keras.ops.ones(1), None], weights)
    with pytest.raises(ValueError, match="No gradients"):
        optimizer.apply([None, None], weights)


def variables(*names):
    return [keras.Variable(np.ones(3), name=name) for name in names]


# For each batch of a group whether it has gradients of a and of b.
GROUPS = [
    [(1, 1), (1, 0)],  # b has none in the last batch
    [(0, 1), (1, 0)],  # two heads in turn
    [(1, 0), (1, 0)],  # b is not touched, and stays what it is
    [(1, 0), (0, 1), (1, 1)],
]


@pytest.mark.parametrize("is_flushed", [False, True])
@pytest.mark.parametrize("group", GROUPS)
def test_weights_without_a_gradient_in_some_batches(group, is_flushed):
    """As in the whole batch: zeros where others of the group have some, else untouched."""
    cls = extended(["weight_decay"])
    kwargs = {"weight_decay_rate": 0.5, "exclude_from_weight_decay": []}
    whole, parts = variables("a", "b"), variables("a", "b")
    expected, optimizer = (
        cls(0.1, **kwargs),
        extended(["gradient_accumulation"], cls)(
            0.1, grad_accum_steps=len(group) + is_flushed, **kwargs
        ),
    )
    for _ in range(2):
        rows = RNG.normal(size=(len(group), 2, 3)) * np.array(group)[:, :, None]
        for row, has in zip(rows, group):
            optimizer.apply([tf.constant(g) if h else None for g, h in zip(row, has)], parts)
        if is_flushed:
            optimizer.flush()
        mean = [tf.constant(g) if any(has) else None for g, has in zip(rows.mean(0), zip(*group))]
        expected.apply(mean, whole)
        for a, b in zip(whole, parts):
            np.testing.assert_allclose(b.numpy(), a.numpy(), rtol=0, atol=1e-12)
    assert int(optimizer.iterations.numpy()) == 2
