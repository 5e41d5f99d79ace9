"""Discrete distributions by re-parameterisation, as an activation."""

import keras
from keras import ops

from bert4keras_ext.backend.registration import register
from bert4keras_ext.layers.base import Layer
from bert4keras_ext.numerics.discrete import quantile_nodes

NOISES = ("gumbel", "normal", "laplace", "logistic")


@register
class PerturbedArgmax(Layer):
    """``p_i = P(i = argmax(x + noise))``: probabilities that each entry is the largest.

    ``p_i = int_0^1 prod_{j != i} F(x_i - x_j + F^-1(t)) dt`` by quadrature at midpoints
    t = (k - 1/2) / K, in logarithms, and normalised. Gumbel noise gives the softmax; with normal
    noise small scores get less, and the temperature is the noise's spread.

    Args:
        noise: "gumbel", "normal", "laplace" or "logistic".
        nodes: K; memory is batch * classes^2 * K numbers.

    Inputs: (batch, ..., classes); output: float32, the same shape, summing to 1 along the last
    axis. The mask is passed on.

    Raises:
        ValueError: for an unknown noise, or fewer than 1 node.

    Example:

    >>> ops.convert_to_numpy(PerturbedArgmax("normal")(ops.zeros((1, 2)))).round(4).tolist()
    [[0.5, 0.5]]

    Source: article 9085.
    """

    def __init__(self, noise="normal", nodes=100, **kwargs):
        super().__init__(**kwargs)
        if noise not in NOISES:
            raise ValueError(f"noise expects one of {NOISES}, received {noise!r}")
        if nodes < 1:
            raise ValueError(f"nodes expects 1 or more, received {nodes}")
        self.noise = noise
        self.nodes = nodes

    def call(self, inputs):
        x = ops.cast(inputs, "float32")
        nodes = ops.convert_to_tensor(quantile_nodes(self.noise, self.nodes).astype("float32"))
        gaps = x[..., :, None] - x[..., None, :]  # (..., i, j)
        logs = _LOG_CDFS[self.noise](gaps[..., None] + nodes)
        own = ops.eye(x.shape[-1], dtype="bool")[..., None]
        logs = ops.sum(ops.where(own, 0.0, logs), axis=-2)  # (..., i, node)
        return ops.softmax(ops.logsumexp(logs, axis=-1), axis=-1)

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(inputs.shape, dtype="float32")

    def get_config(self):
        return {**super().get_config(), "noise": self.noise, "nodes": self.nodes}


def _log_normal_cdf(x):
    """By erfc, and below -5 by its asymptotic series, where float32's erfc is too coarse."""
    near, far = ops.maximum(x, -5.0), ops.minimum(x, -5.0)
    logs = ops.log(0.5 * _erfc(-near * 0.7071067811865476))
    inverse = 1.0 / ops.square(far)
    series = 1.0 - inverse * (1.0 - 3.0 * inverse * (1.0 - 5.0 * inverse))
    tail = -0.5 * ops.square(far) - ops.log(-far) - 0.9189385332046727 + ops.log(series)
    return ops.where(x < -5.0, tail, logs)


def _erfc(x):
    if hasattr(ops, "erfc"):
        return ops.erfc(x)
    return ops.maximum(1.0 - ops.erf(x), 1e-7)  # Keras 3.12; rougher in the tail


def _log_laplace_cdf(x):
    below = ops.minimum(x, 0.0) - 0.6931471805599453
    return ops.where(x < 0, below, ops.log1p(-0.5 * ops.exp(-ops.abs(x))))


_LOG_CDFS = {
    "gumbel": lambda x: -ops.exp(ops.minimum(-x, 60.0)),
    "normal": _log_normal_cdf,
    "laplace": _log_laplace_cdf,
    "logistic": lambda x: -ops.softplus(-x),
}
