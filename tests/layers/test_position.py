"""PositionEmbedding and SinusoidalPositionEmbedding."""

import numpy as np
import pytest
from keras import ops

from bert4keras_ext.layers import PositionEmbedding, SinusoidalPositionEmbedding
from bert4keras_ext.models.roberta import RealTokenPositions
from tests.harness import check_layer
from tests.recorded import recorded_case

MODES = ["add", "mul", "zero", "concat"]
X = np.random.default_rng(0).normal(size=(2, 5, 12)).astype("float32")
IDS = np.array([[0, 1, 2, 0, 1], [4, 3, 2, 1, 0]], "int32")
MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], bool)
RECORDED = [f"pos_{kind}{mode}" for kind in ("", "custom_", "hier_") for mode in MODES]


@pytest.mark.parametrize("name", [*RECORDED, "pos_hier_custom"])
def test_equals_bert4keras(name):
    case = recorded_case(name)
    layer = PositionEmbedding(**case.config)
    case.check(layer, layer, tolerance=2e-5, listed=len(case.inputs) == 2)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("hierarchical", [None, True, 0.3])
def test_citizenship(mode, hierarchical):
    config = dict(input_dim=4 if hierarchical else 8, output_dim=12, merge_mode=mode,
                  hierarchical=hierarchical)  # fmt: skip
    wide = (2, 5, 24) if mode == "concat" else (2, 5, 12)
    alone = (1, 5, 12) if mode == "zero" else wide  # one for all rows
    check_layer(PositionEmbedding, config, X, masks=[MASK], expected_shape=alone,
                expected_weights=1, expected_mask=MASK)  # fmt: skip
    config["custom_position_ids"] = True
    check_layer(PositionEmbedding, config, [X, IDS], masks=[MASK, None], expected_shape=wide,
                expected_mask=MASK)  # fmt: skip


def test_hierarchical_leaves_the_trained_positions_as_they_are():
    layer = PositionEmbedding(4, 3, hierarchical=True, embeddings_initializer="normal")
    layer.build((None, None, 3))
    np.testing.assert_allclose(layer.leading_rows(4), layer.get_weights()[0], atol=1e-6)
    assert layer.leading_rows(16).shape == (16, 3)


@pytest.mark.parametrize("hierarchical, reach", [(None, 4), (True, 16)])
def test_inputs_beyond_the_positions_say_what_to_do(hierarchical, reach):
    layer = PositionEmbedding(4, 12, hierarchical=hierarchical)
    with pytest.raises(ValueError, match=f"knows {reach} positions.*maxlen"):
        layer(ops.ones((1, reach + 1, 12)))


def test_the_length_is_checked_where_it_is_known_only_at_run_time():
    import tensorflow as tf

    layer = PositionEmbedding(4, 12)
    function = tf.function(layer, input_signature=[tf.TensorSpec((None, None, 12))])
    assert function(tf.ones((1, 4, 12))).shape == (1, 4, 12)
    with pytest.raises(tf.errors.InvalidArgumentError, match="knows 4 positions"):
        function(tf.ones((1, 5, 12)))


@pytest.mark.parametrize(
    "layer, dtype, kind",
    [(PositionEmbedding(4, 12), "float32", "AddV2"), (RealTokenPositions(), "int32", "NotEqual")],
    ids=lambda value: type(value).__name__,
)
def test_nothing_is_computed_before_the_length_is_checked(layer, dtype, kind):
    """Else the product of shapes that do not fit may fail first, with a message of its own."""
    import tensorflow as tf

    shape = (None, None, 12) if dtype == "float32" else (None, None)
    function = tf.function(layer, input_signature=[tf.TensorSpec(shape, dtype)])
    graph = function.get_concrete_function().graph
    waiting = [op for op in graph.get_operations() if op.type == kind]
    seen = set()
    while waiting:
        op = waiting.pop()
        if op not in seen:
            seen.add(op)
            waiting += [*(tensor.op for tensor in op.inputs), *op.control_inputs]
    assert any("assert_less_equal" in op.name for op in seen)


def test_missing_ids_and_unknown_modes():
    with pytest.raises(ValueError, match="layer\\(\\[x, position_ids\\]\\)"):
        PositionEmbedding(4, 12, custom_position_ids=True)(ops.ones((1, 2, 12)))
    with pytest.raises(ValueError, match="merge_mode expects.*received 'sum'"):
        PositionEmbedding(4, 12, merge_mode="sum")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("custom", ["", "custom_"])
def test_sinusoids_equal_bert4keras(mode, custom):
    case = recorded_case(f"sin_{custom}{mode}")
    layer = SinusoidalPositionEmbedding(**case.config)
    if f"sin_{custom}{mode}" == "sin_zero":  # nothing to differentiate by
        np.testing.assert_allclose(layer(*case.inputs), case.outputs[0], atol=2e-6)
    else:
        case.check(layer, layer, tolerance=2e-5, listed=bool(custom))


@pytest.mark.parametrize("mode", MODES)
def test_citizenship_of_sinusoids(mode):
    config = dict(output_dim=12, merge_mode=mode, base=100.0)
    wide = (2, 5, 24) if mode == "concat" else (2, 5, 12)
    alone = (1, 5, 12) if mode == "zero" else wide
    check_layer(SinusoidalPositionEmbedding, config, X, masks=[MASK], expected_shape=alone,
                expected_weights=0, expected_mask=MASK)  # fmt: skip
    config["custom_position_ids"] = True
    check_layer(SinusoidalPositionEmbedding, config, [X, IDS], masks=[MASK, None],
                expected_shape=wide, expected_mask=MASK)  # fmt: skip


def test_sinusoids_refuse_an_odd_width():
    with pytest.raises(ValueError, match="even width, found 5"):
        SinusoidalPositionEmbedding(5)(ops.ones((1, 2, 5)))


@pytest.mark.parametrize("hierarchical", [1, 1.0, 1.5, -0.4])
def test_hierarchical_that_would_divide_by_zero(hierarchical):
    with pytest.raises(ValueError, match="hierarchical_position.* between 0 and 1, received"):
        PositionEmbedding(input_dim=8, output_dim=4, hierarchical=hierarchical)


@pytest.mark.parametrize("cls", [PositionEmbedding, SinusoidalPositionEmbedding])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "float16"])
def test_float_ids_are_not_rounded_in_half_precision(cls, mode, policy):
    config = {"input_dim": 4000} if cls is PositionEmbedding else {}
    config |= dict(output_dim=2, merge_mode=mode, custom_position_ids=True, dtype=policy)
    if cls is PositionEmbedding:
        config["embeddings_initializer"] = "normal"
    layer, ids = cls(**config), np.array([[257, 2049, 3001]])
    x = np.ones((1, 3, 2), "float32")
    found = layer([x, ids.astype("float32")])
    assert found.dtype == layer.compute_dtype
    np.testing.assert_array_equal(found, layer([x, ids]))
