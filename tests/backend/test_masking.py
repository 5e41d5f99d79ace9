"""Sequence masking and attention normalization."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from keras import ops

from bert4keras_ext.backend import attention_normalize, sequence_masking
from tests.shared import oracle

RECORDED = np.load(oracle("bert4keras", "backend.npz"))


def test_sequence_masking_equals_bert4keras():
    x, mask = RECORDED["seqmask/in"], RECORDED["seqmask/mask"]
    found = sequence_masking(x, mask, "-inf", axis=1)
    np.testing.assert_array_equal(found, RECORDED["seqmask/axis1_-inf"])
    np.testing.assert_array_equal(sequence_masking(x, mask, 0), RECORDED["seqmask/value0"])


@pytest.mark.parametrize("method", ["softmax", "squared_relu", "softmax_plus"])
def test_attention_normalize_equals_bert4keras(method):
    scores = ops.convert_to_tensor(RECORDED["attnorm/in"])
    mask = RECORDED["seqmask/mask"] if "attnorm/mask" not in RECORDED else RECORDED["attnorm/mask"]
    for suffix, given_mask in (("", mask), ("_nomask", None)):
        found = attention_normalize(scores, given_mask, method)
        np.testing.assert_allclose(found, RECORDED[f"attnorm/{method}{suffix}"], atol=2e-6)


def test_masking_two_axes_and_returning_the_mask():
    mask = np.array([[True, True, False]])
    x, allowed = sequence_masking(
        ops.zeros((1, 2, 3, 3)), mask, "-inf", axis=[2, 3], return_mask=True
    )
    wanted = mask[:, None, :, None] & mask[:, None, None, :]
    np.testing.assert_array_equal(np.isfinite(x)[:, :1], wanted)
    np.testing.assert_array_equal(allowed, wanted)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_masked_values_are_exactly_minus_infinity(dtype):
    x = sequence_masking(ops.zeros((1, 2, 4), dtype), np.array([[True, False]]), "-inf")
    assert np.all(np.asarray(ops.cast(x, "float32"))[0, 1] == -np.inf)


def test_bias_is_added_or_combined():
    x, mask = ops.zeros((1, 3)), np.array([[True, True, False]])
    found = sequence_masking(x, mask, "-inf", bias=np.array([[True, False, True]]))
    np.testing.assert_array_equal(found, [[0, -np.inf, -np.inf]])
    found = sequence_masking(x, mask, "-inf", bias=np.array([[1.0, 2.0, 3.0]], "float32"))
    np.testing.assert_array_equal(found, [[1, 2, -np.inf]])


shapes = st.tuples(st.integers(1, 2), st.integers(1, 2), st.integers(1, 4), st.integers(1, 5))
floats = st.floats(-1e4, 1e4, width=32)


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_weights_are_a_distribution_over_the_allowed_keys(data):
    shape = data.draw(shapes)
    scores = data.draw(hnp.arrays("float32", shape, elements=floats))
    mask = data.draw(hnp.arrays(bool, (shape[0], shape[3])))
    weights = np.asarray(attention_normalize(ops.convert_to_tensor(scores), mask, "softmax"))
    assert np.all(np.isfinite(weights))
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-5)
    some = mask.any(-1)
    forbidden = ~np.broadcast_to(mask[:, None, None, :], shape)
    assert np.all(weights[some][forbidden[some]] == 0)


@settings(deadline=None, max_examples=25)
@given(st.data())
def test_scores_may_be_shifted(data):
    shape = data.draw(shapes)
    scores = data.draw(hnp.arrays("float32", shape, elements=st.floats(-10, 10, width=32)))
    a = attention_normalize(ops.convert_to_tensor(scores))
    b = attention_normalize(ops.convert_to_tensor(scores + np.float32(3)))
    np.testing.assert_allclose(a, b, atol=1e-5)


def test_unknown_method_and_axis():
    with pytest.raises(ValueError, match="received 'relu'"):
        attention_normalize(ops.zeros((1, 1, 1, 1)), method="relu")
    with pytest.raises(ValueError, match="axis 0 is the batch"):
        sequence_masking(ops.zeros((1, 2)), np.ones((1, 2), bool), axis=0)
