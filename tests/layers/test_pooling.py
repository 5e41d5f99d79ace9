"""Pooling with regard to masks."""

import numpy as np
import pytest

from bert4keras_ext.layers import (
    FirstLastAverage,
    FirstPooling1D,
    GlobalAveragePooling1D,
    GlobalMaxPooling1D,
    SentencePairFeatures,
)
from tests.harness import check_layer
from tests.recorded import recorded_case

X = np.random.default_rng(0).normal(size=(2, 5, 12)).astype("float32")
MASK = np.array([[1, 1, 1, 1, 1], [1, 0, 1, 0, 0]], bool)


@pytest.mark.parametrize("name", ["gap", "gap_nomask", "gmp"])
def test_equals_bert4keras(name):
    case = recorded_case(name)
    layer = (GlobalMaxPooling1D if name == "gmp" else GlobalAveragePooling1D)()
    case.check(layer, lambda x: layer(x, mask=case.masks.get(0)), tolerance=2e-5)


@pytest.mark.parametrize("cls", [FirstPooling1D, GlobalAveragePooling1D, GlobalMaxPooling1D])
def test_citizenship(cls):
    check_layer(cls, {}, X, masks=[MASK], expected_shape=(2, 12), expected_weights=0)


def test_citizenship_of_several_inputs():
    other = np.random.default_rng(1).normal(size=X.shape).astype("float32")
    check_layer(FirstLastAverage, {}, [X, other], masks=[MASK, MASK], expected_shape=(2, 12),
                expected_weights=0)  # fmt: skip
    check_layer(SentencePairFeatures, {}, [X[:, 0], other[:, 0]], expected_shape=(2, 36))
    check_layer(SentencePairFeatures, {}, X.reshape(10, 12), expected_shape=(5, 36))


@pytest.mark.parametrize("cls, reduce", [(GlobalAveragePooling1D, np.mean),
                                         (GlobalMaxPooling1D, np.max)])  # fmt: skip
def test_only_unmasked_positions_count(cls, reduce):
    _, found = check_layer(cls, {}, X, masks=[MASK])
    wanted = [reduce(row[mask].astype("float64"), axis=0) for row, mask in zip(X, MASK)]
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_a_row_without_any_position():
    nothing = np.zeros((2, 5), bool)
    assert np.all(np.asarray(GlobalAveragePooling1D()(X, mask=nothing)) == 0)
    assert np.all(np.asarray(GlobalMaxPooling1D()(X, mask=nothing)) == -np.inf)


def test_first_last_average_is_the_mean_of_masked_means():
    rng = np.random.default_rng(7)
    first, last = rng.normal(size=(2, 2, 4, 3)).astype("float32")
    mask = np.array([[1, 1, 0, 0], [1, 1, 1, 1]], bool)
    found = FirstLastAverage()([first, last], mask=[mask, mask])
    rows = [(first[i][mask[i]].mean(0) + last[i][mask[i]].mean(0)) / 2 for i in range(2)]
    np.testing.assert_allclose(found, rows, atol=1e-6)
    np.testing.assert_allclose(FirstLastAverage()([first]), first.mean(1), atol=1e-6)


def test_pair_features_of_lists_and_of_neighbouring_rows():
    u, v = np.random.default_rng(8).normal(size=(2, 3, 4)).astype("float32")
    wanted = np.concatenate([u, v, np.abs(u - v)], axis=1)
    np.testing.assert_allclose(SentencePairFeatures()([u, v]), wanted)
    rows = np.stack([u, v], axis=1).reshape(6, 4)
    np.testing.assert_allclose(SentencePairFeatures()(rows), wanted)


def test_pairs_of_an_odd_number_of_rows_are_refused():
    with pytest.raises(ValueError, match="expected an even number of rows, found 3"):
        SentencePairFeatures()(np.ones((3, 4), "float32"))
