"""Embedding in both modes."""

import keras
import numpy as np
import pytest
from keras import ops

from bert4keras_ext.layers import Embedding
from tests.harness import check_layer
from tests.recorded import recorded_case


@pytest.mark.parametrize("name", ["embedding", "embedding_dense"])
def test_equals_bert4keras(name):
    case = recorded_case(name)
    layer = Embedding(9, 12, mask_zero=True)
    layer.build((None, None))
    case.check(layer, lambda x: layer(x, **case.call), tolerance=2e-5)
    if "mask_out" in case.arrays:
        mask = layer.compute_mask(ops.convert_to_tensor(case.inputs[0]))
        np.testing.assert_array_equal(mask, case.arrays["mask_out"].astype(bool))


def test_citizenship():
    ids = np.array([[0, 3, 0, 5], [2, 0, 0, 0]], "int32")
    check_layer(
        Embedding, dict(input_dim=7, output_dim=4, mask_zero=True), ids, expected_shape=(2, 4, 4),
        expected_weights=1, expected_mask=[[True, True, False, True], [True, False, False, False]],
    )  # fmt: skip


def test_padding_that_is_not_0():
    layer = Embedding(7, 4, mask_zero=True, padding_id=3)
    mask = layer.compute_mask(ops.array([[3, 3, 0, 5], [2, 0, 3, 3]]))
    np.testing.assert_array_equal(mask, [[True, False, True, True], [True, True, False, False]])
    assert Embedding.from_config(layer.get_config()).padding_id == 3


def test_both_modes_share_one_table_inside_a_functional_model():
    tokens = keras.Input((None,), dtype="int32")
    layer = Embedding(7, 4, mask_zero=True)
    model = keras.Model(tokens, layer(layer(tokens), mode="dense"))
    assert len(model.weights) == 1
    table = layer.get_weights()[0]
    ids = np.array([[1, 2, 3]])
    np.testing.assert_allclose(model(ids)[0], table[ids[0]] @ table.T, atol=1e-6)


def test_the_dense_mode_passes_the_mask_on():
    layer = Embedding(7, 4, mask_zero=True)
    states = layer(ops.array([[1, 2, 0]]))
    logits = layer(states, mode="dense")
    mask = keras.src.backend.get_keras_mask(logits)
    np.testing.assert_array_equal(mask, [[True, True, False]])


def test_the_dense_mode_computes_in_the_precision_of_the_layer():
    layer = Embedding(7, 4, dtype="mixed_bfloat16")
    assert layer(layer(ops.array([[1, 2]])), mode="dense").dtype.name == "bfloat16"


def test_int8_keeps_both_modes():
    layer = Embedding(50, 16)
    ids = ops.array([[1, 2, 3]])
    before = layer(layer(ids), mode="dense")
    layer.quantize("int8")
    after = layer(layer(ids), mode="dense")
    assert np.abs(after - before).max() < 0.05 * np.abs(before).max()


def test_an_unknown_mode_is_named():
    with pytest.raises(ValueError, match="'embedding' or 'dense', received 'tied'"):
        Embedding(7, 4)(ops.array([[1]]), mode="tied")


def test_float_ids_have_the_mask_of_ids(tmp_path):
    """keras.Input is float32 where nobody says otherwise; the length may equal output_dim."""
    inputs = keras.Input((None,))
    layer = Embedding(7, 4, mask_zero=True)
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling1D()(layer(inputs)))
    model.save(tmp_path / "m.keras")
    table, ids = layer.get_weights()[0], np.array([[5, 2, 0, 0], [1, 0, 3, 4]], "float32")
    wanted = [table[[5, 2]].mean(0), table[[1, 3, 4]].mean(0)]
    for found in (model, keras.models.load_model(tmp_path / "m.keras")):
        np.testing.assert_allclose(found.predict(ids, verbose=0), wanted, atol=1e-6)


def test_states_without_a_mask_get_none():
    layer = Embedding(7, 4, mask_zero=True)
    logits = layer(ops.zeros((2, 4)), mode="dense")
    assert logits.shape == (2, 7) and keras.src.backend.get_keras_mask(logits) is None


def test_one_id_a_row():
    inputs = keras.Input((), dtype="int32")
    layer = Embedding(7, 4, mask_zero=True)
    model = keras.Model(inputs, layer(inputs))
    assert model(np.array([3, 0])).shape == (2, 4)
    np.testing.assert_array_equal(layer.compute_mask(ops.array([3, 0])), [True, False])


@pytest.mark.parametrize("is_list", [True, False])
def test_weights_to_start_from(is_list):
    table = np.random.default_rng(0).normal(size=(9, 4)).astype("float32")
    layer = Embedding(9, 4, weights=[table] if is_list else table)
    np.testing.assert_array_equal(layer(ops.array([[1, 8]]))[0], table[[1, 8]])
    stock = keras.layers.Embedding(9, 4, weights=[table])
    assert "weights" not in layer.get_config() and "weights" not in stock.get_config()
    assert Embedding.from_config(layer.get_config()).output_dim == 4
