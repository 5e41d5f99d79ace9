"""Variables that are not Keras' own weights: TensorFlow's, and those of float8 layers."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.optimizers.compositions import ARGUMENTS, make_optimizer

# What Keras says of things that are done here on purpose.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize`"),
]

EACH = [[], *[[name] for name in ARGUMENTS], list(ARGUMENTS)]


def steps(optimizer, variables, overwritten=()):
    optimizer.build([*variables, *overwritten])
    for t in range(6):
        rng = np.random.default_rng(t)
        gradients = [tf.constant(rng.normal(size=v.shape), "float32") for v in variables]
        extra = [tf.fill(v.shape, [3.0, 2.0][t % 2]) for v in overwritten]
        optimizer.apply_gradients(zip([*gradients, *extra], [*variables, *overwritten]))
    for method in ("apply_ema_weights", "reset_old_weights"):
        if hasattr(optimizer, method):
            getattr(optimizer, method)()
    return [keras.ops.convert_to_numpy(variable) for variable in variables]


SHAPES = {"Embedding": (9, 3), "kernel": (3, 4), "bias": (4,)}


@pytest.mark.filterwarnings("ignore:.*is found in no weight's path")
@pytest.mark.parametrize("names", EACH, ids="+".join)
def test_variables_of_tensorflow_are_trained_as_those_of_keras(names):
    plain = [tf.Variable(np.ones(shape, "float32"), name=n) for n, shape in SHAPES.items()]
    own = [keras.Variable(np.ones(shape, "float32"), name=n) for n, shape in SHAPES.items()]
    found, wanted = (steps(make_optimizer(names), variables) for variables in (plain, own))
    for a, b in zip(found, wanted):
        np.testing.assert_array_equal(a, b)
        assert np.any(a != 1)


@pytest.mark.filterwarnings("ignore:.*is found in no weight's path")
@pytest.mark.parametrize("names", EACH, ids="+".join)
def test_scales_of_float8_take_their_gradients_for_values(names):
    """And the rest is trained as if they were not there."""
    weights, alone = ([keras.Variable(np.ones((3, 4)), name="kernel")] for _ in range(2))
    scale = keras.Variable(np.ones(2), name="scale")
    scale.overwrite_with_gradient = True
    found = steps(make_optimizer(names), weights, [scale])
    np.testing.assert_array_equal(found, steps(make_optimizer(names), alone))
    # With accumulation the largest of a group: what the large batch would have given.
    assert scale.numpy()[0] == (3 if "gradient_accumulation" in names else 2)


def test_a_float8_model_trains_and_is_saved(tmp_path):
    layers = [keras.layers.Dense(8, "relu", name="Transformer-0-Dense"),
              keras.layers.Dense(4, name="Head")]  # fmt: skip
    model = keras.Sequential([keras.Input((8,)), *layers])
    model.quantize("float8")
    names = ["gradient_accumulation", "lookahead", "exponential_moving_average"]
    model.compile(make_optimizer(names), "mse")
    x = np.random.default_rng(0).normal(size=(24, 8)).astype("float32")
    losses = model.fit(x, x[:, :4] ** 2, batch_size=4, epochs=3, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    # The scales have no average; in a model that was quantized when built they stand elsewhere.
    found, wanted = (
        [average.numpy() for average in each.optimizer.ema_weights if average is not None]
        for each in (loaded, model)
    )
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_allclose(loaded.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-6)
