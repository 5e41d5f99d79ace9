"""Whitening as a layer: what numerics finds, saved with the model."""

import keras
import numpy as np
import pytest

from bert4keras_ext.layers import Whitening
from bert4keras_ext.numerics import whiten, whitening
from tests.harness import check_layer

ROWS = np.random.default_rng(0).normal(size=(200, 6)) @ np.diag([1, 2, 3, 4, 5, 6]) + 3


@pytest.mark.parametrize("components", [None, 3])
@pytest.mark.parametrize("batches", [False, True])
def test_equals_the_function(components, batches):
    layer = Whitening(components)
    layer.adapt(np.split(ROWS, 4) if batches else ROWS)
    wanted = whiten(ROWS, *whitening(ROWS, components))
    np.testing.assert_allclose(layer(ROWS.astype("float32")), wanted, atol=1e-5)
    assert not layer.trainable_weights


def test_before_adapt_it_is_the_identity():
    x = ROWS[:2].astype("float32")
    np.testing.assert_allclose(Whitening(normalize=False)(x), x)


def test_saved_with_the_model_and_in_any_precision(tmp_path):
    keras.config.set_dtype_policy("mixed_bfloat16")
    inputs = keras.Input((6,))
    layer = Whitening(2)
    model = keras.Model(inputs, layer(inputs))
    layer.adapt(ROWS)
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(again.predict_on_batch(ROWS), model.predict_on_batch(ROWS))
    covariance = np.cov(Whitening.call(layer, ROWS.astype("float32")), rowvar=False)
    assert covariance.shape == (2, 2)


def test_citizenship():
    x = np.random.default_rng(1).normal(size=(2, 3, 6)).astype("float32")
    mask = np.array([[1, 1, 1], [1, 0, 0]], bool)
    check_layer(Whitening, {"n_components": 2}, x, masks=[mask], expected_shape=(2, 3, 2),
                expected_weights=0, expected_mask=mask, mixed_dtype="float32")  # fmt: skip


def test_too_many_components_are_refused():
    with pytest.raises(ValueError, match="n_components expects 1 to 6, received 7"):
        Whitening(7).adapt(ROWS)


def test_the_symbolic_output_is_float32_as_the_real_one_is():
    layer = Whitening(dtype="mixed_float16")
    assert layer(keras.Input((4,))).dtype == "float32"
    assert keras.backend.standardize_dtype(layer(np.ones((2, 4), "float32")).dtype) == "float32"


@pytest.mark.parametrize("policy", ["float64", "float16", "bfloat16", "mixed_float16"])
@pytest.mark.parametrize("dtype", ["float64", "float16", "int32"])
def test_precisions_of_layer_and_inputs(policy, dtype):
    """The map keeps its digits: a float16 one would overflow for a direction of little spread."""
    rows = ROWS * [1e-4, 1, 10, 10, 10, 10]
    layer = Whitening(dtype=policy)
    layer.adapt(rows)
    wanted = "float64" if policy == "float64" else "float32"
    x = (rows[:4] * 9).astype(dtype)
    found = layer(x)
    assert keras.backend.standardize_dtype(found.dtype) == layer(keras.Input((6,))).dtype == wanted
    exact = whiten(x.astype("float64"), *whitening(rows))
    np.testing.assert_allclose(found, exact, atol=1e-12 if wanted == "float64" else 1e-3)


def test_rows_of_any_kind_are_adapted_to():
    wanted = np.asarray(whitening(ROWS)[0], "float32")
    tensor = keras.ops.convert_to_tensor(ROWS)
    for vectors in (ROWS.tolist(), tensor, [tensor[:9], tensor[9:]], iter(np.split(ROWS, 4))):
        layer = Whitening()
        layer.adapt(vectors)
        np.testing.assert_allclose(layer.kernel, wanted, rtol=1e-4, atol=1e-6)
    half = keras.ops.cast(ROWS, "bfloat16")
    exact = keras.ops.convert_to_numpy(keras.ops.cast(half, "float64"))
    layer.adapt(half)
    np.testing.assert_allclose(layer.kernel, whitening(exact)[0], rtol=1e-4, atol=1e-6)
