"""Layers that add and join sequences, masks included."""

import functools

import keras
from keras import ops

from bert4keras_ext.backend.registration import register
from bert4keras_ext.layers.base import Layer


@register
class Add(keras.layers.Add):
    """``x_1 + x_2 + ...``, masked where any of its inputs is masked.

    Keras' own Add silently drops the mask as soon as one input has none: word embeddings would
    lose theirs when segment embeddings are added.

    Inputs: a list of two or more tensors (batch, ...) that can be added; output: their sum. The
    mask is where all masks that there are hold.

    Example:

    >>> tuple(Add()([ops.ones((1, 2, 4)), ops.ones((1, 2, 4))]).shape)
    (1, 2, 4)
    """

    def compute_mask(self, inputs, mask=None):
        # Both sides of a residual connection carry the very same mask tensor: count it once.
        masks = list({id(m): m for m in mask or () if m is not None}.values())
        return functools.reduce(ops.logical_and, masks) if masks else None


@register
class Concatenate1D(Layer):
    """``[x; y; ...]``: joins sequences along the length, masks included.

    Inputs: a list of (batch, length_i, dim), with or without masks; output (batch, sum of the
    lengths, dim), masked where any input was (inputs without a mask count as unmasked).

    Example:

    >>> tuple(Concatenate1D()([ops.ones((1, 2, 4)), ops.ones((1, 3, 4))]).shape)
    (1, 5, 4)
    """

    def call(self, inputs):
        return ops.concatenate(inputs, axis=1)

    def compute_mask(self, inputs, previous_mask=None):
        masks = list(previous_mask) if previous_mask is not None else []
        if all(mask is None for mask in masks):
            return None
        return ops.concatenate([_mask_of(x, m) for x, m in zip(inputs, masks)], axis=1)

    def compute_output_shape(self, input_shape):
        lengths = [shape[1] for shape in input_shape]
        length = None if None in lengths else sum(lengths)
        return (input_shape[0][0], length, *input_shape[0][2:])


def _mask_of(x, mask):
    return ops.ones_like(x[:, :, 0], dtype="bool") if mask is None else mask
