"""The mathematics of positions: sinusoids, rotations and their extension to longer texts."""

import functools
import math

import keras
import numpy as np
from keras import ops

from bert4keras_ext.backend.registration import register

SCALING_TYPES = ("linear", "ntk", "yarn")
SCALING_KEYS = {
    "type", "rope_type", "factor", "original_max_position", "original_max_position_embeddings",
    "beta_fast", "beta_slow", "attention_factor",
}  # fmt: skip


def sinusoidal_embeddings(positions, dim, base=10000.0):
    """``p[2i] = sin(k w_i), p[2i+1] = cos(k w_i)`` with ``w_i = base^(-2i/dim)``.

    Args:
        positions: k, a tensor (...) of any shape.
        dim: width of a vector, even.
        base: see the formula.

    Returns:
        Float32 (..., dim).

    Example:

    >>> ops.convert_to_numpy(sinusoidal_embeddings(ops.array([0]), 4)).tolist()
    [[0.0, 1.0, 0.0, 1.0]]

    Source: arXiv 1706.03762; article 8231.
    """
    return interleaved_sinusoids(positions, rotary_frequencies(dim, base)[0])


def interleaved_sinusoids(positions, frequencies):
    """sin and cos of ``positions * frequencies`` by turns: (...) -> float32 (..., 2 * number)."""
    frequencies = ops.convert_to_tensor(np.asarray(frequencies, "float32"))
    angles = ops.cast(positions, "float32")[..., None] * frequencies
    pairs = ops.stack([ops.sin(angles), ops.cos(angles)], axis=-1)
    return ops.reshape(pairs, (*ops.shape(angles)[:-1], 2 * frequencies.shape[-1]))


def rotary_frequencies(dim, base=10000.0, scaling=None):
    """The frequencies of rotary position embeddings, and what sin and cos are multiplied by.

    ========  ======================================================================
    scaling   with s the factor by which texts are longer than those of training
    ========  ======================================================================
    None      ``w_i = base^(-2i/dim)``
    "linear"  ``w_i / s``: positions are interpolated (arXiv 2306.15595)
    "ntk"     base becomes ``base * s^(dim/(dim-2))``: high frequencies stay as they
              are, the lowest one is divided by s ("NTK-aware")
    "yarn"    frequencies that turn more than ``beta_fast`` times within the original
              length stay, those below ``beta_slow`` are divided by s, a ramp between;
              sin and cos are multiplied by ``0.1 ln(s) + 1`` (arXiv 2309.00071)
    ========  ======================================================================

    Args:
        dim: number of channels that are rotated, even.
        base: see the table.
        scaling: None, or a dict with "type", "factor" and, for "yarn", "original_max_position"
            and optionally "beta_fast" (32), "beta_slow" (1) and "attention_factor". Hugging
            Face's keys ("rope_type", "original_max_position_embeddings") are understood too.

    Returns:
        (float64 array (dim / 2,), float).

    Raises:
        ValueError: for an odd dim, an unknown type, or missing or impossible entries.

    Example:

    >>> rotary_frequencies(4, scaling={"type": "linear", "factor": 2})[0].tolist()
    [0.5, 0.005]
    """
    if dim % 2:
        raise ValueError(f"positions rotate pairs of channels: expected an even width, found {dim}")
    frequencies = base ** (-np.arange(0, dim, 2, dtype="float64") / dim)
    if not scaling:
        return frequencies, 1.0
    kind, factor = _scaling_type(scaling), _scaling_factor(scaling)
    if kind == "linear":
        return frequencies / factor, 1.0
    if kind == "ntk":
        if dim == 2:
            return frequencies, 1.0  # a single pair turns fastest, and stays as it is
        base = base * factor ** (dim / (dim - 2))
        return base ** (-np.arange(0, dim, 2, dtype="float64") / dim), 1.0
    return _yarn(frequencies, dim, base, factor, scaling)


def check_rotary(dim, base=10000.0, scaling=None, axes=1):
    """Raises ValueError for what rotary positions cannot be made of, before anything is built."""
    if not isinstance(axes, int) or axes < 1:
        raise ValueError(f"rotary positions expect 1 or more axes, received {axes!r}")
    if dim % (2 * axes):
        raise ValueError(
            f"rotary positions turn pairs of channels on {axes} axes: expected a width (the key "
            f"size of a head) that is a multiple of {2 * axes}, received {dim}"
        )
    if not isinstance(base, (int, float)) or base <= 1:
        raise ValueError(f"rotary positions expect a base above 1, received {base!r}")
    if scaling:
        rotary_frequencies(4, scaling=scaling)


