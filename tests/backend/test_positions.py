"""Sinusoids, rotations, their scaling, and T5's buckets: against recordings and closed forms."""

import math

import numpy as np
import pytest
from keras import ops

from bert4keras_ext.backend.positions import (
    Sinusoidal,
    apply_rotary_position_embeddings,
    check_rotary,
    log_buckets,
    relative_buckets,
    rotary_frequencies,
    sinusoidal_embeddings,
)
from tests.shared import oracle

RNG = np.random.default_rng(0)
# float32 eps times a product and a sum.
EPS = 8 * 2.0**-23


@pytest.fixture(scope="module")
def recorded():
    return dict(np.load(oracle("bert4keras") / "backend.npz"))


def angles_of(positions, dim, base=10000.0):
    """Float64 (..., dim / 2), by the definition."""
    powers = np.array([base ** (-2 * i / dim) for i in range(dim // 2)])
    return np.asarray(positions, "float64")[..., None] * powers


def turn(x, angles):
    """Multiplies the complex numbers x0 + i x1 by e^(i angle), in float64."""
    z = (x[..., 0::2] + 1j * x[..., 1::2]) * np.exp(1j * angles)
    return np.stack([z.real, z.imag], axis=-1).reshape(x.shape)


@pytest.mark.parametrize("name, positions, dim, base", [
    ("8x6", np.arange(8), 6, 10000.0),
    ("base1000", np.arange(8), 6, 1000.0),
])  # fmt: skip
def test_sinusoids_equal_bert4keras(recorded, name, positions, dim, base):
    found = sinusoidal_embeddings(ops.convert_to_tensor(positions), dim, base)
    np.testing.assert_allclose(found, recorded[f"sinusoidal/{name}"], atol=1e-6)


@pytest.mark.parametrize("positions", [[0, 1, 511, 4097], [0.5, 1e-3, 77.25]])
def test_sinusoids_equal_the_definition(positions):
    found = ops.convert_to_numpy(sinusoidal_embeddings(ops.convert_to_tensor(positions), 64))
    angles = angles_of(positions, 64)
    # The angle itself is rounded to float32: eps times its size.
    tolerance = 2.0**-23 * max(positions) + EPS
    np.testing.assert_allclose(found[:, 0::2], np.sin(angles), atol=tolerance)
    np.testing.assert_allclose(found[:, 1::2], np.cos(angles), atol=tolerance)


def test_the_initializer_is_the_table_of_sinusoids():
    table = ops.convert_to_numpy(Sinusoidal(base=100.0)((5, 6)))
    np.testing.assert_allclose(table, sinusoidal_embeddings(np.arange(5), 6, 100.0), atol=0)
    again = Sinusoidal.from_config(Sinusoidal(base=100.0).get_config())
    np.testing.assert_array_equal(again((5, 6)), table)


@pytest.mark.parametrize("name", ["rope", "rope3"])
def test_rotation_equals_bert4keras(recorded, name):
    x = recorded[f"{name}/in"]
    sinusoids = sinusoidal_embeddings(np.arange(x.shape[1]), x.shape[-1])[None]
    found = apply_rotary_position_embeddings(sinusoids, ops.convert_to_tensor(x))
    np.testing.assert_allclose(found, recorded[f"{name}/out"], atol=2e-6)


SHAPES = [(2, 5, 8), (2, 5, 3, 8), (1, 4, 2, 3, 2), (2, 3, 1, 64), (1, 1, 2, 4)]


@pytest.mark.parametrize("shape", SHAPES)
def test_rotation_is_complex_multiplication(shape):
    x = RNG.normal(size=shape).astype("float32")
    positions = RNG.uniform(0, 20, (shape[0], shape[1]))
    sinusoids = sinusoidal_embeddings(ops.convert_to_tensor(positions), shape[-1])
    found = apply_rotary_position_embeddings(sinusoids, ops.convert_to_tensor(x))
    angles = angles_of(positions.astype("float32"), shape[-1])
    angles = angles.reshape(*shape[:2], *[1] * (len(shape) - 3), -1)
    # 20 is the largest angle, and rounded to float32.
    np.testing.assert_allclose(found, turn(x, angles), atol=np.abs(x).max() * 20 * 2.0**-22)


def test_scores_depend_on_the_distance_only():
    q, k = (ops.convert_to_tensor(RNG.normal(size=(1, 1, 16)), "float32") for _ in range(2))

    def score(m, n):
        at = [sinusoidal_embeddings(ops.convert_to_tensor([[p]]), 16) for p in (m, n)]
        turned = [apply_rotary_position_embeddings(s, x) for s, x in zip(at, (q, k))]
        return float(ops.sum(turned[0] * turned[1]))

    assert score(3, 8) == pytest.approx(score(103, 108), abs=1e-4)
    assert score(0, 5) == pytest.approx(score(3, 8), abs=1e-4)
    assert abs(score(3, 8) - score(8, 3)) > 1e-2


def test_rotation_is_orthogonal():
    """R' R = 1: lengths and inner products at one place stay."""
    x = ops.convert_to_tensor(np.eye(8)[None].repeat(3, 0)[:, :, None], "float32")  # 8 unit vectors
    sinusoids = sinusoidal_embeddings(ops.full((3, 8), 7.3), 8)
    r = ops.convert_to_numpy(apply_rotary_position_embeddings(sinusoids, x))[0, :, 0]
    np.testing.assert_allclose(r @ r.T, np.eye(8), atol=EPS)


def test_several_tensors_and_dtypes():
    sinusoids = sinusoidal_embeddings(np.arange(3), 4)[None]
    x = ops.convert_to_tensor(RNG.normal(size=(2, 3, 4)), "float32")
    for dtype, eps in (("float32", 2.0**-23), ("float16", 2.0**-10), ("bfloat16", 2.0**-7)):
        low = ops.cast(x, dtype)
        a, b = apply_rotary_position_embeddings(sinusoids, low, low[:, :, None])
        assert a.dtype == low.dtype and b.shape == (2, 3, 1, 4)
        exact = apply_rotary_position_embeddings(sinusoids, ops.cast(low, "float32"))
        np.testing.assert_allclose(ops.cast(a, "float32"), exact, atol=8 * eps)
        np.testing.assert_array_equal(ops.cast(b[:, :, 0], "float32"), ops.cast(a, "float32"))


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_gradient_of_a_rotation_is_the_rotation_back(shape, jit):
    import tensorflow as tf

    x = tf.constant(RNG.normal(size=shape), "float32")
    g = tf.constant(RNG.normal(size=shape), "float32")
    positions = np.arange(shape[1])[None]
    sinusoids = sinusoidal_embeddings(positions, shape[-1])

    @tf.function(jit_compile=jit)
    def gradients():
        with tf.GradientTape() as tape:
            tape.watch([x, sinusoids])
            total = tf.reduce_sum(apply_rotary_position_embeddings(sinusoids, x) * g)
        return tape.gradient(total, [x, sinusoids])

    by_x, by_sinusoids = gradients()
    angles = angles_of(positions, shape[-1]).reshape(1, shape[1], *[1] * (len(shape) - 3), -1)
    np.testing.assert_allclose(by_x, turn(g.numpy(), -angles), atol=1e-5)
    # d/dsin and d/dcos of Re(conj(g) x e^ia): the imaginary and real part, summed over the rest.
    a, b = x.numpy(), g.numpy()
    products = np.conj(b[..., 0::2] + 1j * b[..., 1::2]) * (a[..., 0::2] + 1j * a[..., 1::2])
    products = products.sum(axis=(0, *range(2, len(shape) - 1)))
    np.testing.assert_allclose(by_sinusoids[0, :, 0::2], -products.imag, atol=1e-4)
    np.testing.assert_allclose(by_sinusoids[0, :, 1::2], products.real, atol=1e-4)


# What transformers 4.57's ROPE_INIT_FUNCTIONS give: (dim, base, scaling, frequencies, factor).
TRANSFORMERS = [
    (8, 1e4, {"type": "linear", "factor": 3.0},
     [0.333333343, 0.0333333351, 0.00333333318, 0.000333333359], 1.0),
    (16, 1e4, {"type": "yarn", "factor": 4.0, "original_max_position": 512},
     [1.0, 0.25693506, 0.0625, 0.0138349654, 0.00249999994, 0.000790569466, 0.000250000012,
      7.90569466e-05], 1.138629436111989),
    (16, 500.0, {"rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 2048,
                 "beta_fast": 20, "beta_slow": 2},
     [1.0, 0.459863275, 0.21147424, 0.0972492471, 0.0349385627, 0.0115682138, 0.0032509868,
      0.000543639821], 1.2079441541679836),
    (12, 1e4, {"type": "yarn", "factor": 1.5, "original_max_position": 64,
               "attention_factor": 0.9},
     [1.0, 0.179536209, 0.0309439208, 0.00666666683, 0.00143628952, 0.000309439318], 0.9),
    (8, 1e4, {"type": "yarn", "factor": 2.0, "original_max_position": 16},
     [1.0, 0.0500000007, 0.00499999989, 0.000500000024], 1.0693147180559945),
]  # fmt: skip


@pytest.mark.parametrize("dim, base, scaling, frequencies, factor", TRANSFORMERS)
def test_scaling_equals_transformers(dim, base, scaling, frequencies, factor):
    found, magnitude = rotary_frequencies(dim, base, scaling)
    np.testing.assert_allclose(found, frequencies, rtol=4 * 2.0**-23)  # theirs are float32
    assert magnitude == pytest.approx(factor, rel=1e-12)


def test_ntk_keeps_the_highest_frequency_and_stretches_the_lowest():
    plain, _ = rotary_frequencies(64)
    found, magnitude = rotary_frequencies(64, scaling={"type": "ntk", "factor": 8})
    assert found[0] == plain[0] == 1 and magnitude == 1
    assert found[-1] == pytest.approx(plain[-1] / 8, rel=1e-12)
    # a geometric series like the plain one
    np.testing.assert_allclose(found[1:] / found[:-1], found[1] / found[0], rtol=1e-12)


@pytest.mark.parametrize("kind", ["linear", "ntk", "yarn"])
def test_a_factor_of_1_changes_nothing(kind):
    scaling = {"type": kind, "factor": 1, "original_max_position": 512}
    found, magnitude = rotary_frequencies(32, 10000.0, scaling)
    np.testing.assert_allclose(found, rotary_frequencies(32)[0], rtol=1e-12)
    assert magnitude == 1


@pytest.mark.parametrize("arguments, message", [
    ({"dim": 6, "axes": 2}, "multiple of 4, received 6"),
    ({"dim": 5}, "multiple of 2, received 5"),
    ({"dim": 8, "axes": 0}, "1 or more axes, received 0"),
    ({"dim": 8, "base": 0}, "base above 1, received 0"),
    ({"dim": 8, "scaling": "linear"}, "expects a dict.*received 'linear'"),
    ({"dim": 8, "scaling": {"type": "longrope", "factor": 2}}, "'yarn'.*received 'longrope'"),
    ({"dim": 8, "scaling": {"type": "linear"}}, "needs 'factor'.*received None"),
    ({"dim": 8, "scaling": {"type": "ntk", "factor": 0.5}}, "at least 1; received 0.5"),
    ({"dim": 8, "scaling": {"type": "yarn", "factor": 2}}, "needs 'original_max_position'"),
    ({"dim": 8, "scaling": {"type": "linear", "factor": 2, "mscale": 1}}, "received .'mscale'"),
])  # fmt: skip
def test_what_rotary_positions_cannot_be_made_of(arguments, message):
    with pytest.raises(ValueError, match=message):
        check_rotary(**arguments)


def bucket(distance, buckets, max_distance, bidirectional):
    """One bucket by the paper's formula, in float64."""
    backward, offset = -distance, 0
    if bidirectional:
        buckets //= 2
        offset, backward = (buckets, -backward) if backward < 0 else (0, backward)
    backward = max(backward, 0)
    exact = buckets // 2
    if backward < exact:
        return offset + backward
    far = math.log(backward / exact) / math.log(max_distance / exact) * (buckets - exact)
    return offset + min(exact + int(far + 1e-6), buckets - 1)


@pytest.mark.parametrize("buckets, max_distance", [(32, 128), (16, 20), (8, 50)])
@pytest.mark.parametrize("bidirectional", [True, False])
def test_buckets_equal_the_formula(buckets, max_distance, bidirectional):
    distances = np.arange(-3 * max_distance, 3 * max_distance)
    found = relative_buckets(distances, buckets, max_distance, bidirectional)
    wanted = [bucket(int(d), buckets, max_distance, bidirectional) for d in distances]
    np.testing.assert_array_equal(found, wanted)


def test_too_few_buckets_are_named():
    with pytest.raises(ValueError, match="found 1 buckets and max_distance=128"):
        relative_buckets(ops.array([1]), 2)


# Where transformers 4.57's DeBERTa-v2 begins a new bucket, beyond the exact ones.
DEBERTA_BORDERS = {
    (16, 64): [9, 11, 15, 20, 27, 35, 47, 64],
    (256, 512): [
        129, 130, 131, 133, 134, 136, 137, 139, 140, 142, 143, 145, 146, 148, 150, 151, 153, 155,
        156, 158, 160, 161, 163, 165, 167, 169, 170, 172, 174, 176, 178, 180, 182, 184, 186, 188,
        190, 192, 194, 196, 198, 201, 203, 205, 207, 210, 212, 214, 216, 219, 221, 224, 226, 229,
        231, 234, 236, 239, 241, 244, 247, 249, 252, 255, 258, 260, 263, 266, 269, 272, 275, 278,
        281, 284, 287, 290, 294, 297, 300, 303, 307, 310, 313, 317, 320, 324, 327, 331, 335, 338,
        342, 346, 349, 353, 357, 361, 365, 369, 373, 377, 381, 385, 390, 394, 398, 403, 407, 411,
        416, 420, 425, 430, 434, 439, 444, 449, 454, 459, 464, 469, 474, 479, 484, 490, 495, 500,
        506, 512,
    ],
}  # fmt: skip


@pytest.mark.parametrize("buckets, max_distance", DEBERTA_BORDERS)
def test_log_buckets_equal_the_recorded_ones(buckets, max_distance):
    distances = np.arange(3 * max_distance)
    borders = np.array(DEBERTA_BORDERS[buckets, max_distance])
    wanted = np.minimum(distances, buckets // 2) + (distances[:, None] >= borders).sum(1)
    np.testing.assert_array_equal(log_buckets(distances, buckets, max_distance), wanted)
    np.testing.assert_array_equal(log_buckets(-distances, buckets, max_distance), -wanted)


def test_log_buckets_at_the_edges():
    # An odd number goes on growing beyond max_distance; half of it may already reach that far.
    assert ops.convert_to_numpy(log_buckets(ops.array([11, 12, 99, 9999]), 5, 12)).max() == 5
    np.testing.assert_array_equal(log_buckets(ops.array([3, -4]), 16, 9), [3, -4])
    np.testing.assert_array_equal(log_buckets(ops.array([1, 2, 3, -50]), 2, 8), [1, 1, 1, -1])
    with pytest.raises(ValueError, match="at least 2 buckets.*found 1 buckets and max_distance=8"):
        log_buckets(ops.array([1]), 1, 8)
