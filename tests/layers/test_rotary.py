"""RotaryEmbedding: positions, several axes, scaling, precision, and what it does to scores."""

import keras
import numpy as np
import pytest
from keras import ops

from bert4keras_ext.backend.positions import apply_rotary_position_embeddings
from bert4keras_ext.layers import RotaryEmbedding, SinusoidalPositionEmbedding
from tests.harness import check_layer

RNG = np.random.default_rng(0)
X = RNG.normal(size=(2, 5, 12)).astype("float32")
IDS = RNG.integers(0, 50, (2, 5)).astype("int32")
PLACES = RNG.integers(0, 50, (2, 5, 2)).astype("int32")
YARN = {"type": "yarn", "factor": 4.0, "original_max_position": 64}


def numpy_angles(positions, dim, base=10000.0):
    """Float64, one number at a time: sin and cos by turns."""
    table = np.zeros((*np.shape(positions), dim))
    for *at, i in np.ndindex(*np.shape(positions), dim // 2):
        angle = np.asarray(positions)[tuple(at)] * base ** (-2 * i / dim)
        table[(*at, 2 * i)], table[(*at, 2 * i + 1)] = np.sin(angle), np.cos(angle)
    return table


@pytest.mark.parametrize("scaling", [None, YARN, {"type": "ntk", "factor": 2.0}])
def test_citizenship(scaling):
    config = dict(output_dim=8, base=500.0, scaling=scaling)
    check_layer(
        RotaryEmbedding, config, X, expected_shape=(1, 5, 8), expected_weights=0,
        mixed_dtype="float32",
    )  # fmt: skip


@pytest.mark.parametrize("axes, ids", [(1, IDS), (2, PLACES)])
def test_citizenship_with_position_ids(axes, ids):
    config = dict(output_dim=8, axes=axes, custom_position_ids=True)
    check_layer(
        RotaryEmbedding, config, X, call={"position_ids": ids}, expected_shape=(2, 5, 8),
        mixed_dtype="float32",
    )  # fmt: skip


def test_places_count_from_0_on():
    found = RotaryEmbedding(6)(ops.convert_to_tensor(X))
    np.testing.assert_allclose(found[0], numpy_angles(np.arange(5), 6), atol=1e-6)


def test_ids_may_be_fractions():
    ids = IDS / 4
    found = RotaryEmbedding(6, base=50.0)(X, position_ids=ops.convert_to_tensor(ids))
    np.testing.assert_allclose(found, numpy_angles(ids, 6, 50.0), atol=2e-6)


def test_linear_scaling_divides_the_positions():
    scaled = RotaryEmbedding(8, scaling={"type": "linear", "factor": 4.0})
    found = scaled(X, position_ids=ops.convert_to_tensor(IDS))
    np.testing.assert_allclose(found, numpy_angles(IDS / 4, 8), atol=2e-6)


def test_yarn_is_longer_by_its_factor():
    """sin^2 + cos^2 = m^2 with m = 0.1 ln(4) + 1."""
    found = ops.convert_to_numpy(RotaryEmbedding(8, scaling=YARN)(X))
    lengths = found[..., 0::2] ** 2 + found[..., 1::2] ** 2
    np.testing.assert_allclose(lengths, (0.1 * np.log(4) + 1) ** 2, rtol=1e-6)


def test_two_axes_have_half_the_channels_each():
    found = RotaryEmbedding(8, axes=2)(X, position_ids=ops.convert_to_tensor(PLACES))
    halves = [numpy_angles(PLACES[..., axis], 4) for axis in (0, 1)]
    np.testing.assert_allclose(found, np.concatenate(halves, axis=-1), atol=4e-6)


def matrix(places):
    """The rotation at one place (x, y), as an 8 x 8 matrix."""
    ids = ops.convert_to_tensor(np.tile(places, (1, 8, 1)), "float32")
    angles = RotaryEmbedding(8, axes=2)(ops.ones((1, 8, 1)), position_ids=ids)
    return ops.convert_to_numpy(apply_rotary_position_embeddings(angles, ops.eye(8)[None]))[0].T


def test_two_dimensional_rotations_depend_on_the_way_between_places():
    a, b = np.array([3, 11]), np.array([8, 2])
    np.testing.assert_allclose(matrix(a).T @ matrix(b), matrix(b - a), atol=1e-5)
    np.testing.assert_allclose(matrix(a).T @ matrix(a), np.eye(8), atol=1e-6)
    # Unlike R_(x + y), the place can be recovered: what x turns, y does not.
    assert np.abs(matrix([3, 0]) - matrix([0, 3])).max() > 0.1


def test_the_rotation_is_the_exponential_of_a_sum_of_generators():
    """R_(x, y) = exp(x B_1 + y B_2), with commuting antisymmetric B."""
    w = [1.0, 0.01]  # 10000^(-2i/4)
    generators = np.zeros((2, 8, 8))
    for axis, pair in np.ndindex(2, 2):
        i = 4 * axis + 2 * pair
        generators[axis, i + 1, i], generators[axis, i, i + 1] = w[pair], -w[pair]
    power = total = np.eye(8)
    for n in range(1, 60):  # the series of the exponential
        power = power @ (3 * generators[0] + 5 * generators[1]) / n
        total = total + power
    np.testing.assert_allclose(matrix([3, 5]), total, atol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_far_positions_keep_float32s_precision(policy):
    """bfloat16 has no 4097: the angles must not be computed in it."""
    keras.config.set_dtype_policy(policy)
    ids = ops.convert_to_tensor(np.arange(4090, 4100)[None], "float32")
    found = RotaryEmbedding(8)(ops.ones((1, 10, 8)), position_ids=ids)
    assert found.dtype == "float32"
    # Angles of 4100 are rounded to 2^-12 in float32.
    np.testing.assert_allclose(found, numpy_angles(np.arange(4090, 4100)[None], 8), atol=2.0**-11)


def test_bert4keras_sinusoids_are_the_same_angles():
    theirs = SinusoidalPositionEmbedding(8, merge_mode="zero")(ops.convert_to_tensor(X))
    np.testing.assert_array_equal(RotaryEmbedding(8)(ops.convert_to_tensor(X)), theirs)


@pytest.mark.parametrize("config", [{"custom_position_ids": True}, {"axes": 2}])
def test_missing_ids_are_asked_for(config):
    with pytest.raises(ValueError, match="needs position ids.*position_ids="):
        RotaryEmbedding(8, **config)(ops.ones((1, 2, 8)))


def test_ids_without_their_axes_are_named():
    with pytest.raises(ValueError, match=r"\(batch, length, 2\).*\(2, 5\)"):
        RotaryEmbedding(8, axes=2)(ops.ones((2, 5, 8)), position_ids=ops.convert_to_tensor(IDS))


def test_impossible_sizes_fail_at_construction():
    with pytest.raises(ValueError, match="multiple of 4, received 6"):
        RotaryEmbedding(6, axes=2)
