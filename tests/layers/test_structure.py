"""Add and Concatenate1D."""

import keras
import numpy as np

from bert4keras_ext.layers import Add, Concatenate1D
from tests.harness import check_layer
from tests.recorded import recorded_case

A = np.random.default_rng(0).normal(size=(2, 3, 4)).astype("float32")
B = np.random.default_rng(1).normal(size=(2, 2, 4)).astype("float32")
MASK = np.array([[1, 1, 0], [1, 0, 0]], bool)


def test_add_keeps_the_mask_when_only_one_input_has_one():
    check_layer(Add, {}, [A, 2 * A], masks=[MASK, None], expected_shape=A.shape, expected_mask=MASK)
    check_layer(Add, {}, [A, 2 * A], masks=[None, MASK], expected_mask=MASK)


def test_add_masks_where_any_input_is_masked():
    other = np.array([[1, 0, 1], [1, 1, 1]], bool)
    check_layer(Add, {}, [A, 2 * A], masks=[MASK, other], expected_mask=MASK & other)


def test_concatenate_equals_bert4keras():
    case = recorded_case("concat1d")
    layer = Concatenate1D()
    case.check(layer, layer, tolerance=1e-6, listed=True)


def test_concatenate_joins_masks():
    joined = np.concatenate([MASK, np.ones((2, 2), bool)], axis=1)
    check_layer(Concatenate1D, {}, [A, B], masks=[MASK, None], expected_shape=(2, 5, 4),
                expected_mask=joined)  # fmt: skip
    assert keras.src.backend.get_keras_mask(Concatenate1D()([A, B])) is None
