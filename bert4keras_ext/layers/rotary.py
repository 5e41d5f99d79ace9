"""Rotary position embeddings: the angles that attention layers turn queries and keys by."""

import numpy as np
from keras import KerasTensor, ops

from bert4keras_ext.backend.positions import (
    check_rotary,
    interleaved_sinusoids,
    rotary_frequencies,
)
from bert4keras_ext.backend.registration import register
from bert4keras_ext.layers.base import Layer


@register
class RotaryEmbedding(Layer):
    """sin and cos of every position, for the ``rotary`` argument of attention layers (RoPE).

    Channels 2i and 2i+1 hold ``m sin(k w_i)`` and ``m cos(k w_i)`` for position k, with the
    frequencies w and the factor m (1 without YaRN) of ``backend.positions.rotary_frequencies``.
    With several axes (2-D RoPE: places x and y in an image or table) the channels are shared out
    evenly: the first half turns by x, the second by y.

    Args:
        output_dim: number of channels to be rotated (the key size), a multiple of ``2 * axes``.
        base: of the frequencies.
        scaling: extension to texts longer than those of training: None, or a dict such as
            ``{"type": "yarn", "factor": 4.0, "original_max_position": 512}``; "linear" and "ntk"
            need no length.
        axes: number of coordinates of a position; more than one needs position ids.
        custom_position_ids: expect position ids.

    Inputs: x (batch, length, ...), of which the length is taken, and where asked for
    ``position_ids``, (batch, length), or (batch, length, axes): any real numbers.

    Output: float32 in every precision, (batch, length, output_dim), batch 1 without position ids.
    It has no mask.

    Raises:
        ValueError: for a width that cannot be shared out, an unknown scaling, or missing ids.

    Example:

    >>> angles = RotaryEmbedding(output_dim=4)(ops.ones((2, 3, 8)))
    >>> tuple(angles.shape)
    (1, 3, 4)

    Source: arXiv 2104.09864; 2-D: article 8397; YaRN: arXiv 2309.00071.
    """

    def __init__(
        self,
        output_dim,
        base=10000.0,
        scaling=None,
        axes=1,
        custom_position_ids=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_rotary(output_dim, base, scaling, axes)
        self.output_dim = output_dim
        self.base = base
        self.scaling = scaling
        self.axes = axes
        self.custom_position_ids = custom_position_ids
        self.autocast = False  # positions and angles keep float32's precision

    def call(self, inputs, position_ids=None):
        if position_ids is not None:
            self._check_ids(position_ids)
            return self.angles(position_ids)
        if self.custom_position_ids or self.axes > 1:
            raise ValueError(
                f"{self.name} needs position ids: call layer(x, position_ids=...) with shape "
                "(batch, length), or (batch, length, axes) for several axes"
            )
        return self.angles(ops.arange(ops.shape(inputs)[1])[None])

    def _check_ids(self, position_ids):
        expected, shape = (self.axes,) if self.axes > 1 else (), tuple(position_ids.shape)
        if len(shape) < 2 or shape[2:] != expected:
            text = ", ".join(["batch", "length", *map(str, expected)])
            raise ValueError(
                f"{self.name} expects position ids ({text}), received the shape {shape}"
            )

    def angles(self, position_ids):
        """sin and cos by turns for any positions: (batch, length[, axes]) -> (..., output_dim)."""
        frequencies, magnitude = rotary_frequencies(
            self.output_dim // self.axes, self.base, self.scaling
        )
        table = interleaved_sinusoids(position_ids, frequencies)
        if self.axes > 1:  # (batch, length, axes, dim / axes)
            shape = ops.shape(table)
            table = ops.reshape(table, (shape[0], shape[1], self.output_dim))
        return table if magnitude == 1 else table * np.float32(magnitude)

    def compute_mask(self, inputs, previous_mask=None):
        return None

    def compute_output_shape(self, inputs_shape, position_ids_shape=None):
        batch = 1 if position_ids_shape is None else position_ids_shape[0]
        return (batch, inputs_shape[1], self.output_dim)

    def compute_output_spec(self, inputs, position_ids=None):
        shape = self.compute_output_shape(
            inputs.shape, None if position_ids is None else position_ids.shape
        )
        return KerasTensor(shape, dtype="float32")

    def get_config(self):
        return {
            **super().get_config(),
            "output_dim": self.output_dim,
            "base": self.base,
            "scaling": self.scaling,
            "axes": self.axes,
            "custom_position_ids": self.custom_position_ids,
        }
