"""GlobalPointer and its efficient form: recordings, a loop over spans, translation, masks."""

import keras
import numpy as np
import pytest
from keras import ops

from bert4keras_ext.layers import EfficientGlobalPointer, GlobalPointer
from bert4keras_ext.losses import GlobalPointerCrossentropy
from tests.harness import check_layer
from tests.recorded import recorded_case

RECORDED = ["gp", "gp_nobias", "gp_nomask_notril", "gp_norope", "gp_norope_tril_mask"]
EFFICIENT = ["egp", "egp_nobias", "egp_nomask_notril", "egp_norope", "egp_norope_tril_mask"]
MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], bool)


@pytest.mark.parametrize("name", RECORDED + EFFICIENT)
def test_equals_bert4keras(name):
    case = recorded_case(name)
    layer = (EfficientGlobalPointer if name in EFFICIENT else GlobalPointer)(**case.config)
    case.check(layer, lambda x: layer(x, mask=case.masks.get(0)), tolerance=2e-5)


def rotate(x, place):
    """Pairs of channels as complex numbers, float64."""
    pairs = x[0::2] + 1j * x[1::2]
    angles = place * 10000.0 ** (-np.arange(0, len(x), 2) / len(x))
    turned = pairs * np.exp(1j * angles)
    return np.stack([turned.real, turned.imag], -1).ravel()


@pytest.mark.parametrize("cls", [GlobalPointer, EfficientGlobalPointer])
def test_equals_a_loop_over_types_and_spans(cls):
    x = np.random.default_rng(0).normal(size=(2, 5, 6))
    layer = cls(heads=3, head_size=4)
    found = np.asarray(layer(x.astype("float32"), mask=MASK))
    weights = [np.asarray(w, "float64") for w in layer.get_weights()]
    wanted = np.full((2, 3, 5, 5), -np.inf)
    h = x @ weights[0] + weights[1]
    for b, a, i, j in np.ndindex(*wanted.shape):
        if j < i or not (MASK[b, i] and MASK[b, j]):
            continue
        if cls is GlobalPointer:
            q, k = h[b, i, 8 * a : 8 * a + 4], h[b, j, 8 * a + 4 : 8 * a + 8]
            edges = 0
        else:
            q, k = h[b, i, 0::2], h[b, j, 1::2]
            edge = h[b] @ weights[2] + weights[3]
            edges = (edge[j, 2 * a] + edge[i, 2 * a + 1]) / 2
        wanted[b, a, i, j] = rotate(q, i) @ rotate(k, j) / 2 + edges
    np.testing.assert_array_equal(np.isinf(found), np.isinf(wanted))
    np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize("cls", [GlobalPointer, EfficientGlobalPointer])
def test_citizenship(cls):
    x = np.random.default_rng(1).normal(size=(2, 5, 12)).astype("float32")
    check_layer(
        cls, dict(heads=3, head_size=4), x, masks=[MASK], expected_shape=(2, 3, 5, 5),
        expected_weights=2 if cls is GlobalPointer else 4,
    )  # fmt: skip


@pytest.mark.parametrize("cls", [GlobalPointer, EfficientGlobalPointer])
def test_a_shift_of_the_whole_text_changes_no_score(cls):
    x = np.random.default_rng(2).normal(size=(1, 4, 6)).astype("float32")
    layer = cls(heads=2, head_size=4)
    plain = np.asarray(layer(x))
    shifted = np.asarray(layer(np.concatenate([x[:, :2] * 0, x], 1)))[:, :, 2:, 2:]
    np.testing.assert_allclose(shifted, plain, atol=1e-5)


def test_positions_matter_only_with_rope():
    x = np.ones((1, 6, 4), "float32")
    with_rope = np.asarray(GlobalPointer(1, 4)(x))[0, 0]
    without = np.asarray(GlobalPointer(1, 4, RoPE=False, tril_mask=False)(x))[0, 0]
    assert np.ptp(without) < 1e-6
    assert np.ptp(with_rope[0]) > 1e-3


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_forbidden_spans_are_minus_infinity_in_every_precision(policy):
    scores = GlobalPointer(2, 4, dtype=policy)(np.ones((2, 5, 6), "float32"), mask=MASK)
    values = ops.convert_to_numpy(ops.cast(scores, "float32"))
    assert np.all(np.isneginf(values[1, :, 3:])) and np.all(np.isfinite(values[0, 0, 0]))


@pytest.mark.parametrize("sparse", [False, True])
def test_trains_to_find_spans(sparse):
    """The span of token 7 and what follows it, up to token 8."""
    rng = np.random.default_rng(3)
    tokens = rng.integers(1, 6, (32, 8))
    starts, ends = rng.integers(0, 4, 32), rng.integers(4, 8, 32)
    tokens[np.arange(32), starts], tokens[np.arange(32), ends] = 7, 8
    dense = np.zeros((32, 1, 8, 8), "float32")
    dense[np.arange(32), 0, starts, ends] = 1
    spans = np.stack([starts, ends], -1)[:, None, None]
    if sparse:  # (0, 0) means no span, so such a row cannot be told: there is none
        assert not np.any((starts == 0) & (ends == 0))
    inputs = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(9, 16, mask_zero=True)(inputs)
    model = keras.Model(inputs, GlobalPointer(1, 16)(x))
    model.compile(keras.optimizers.Adam(0.02), GlobalPointerCrossentropy(sparse=sparse))
    model.fit(tokens, spans if sparse else dense, epochs=60, batch_size=32, verbose=0)
    predicted = model.predict(tokens, verbose=0) > 0
    assert np.mean(predicted == (dense > 0)) > 0.99


def test_lora_and_int8_work_on_the_projection():
    layer = GlobalPointer(2, 4)
    x = np.random.default_rng(4).normal(size=(1, 3, 6)).astype("float32")
    before = np.asarray(layer(x))
    layer.dense.quantize("int8")
    finite = np.isfinite(before)
    np.testing.assert_allclose(np.asarray(layer(x))[finite], before[finite], atol=0.1)


def test_an_odd_head_size_is_refused():
    with pytest.raises(ValueError, match="even head_size, found 5.*RoPE=False"):
        GlobalPointer(2, 5)
