"""Normalization with a learned, constant or conditional scale and offset."""

import keras
from keras import ops

from bert4keras_ext.backend.activations import get_activation, serialize_activation
from bert4keras_ext.backend.recompute import recompute_grad
from bert4keras_ext.backend.registration import register
from bert4keras_ext.backend.tensors import broadcast_rows, head_and_rest
from bert4keras_ext.layers.base import Layer


def standardize(x, zero_mean=True, epsilon=1e-12):
    """``(x - mean) / sqrt(var + epsilon)`` along the last axis, or without the mean.

    A constant row becomes 0 with ``epsilon=0`` too, and its gradient 0.
    """
    if zero_mean:
        x = x - ops.mean(x, axis=-1, keepdims=True)
    square = ops.mean(ops.square(x), axis=-1, keepdims=True) + epsilon
    # The root of 1 where there is none to take: the slope of sqrt at 0 is infinite.
    inverse = ops.where(square > 0, 1.0 / ops.sqrt(ops.where(square > 0, square, 1.0)), 0.0)
    return x * inverse


def _constant(value):
    return None if value is False else value


@register
class ScaleOffset(Layer):
    """``y = x * gamma + beta`` along the last axis, where each may depend on a condition c.

    With ``conditional=True``: ``gamma + W_g h(c)`` and ``beta + W_b h(c)``; both matrices start
    at zero, so the layer starts as the unconditional one. ``h`` is the identity, or one bias-free
    dense layer of ``hidden_units``.

    Args:
        scale: True for a learned gamma, False for none, or a constant.
        offset: the same for beta.
        conditional: expect a condition as the second input.
        hidden_units: size of the hidden layer of the condition, or None for no hidden layer.
        hidden_activation, hidden_initializer: of that hidden layer.

    Inputs: x (batch, ..., dim), and the condition (batch, cond_dim) or (batch, ..., cond_dim), as
    ``layer(x, condition=c)`` or, as bert4keras had it, ``layer([x, c])``. Output: the shape of x.
    The mask of x is passed on. Weights in order: beta, gamma, then the condition's matrices.

    Raises:
        ValueError: when a condition is missing or not expected.

    Example:

    >>> layer = ScaleOffset(scale=2.0, offset=False)
    >>> ops.convert_to_numpy(layer(ops.ones((1, 3)))).tolist()
    [[2.0, 2.0, 2.0]]

    Source: conditional layer normalization, article 7124.
    """

    def __init__(
        self,
        scale=True,
        offset=True,
        conditional=False,
        hidden_units=None,
        hidden_activation="linear",
        hidden_initializer="glorot_uniform",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.scale = scale
        self.offset = offset
        self.conditional = conditional
        self.hidden_units = hidden_units
        self.hidden_activation = get_activation(hidden_activation)
        self.hidden_initializer = keras.initializers.get(hidden_initializer)

    def build(self, inputs_shape, condition_shape=None):
        if inputs_shape and isinstance(inputs_shape[0], (list, tuple)):
            inputs_shape, condition_shape = inputs_shape
        if self.conditional and condition_shape is None:
            raise ValueError(
                f"{self.name} is conditional: call it as layer(x, condition=c) or layer([x, c])"
            )
        dim = inputs_shape[-1]
        if self.offset is True:
            self.beta = self._vector("beta", dim, "zeros")
        if self.scale is True:
            self.gamma = self._vector("gamma", dim, "ones")
        if self.conditional:
            self._build_condition(dim, tuple(condition_shape))

    def _vector(self, name, dim, initializer):
        return self.add_weight(name=name, shape=(dim,), initializer=initializer, autocast=False)

    def _build_condition(self, dim, shape):
        if self.hidden_units is not None:
            self.hidden_dense = keras.layers.Dense(
                self.hidden_units, activation=self.hidden_activation, use_bias=False,
                kernel_initializer=self.hidden_initializer, dtype=self.dtype_policy,
                name="hidden_dense",
            )  # fmt: skip
            self.hidden_dense.build(shape)
            shape = (*shape[:-1], self.hidden_units)
        if self.offset is not False:
            self.beta_dense = self._zero_dense("beta_dense", dim, shape)
        if self.scale is not False:
            self.gamma_dense = self._zero_dense("gamma_dense", dim, shape)

    def _zero_dense(self, name, dim, shape):
        dense = keras.layers.Dense(
            dim, use_bias=False, kernel_initializer="zeros", dtype=self.dtype_policy, name=name
        )
        dense.build(shape)
        return dense

    def call(self, inputs, condition=None):
        inputs, condition = self._split(inputs, condition)
        beta, gamma = self.offset_and_scale(condition, len(inputs.shape))
        if gamma is not None:
            inputs = inputs * ops.cast(gamma, inputs.dtype)
        return inputs if beta is None else inputs + ops.cast(beta, inputs.dtype)

    def _split(self, inputs, condition):
        if condition is None:
            inputs, condition = head_and_rest(inputs)
        if condition is not None and not self.conditional:
            raise ValueError(
                f"{self.name} received a condition: construct it with conditional=True"
            )
        return inputs, condition

    def offset_and_scale(self, condition=None, ndim=2):
        """(beta, gamma) for a condition, in float32: vectors, constants, tensors, or None."""
        beta = ops.cast(self.beta, "float32") if self.offset is True else _constant(self.offset)
        gamma = ops.cast(self.gamma, "float32") if self.scale is True else _constant(self.scale)
        if condition is None:
            return beta, gamma
        condition = broadcast_rows(condition, ndim)
        if self.hidden_units is not None:
            condition = self.hidden_dense(condition)
        if self.offset is not False:
            beta = ops.cast(self.beta_dense(condition), "float32") + beta
        if self.scale is not False:
            gamma = ops.cast(self.gamma_dense(condition), "float32") + gamma
        return beta, gamma

    def compute_mask(self, inputs, previous_mask=None):
        return previous_mask[0] if isinstance(previous_mask, (list, tuple)) else previous_mask

    def compute_output_shape(self, inputs_shape, condition_shape=None):
        is_list = bool(inputs_shape) and isinstance(inputs_shape[0], (list, tuple))
        return tuple(inputs_shape[0] if is_list else inputs_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "scale": self.scale,
            "offset": self.offset,
            "conditional": self.conditional,
            "hidden_units": self.hidden_units,
            "hidden_activation": serialize_activation(self.hidden_activation),
            "hidden_initializer": keras.initializers.serialize(self.hidden_initializer),
        }


@register
class LayerNormalization(ScaleOffset):
    """``y = (x - mean) / sqrt(var + epsilon) * gamma + beta`` along the last axis, in float32.

    ``zero_mean=False, offset=False`` is RMS normalization. With ``unit_variance=False`` only the
    mean is removed. Conditional as in :class:`ScaleOffset`.

    Args:
        zero_mean: subtract the mean.
        unit_variance: divide by the root of the mean square (after the mean was removed).
        epsilon: added to the mean square; None is ``keras.config.epsilon()`` (1e-7).
        **kwargs: those of ScaleOffset.

    Inputs, output, masks and weights as for ScaleOffset. A constant row gives ``beta``, not NaN.

    Example:

    >>> layer = LayerNormalization(epsilon=1e-12)
    >>> ops.convert_to_numpy(layer(ops.array([[1.0, 3.0]]))).tolist()
    [[-1.0, 1.0]]

    Source: arXiv 1607.06450; RMS: arXiv 1910.07467; conditional: article 7124.
    """

    def __init__(self, zero_mean=True, unit_variance=True, epsilon=None, **kwargs):
        super().__init__(**kwargs)
        self.zero_mean = zero_mean
        self.unit_variance = unit_variance
        self.epsilon = keras.config.epsilon() if epsilon is None else epsilon

    @recompute_grad
    def call(self, inputs, condition=None, training=None):
        inputs, condition = self._split(inputs, condition)
        beta, gamma = self.offset_and_scale(condition, len(inputs.shape))
        outputs = self.normalize(ops.cast(inputs, "float32"))
        if gamma is not None:
            outputs = outputs * gamma
        if beta is not None:
            outputs = outputs + beta
        return ops.cast(outputs, self.compute_dtype)

    def normalize(self, x):
        """x without scale and offset, in float32."""
        if self.unit_variance:
            return standardize(x, self.zero_mean, self.epsilon)
        return x - ops.mean(x, axis=-1, keepdims=True) if self.zero_mean else x

    def get_config(self):
        return {
            **super().get_config(),
            "zero_mean": self.zero_mean,
            "unit_variance": self.unit_variance,
            "epsilon": self.epsilon,
        }
