"""Layers that look at directions: cosine classifiers and cascading rejection."""

import keras
from keras import ops

from bert4keras_ext.backend.registration import register
from bert4keras_ext.layers.base import Layer


def l2_normalize(x, axis=-1):
    """x with length 1 along an axis, in float32; zeros stay zeros, with gradient 0."""
    x = ops.cast(x, "float32")
    square = ops.sum(ops.square(x), axis=axis, keepdims=True)
    # A slope of 1e6 at zero would be infinite in float16.
    return x * ops.where(square > 0, ops.rsqrt(ops.maximum(square, 1e-12)), 0.0)


@register
class CosineDense(Layer):
    """The cosine of the input with each of ``units`` learned directions.

    ``y_i = <x, w_i> / (|x| |w_i|)``, between -1 and 1: what margin softmax
    (``losses.AMSoftmax``) takes.

    Args:
        units: number of directions (classes).
        kernel_initializer: of the directions.

    Inputs: (batch, ..., dim); output: float32 (batch, ..., units) in every precision. The mask is
    passed on.

    Example:

    >>> layer = CosineDense(3)
    >>> tuple(layer(ops.ones((2, 8))).shape)
    (2, 3)

    Source: article 8656.
    """

    def __init__(self, units, kernel_initializer="glorot_uniform", **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape):
        self.kernel = self.add_weight(
            name="kernel",
            shape=(input_shape[-1], self.units),
            initializer=self.kernel_initializer,
            autocast=False,
        )

    def call(self, inputs):
        return ops.matmul(l2_normalize(inputs), l2_normalize(self.kernel, axis=0))

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(self.compute_output_shape(inputs.shape), dtype="float32")

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }


@register
class CascadingRejection(Layer):
    """n scores, each of what the ones before left over.

    ``D_k = <v_k, w_k>`` and ``v_{k+1} = v_k - <v_k, w_k> w_k / |w_k|^2`` from ``v_1 = x``: every
    score sees the part of x orthogonal to the direction before. As the end of a GAN's
    discriminator, its loss is the mean of the adversarial losses of all scores. With n = 1 it is
    a Dense layer of one unit without bias.

    Args:
        n: number of scores.
        kernel_initializer: of the directions.

    Inputs: (batch, ..., dim); output: (batch, ..., n). The mask is passed on.

    Raises:
        ValueError: for n below 1.

    Example:

    >>> tuple(CascadingRejection(4)(ops.ones((2, 8))).shape)
    (2, 4)

    Source: arXiv 1911.10979; article 7105.
    """

    def __init__(self, n, kernel_initializer="glorot_uniform", **kwargs):
        super().__init__(**kwargs)
        if n < 1:
            raise ValueError(f"n expects the number of scores, 1 or more; received {n}")
        self.n = n
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape):
        self.kernel = self.add_weight(
            name="kernel",
            shape=(self.n, input_shape[-1]),
            initializer=self.kernel_initializer,
        )

    def call(self, inputs):
        scores, rest = [], inputs
        kernel = ops.cast(self.kernel, inputs.dtype)
        for k in range(self.n):
            direction = kernel[k]
            score = ops.sum(rest * direction, axis=-1, keepdims=True)
            square = ops.sum(ops.square(direction))
            rest = rest - score * ops.divide_no_nan(direction, square)
            scores.append(score)
        return ops.concatenate(scores, axis=-1)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.n)

    def get_config(self):
        return {
            **super().get_config(),
            "n": self.n,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }
