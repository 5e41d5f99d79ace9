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
