"""ScaleOffset and LayerNormalization."""

import numpy as np
import pytest
from keras import ops

from bert4keras_ext.layers import LayerNormalization, ScaleOffset
from tests.harness import check_layer
from tests.losses.common import with_gradient
from tests.recorded import recorded_case
from tests.shared import oracle

NORMS = ["ln_default", "ln_eps", "ln_no_var", "ln_rms", "ln_rms_plain", "ln_const_row",
         "ln_cond", "ln_cond_hidden", "ln_cond_rms"]  # fmt: skip
X = np.random.default_rng(0).normal(size=(2, 5, 12)).astype("float32")
CONDITION = np.random.default_rng(1).normal(size=(2, 7)).astype("float32")
MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], bool)


@pytest.mark.parametrize(
    "name", NORMS + ["scale_offset", "scale_offset_cond", "scale_offset_const"]
)
def test_equals_bert4keras(name):
    case = recorded_case(name)
    layer = (LayerNormalization if name.startswith("ln") else ScaleOffset)(**case.config)
    case.check(layer, layer, tolerance=2e-5, listed=len(case.inputs) == 2)


def test_gradients_of_constant_rows_equal_float64():
    """Theirs are not recorded. Terms are near 1 / sqrt(epsilon) = 3e3, so relative to that."""
    case = recorded_case("ln_const_row")
    layer = LayerNormalization(**case.config)
    x, cotangent = case.inputs[0], np.random.default_rng(2).normal(size=case.inputs[0].shape)
    case.load(layer, lambda: layer(x))
    beta, gamma = (w.astype("float64") for w in case.weights)
    _, found = with_gradient(lambda x: layer(x) * cotangent.astype("float32"), x)
    towards = cotangent * gamma
    wanted = (towards - towards.mean(-1, keepdims=True)) / np.sqrt(layer.epsilon)
    np.testing.assert_allclose(found, wanted, atol=2e-5 * np.abs(wanted).max())
    np.testing.assert_allclose(layer(x), np.broadcast_to(beta, x.shape), atol=1e-6)


@pytest.mark.parametrize("config", [{}, {"zero_mean": False, "offset": False}, {"epsilon": 1e-12},
                                    {"unit_variance": False}])  # fmt: skip
def test_citizenship(config):
    check_layer(LayerNormalization, config, X, masks=[MASK], expected_shape=X.shape,
                expected_weights=1 if "offset" in config else 2, expected_mask=MASK)  # fmt: skip


@pytest.mark.parametrize("cls", [LayerNormalization, ScaleOffset])
@pytest.mark.parametrize("hidden", [None, 6])
def test_conditional_citizenship(cls, hidden):
    config = dict(conditional=True, hidden_units=hidden, hidden_activation="tanh")
    check_layer(cls, config, [X, CONDITION], masks=[MASK, None], expected_shape=X.shape,
                expected_weights=5 if hidden else 4, expected_mask=MASK)  # fmt: skip
    check_layer(cls, config, X, masks=[MASK], call={"condition": CONDITION}, expected_mask=MASK)


def test_equals_float64():
    layer = LayerNormalization(epsilon=1e-12)
    x = X.astype("float64") * 3 + 5
    wanted = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-12)
    np.testing.assert_allclose(layer(ops.convert_to_tensor(x, "float32")), wanted, atol=5e-6)


def test_a_row_of_zeros_without_epsilon_is_zero():
    layer = LayerNormalization(epsilon=0.0)
    np.testing.assert_array_equal(layer(ops.zeros((1, 4))), np.zeros((1, 4)))


def test_large_values_do_not_overflow_in_float16():
    layer = LayerNormalization(dtype="mixed_float16")
    assert np.all(np.isfinite(layer(ops.convert_to_tensor([[60000.0, -60000.0, 0.0, 1.0]]))))


def test_a_condition_that_is_missing_or_not_expected():
    with pytest.raises(ValueError, match="conditional: call it as"):
        LayerNormalization(conditional=True)(ops.ones((1, 4)))
    with pytest.raises(ValueError, match="conditional=True"):
        LayerNormalization()(ops.ones((1, 4)), condition=ops.ones((1, 2)))


def test_root_mean_square_equals_bert4keras():
    recorded = np.load(oracle("bert4keras") / "backend.npz")
    x = recorded["seqmask/in"]
    layer = LayerNormalization(zero_mean=False, scale=False, offset=False, epsilon=0.0)
    np.testing.assert_allclose(layer(x) * recorded["rms/out"], x, atol=2e-6)