def _scaling_type(scaling):
    if not isinstance(scaling, dict):
        raise ValueError(
            f"rotary scaling expects a dict such as {{'type': 'linear', 'factor': 2.0}}, "
            f"received {scaling!r}"
        )
    kind = scaling.get("rope_type", scaling.get("type"))
    if kind not in SCALING_TYPES:
        raise ValueError(f"rotary scaling knows the types {SCALING_TYPES}, received {kind!r}")
    if unknown := set(scaling) - SCALING_KEYS:
        raise ValueError(
            f"rotary scaling knows the entries {sorted(SCALING_KEYS)}, received {sorted(unknown)}"
        )
    return kind


def _scaling_factor(scaling):
    factor = scaling.get("factor")
    if not isinstance(factor, (int, float)) or factor < 1:
        raise ValueError(
            "rotary scaling needs 'factor', the new length divided by the length of training, "
            f"at least 1; received {factor!r}"
        )
    return float(factor)


def _yarn(frequencies, dim, base, factor, scaling):
    length = scaling.get("original_max_position", scaling.get("original_max_position_embeddings"))
    if not length:
        raise ValueError(
            "rotary scaling of type 'yarn' needs 'original_max_position', the length of training"
        )

    def channel(turns):  # the pair of channels that makes so many turns within the length
        return dim * math.log(length / (turns * 2 * math.pi)) / (2 * math.log(base))

    low = max(math.floor(channel(scaling.get("beta_fast") or 32)), 0)
    high = min(math.ceil(channel(scaling.get("beta_slow") or 1)), dim - 1)
    ramp = (np.arange(dim // 2) - low) / max(high - low, 1e-3)
    slowed = np.clip(ramp, 0, 1)
    magnitude = scaling.get("attention_factor") or 0.1 * math.log(factor) + 1
    return frequencies * (1 - slowed) + frequencies / factor * slowed, float(magnitude)


def apply_rotary_position_embeddings(sinusoidal, *tensors):
    """Turns each pair of channels (2i, 2i+1) by the angle of its position.

    ``(x0, x1) -> (x0 cos - x1 sin, x1 cos + x0 sin)``, so that the product of a query at m and a
    key at n depends on n - m only. The pairs are neighbours ("interleaved"), as in RoFormer and
    GPT-J; Llama-style checkpoints pair channel i with i + dim/2 instead.

    Args:
        sinusoidal: (batch or 1, length, dim), sin in even and cos in odd channels, as
            ``sinusoidal_embeddings`` gives it.
        *tensors: (batch, length, ..., dim) each, of any floating dtype.

    Returns:
        The turned tensor, or a list of them, each of its own dtype.

    Example:

    >>> angles = sinusoidal_embeddings(ops.array([[0, 1]]), 2)
    >>> x = apply_rotary_position_embeddings(angles, ops.ones((1, 2, 2)))
    >>> [round(v, 4) for v in ops.convert_to_numpy(x)[0, 1].tolist()]
    [-0.3012, 1.3818]

    Source: arXiv 2104.09864; article 8265.
    """
    sin = ops.repeat(sinusoidal[..., 0::2], 2, axis=-1)
    cos = ops.repeat(sinusoidal[..., 1::2], 2, axis=-1)
    turned = [_rotate(x, sin, cos) for x in tensors]
    return turned[0] if len(turned) == 1 else turned


def _rotate(x, sin, cos):
    dtype = x.dtype
    while len(sin.shape) < len(x.shape):  # (batch, length, dim) -> (batch, length, 1, dim)
        sin, cos = ops.expand_dims(sin, -2), ops.expand_dims(cos, -2)
    x = ops.cast(x, sin.dtype)
    return ops.cast(x * cos + _quarter_turn(x) * sin, dtype)


def _quarter_turn(x):
    """(x0, x1, x2, x3, ...) -> (-x1, x0, -x3, x2, ...)."""
    # As a product with a matrix of 0 and 1: exact, and several times faster on a CPU than
    # slicing every second channel.
    dim = x.shape[-1]
    matrix = np.zeros((dim, dim), "float32")
    even = np.arange(0, dim, 2)
    matrix[even + 1, even], matrix[even, even + 1] = -1, 1
    flat = ops.reshape(x, (-1, dim))
    return ops.reshape(ops.matmul(flat, ops.cast(matrix, x.dtype)), ops.shape(x))


def relative_buckets(distances, buckets, max_distance=128, bidirectional=True):
    """T5's buckets of distances: exact when small, logarithmic up to ``max_distance``.

    Args:
        distances: key position - query position, int tensor of any shape.
        buckets: number of buckets.
        max_distance: all distances from here on share the last bucket.
        bidirectional: half the buckets for keys behind the query, half for those before it;
            otherwise all keys behind the query share bucket 0.

    Returns:
        An int32 tensor of the same shape, in 0 ... buckets - 1.

    Example:

    >>> ops.convert_to_numpy(relative_buckets(ops.array([-3, 0, 2, 999]), 8)).tolist()
    [2, 0, 6, 7]

    Source: arXiv 1910.10683.
    """
    backward = -ops.cast(distances, "int32")
    offset = 0
    if bidirectional:
        buckets //= 2
        offset = ops.cast(backward < 0, "int32") * buckets
        backward = ops.abs(backward)
    # A table, since rounding a logarithm in the graph puts the borders elsewhere under XLA.
    table = _bucket_table(buckets, max_distance)
    return offset + ops.take(table, ops.clip(backward, 0, max_distance), axis=0)


def _bucket_table(buckets, max_distance):
    """The bucket of each distance 0 ... max_distance, rounded in float32 as T5 does."""
    exact = buckets // 2
    if not 0 < exact < max_distance:
        raise ValueError(
            f"relative positions expect at least 2 buckets a direction and max_distance beyond the "
            f"{exact} exact ones; found {buckets} buckets and max_distance={max_distance}"
        )
    distances = np.arange(max_distance + 1)
    ratios = np.maximum(distances, exact).astype("float32") / np.float32(exact)
    steps = np.log(ratios) / np.float32(math.log(max_distance / exact))
    far = exact + (steps * np.float32(buckets - exact)).astype("int32")
    return np.where(distances < exact, distances, np.minimum(far, buckets - 1)).astype("int32")


def log_buckets(distances, buckets, max_distance):
    """DeBERTa's buckets of distances: exact up to half of them, then logarithmic.

    ``b(d) = d`` for ``|d| <= m = buckets // 2``, and beyond that ``sign(d) (m + ceil((m - 1) *
    log(|d| / m) / log((max_distance - 1) / m)))``, clipped to ``buckets`` on both sides.

    Args:
        distances: int tensor of any shape.
        buckets: number of buckets in each direction, at least 2.
        max_distance: distance ``max_distance - 1`` is the last one in bucket ``2m - 1``.

    Returns:
        An int32 tensor of the same shape, in -buckets ... buckets, with ``b(-d) = -b(d)``.

    Raises:
        ValueError: for fewer than 2 buckets, or a max_distance below 2.

    Example:

    >>> ops.convert_to_numpy(log_buckets(ops.array([-999, -2, 2, 9]), 4, 16)).tolist()
    [-4, -2, 2, 3]

    Source: arXiv 2006.03654.
    """
    distances = ops.cast(distances, "int32")
    # A table, since rounding a logarithm in the graph puts the borders elsewhere under XLA.
    table = log_bucket_table(buckets, max_distance)
    far = ops.take(table, ops.minimum(ops.abs(distances), len(table) - 1), axis=0)
    return ops.sign(distances) * far


@functools.lru_cache(maxsize=16)
def log_bucket_table(buckets, max_distance):
    """The bucket of each distance from 0 on, until they change no more; see ``log_buckets``."""
    if buckets < 2 or max_distance < 2:
        raise ValueError(
            "logarithmic positions expect at least 2 buckets and a max_distance of at least 2; "
            f"found {buckets} buckets and max_distance={max_distance}"
        )
    exact = buckets // 2
    distances = np.arange(2**16)  # no text is longer
    # Rounded to float32 step by step, as DeBERTa does: some distances lie on a border.
    ratios = np.maximum(distances, exact).astype("float32") / np.float32(exact)
    with np.errstate(divide="ignore", invalid="ignore"):
        steps = _float32_log(ratios) / _float32_log(np.float32((max_distance - 1) / exact))
        far = np.nan_to_num(np.ceil(steps * np.float32(exact - 1)), nan=0.0)
    far = np.clip(far + np.float32(exact), -buckets, buckets).astype("int32")
    table = np.where(distances <= exact, distances, far).astype("int32")
    changes = np.flatnonzero(np.diff(table))
    return table[: changes[-1] + 2]


def _float32_log(x):
    # NumPy's own float32 logarithm is off by a unit in the last place on some machines.
    return np.log(x.astype("float64")).astype("float32")


@register
class Sinusoidal(keras.initializers.Initializer):
    """Initializes a table (positions, dim) with sinusoidal position embeddings.

    Args:
        base: of the frequencies.

    Example:

    >>> tuple(Sinusoidal()((3, 4)).shape)
    (3, 4)
    """

    def __init__(self, base=10000.0):
        self.base = base

    def __call__(self, shape, dtype=None):
        positions, dim = shape
        table = sinusoidal_embeddings(ops.arange(positions), dim, self.base)
        return ops.cast(table, dtype or keras.config.floatx())

    def get_config(self):
        return {"base": self.base}
