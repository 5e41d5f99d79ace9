"""Batches cut and joined, with their masks."""

import keras
import numpy as np
import pytest

from bert4keras_ext.layers import BatchConcat, BatchSplit

X = np.arange(42.0, dtype="float32").reshape(7, 3, 2)


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
def test_cut_and_joined_is_the_same(parts):
    pieces = BatchSplit(parts)(X)
    assert len(pieces) == parts and sum(len(p) for p in pieces) == 7
    assert max(map(len, pieces)) - min(map(len, pieces)) <= 1
    np.testing.assert_array_equal(BatchConcat()(pieces), X)


def test_masks_go_the_same_way():
    layer, mask = BatchSplit(2), np.arange(7)[:, None] > np.arange(3)
    pieces = layer(X)
    cut = layer.compute_mask(X, mask)
    assert [len(m) for m in cut] == [len(p) for p in pieces] == [4, 3]
    joined = BatchConcat().compute_mask(pieces, [cut[0], None])
    np.testing.assert_array_equal(joined, np.concatenate([mask[:4], np.ones((3, 3), bool)]))
    assert BatchConcat().compute_mask(pieces, [None, None]) is None
    assert layer.compute_mask(X, None) == [None, None]


def test_in_a_model_of_any_batch_size(tmp_path):
    inputs = keras.Input((3, 2))
    outputs = BatchConcat()([2 * part for part in BatchSplit(3)(inputs)])
    model = keras.Model(inputs, outputs)
    model.save(tmp_path / "m.keras")
    for rows in (7, 3):
        found = keras.models.load_model(tmp_path / "m.keras").predict_on_batch(X[:rows])
        np.testing.assert_array_equal(found, 2 * X[:rows])


def test_no_parts_are_refused():
    with pytest.raises(ValueError, match="parts expects 1 or more, received 0"):
        BatchSplit(0)


def test_masks_in_a_functional_model(tmp_path):
    tokens = keras.Input((None,), dtype="int32")
    states = keras.layers.Embedding(9, 4, mask_zero=True)(tokens)
    # The attention takes the masks as arguments: they are a part of the model.
    attention = keras.layers.MultiHeadAttention(2, 4)
    parts = [attention(part, part) for part in BatchSplit(2)(states)]
    mean = keras.layers.GlobalAveragePooling1D()
    model, whole = (
        keras.Model(tokens, mean(x)) for x in (BatchConcat()(parts), attention(states, states))
    )
    ids = np.array([[1, 2, 0], [3, 0, 0], [4, 5, 6]])
    model.compile("sgd", "mse")
    model.fit(ids, np.zeros((3, 4)), verbose=0)
    wanted = whole.predict(ids, verbose=0)
    model.save(tmp_path / "m.keras")
    for found in (model, keras.models.load_model(tmp_path / "m.keras")):
        np.testing.assert_allclose(found.predict(ids, verbose=0), wanted, atol=1e-6)


def test_a_batch_without_a_mask_counts_as_unmasked_in_a_functional_model():
    tokens, states = keras.Input((None,), dtype="int32"), keras.Input((None, 4))
    embedding = keras.layers.Embedding(9, 4, mask_zero=True)
    joined = BatchConcat()([embedding(tokens), states])
    model = keras.Model([tokens, states], keras.layers.GlobalAveragePooling1D()(joined))
    found = model([np.array([[3, 0, 0]]), X[:1, :, [0, 0, 1, 1]]])
    np.testing.assert_allclose(found[0], embedding.get_weights()[0][3], atol=1e-6)
    np.testing.assert_allclose(found[1], X[0, :, [0, 0, 1, 1]].mean(1), atol=1e-6)
