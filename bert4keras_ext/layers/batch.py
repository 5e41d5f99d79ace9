"""Layers that cut a batch into parts and join it again."""

import keras
from keras import ops

from bert4keras_ext.backend.registration import register
from bert4keras_ext.layers.base import Layer


@register
class BatchSplit(Layer):
    """Cuts a batch into so many parts of (nearly) equal size, masks included.

    For models that send parts of a batch different ways; to train on several devices use a
    distribution strategy instead. The first parts are one row larger where it does not divide.

    Args:
        parts: number of parts.

    Inputs: (batch, ...); output: a list of ``parts`` tensors (batch / parts, ...), part k the rows
    from ``ceil(batch k / parts)`` on.

    Raises:
        ValueError: for fewer than 1 part.

    Example:

    >>> [tuple(x.shape) for x in BatchSplit(2)(ops.ones((5, 3)))]
    [(3, 3), (2, 3)]
    """

    def __init__(self, parts, **kwargs):
        super().__init__(**kwargs)
        if parts < 1:
            raise ValueError(f"parts expects 1 or more, received {parts}")
        self.parts = parts

    def call(self, inputs):
        return _parts_of(inputs, self.parts)

    def compute_mask(self, inputs, previous_mask=None):
        if previous_mask is None:
            return [None] * self.parts
        return SplitRows(self.parts)(previous_mask)

    def compute_output_shape(self, input_shape):
        return _shapes_of(input_shape, self.parts)

    def get_config(self):
        return {**super().get_config(), "parts": self.parts}


@register
class SplitRows(keras.Operation):
    """BatchSplit's cut as an operation: a mask without a known batch size is cut in the model.

    Args:
        parts: number of parts.

    Inputs, output: those of BatchSplit.

    Example:

    >>> [tuple(x.shape) for x in SplitRows(2)(ops.ones((5, 3)))]
    [(3, 3), (2, 3)]
    """

    def __init__(self, parts, name=None):
        super().__init__(name=name)
        self.parts = parts

    def call(self, inputs):
        return _parts_of(inputs, self.parts)

    def compute_output_spec(self, inputs):
        shapes = _shapes_of(inputs.shape, self.parts)
        return [keras.KerasTensor(shape, dtype=inputs.dtype) for shape in shapes]

    def get_config(self):
        return {"parts": self.parts, "name": self.name}


@register
class BatchConcat(Layer):
    """``[x; y; ...]``: joins batches along their first axis, masks included.

    Inputs without a mask count as unmasked, if any other has one.

    Inputs: a list of (batch_i, ...) of equal further axes; output: (sum of batch_i, ...).

    Example:

    >>> tuple(BatchConcat()([ops.ones((3, 2)), ops.ones((2, 2))]).shape)
    (5, 2)
    """

    def call(self, inputs):
        return ops.concatenate(inputs, axis=0)

    def compute_mask(self, inputs, previous_mask=None):
        masks = list(previous_mask) if previous_mask is not None else []
        if all(mask is None for mask in masks):
            return None
        rank = len(next(mask for mask in masks if mask is not None).shape)
        known = [_ones(x, rank) if m is None else m for x, m in zip(inputs, masks)]
        return ops.concatenate(known, axis=0)

    def compute_output_shape(self, input_shape):
        rows = [shape[0] for shape in input_shape]
        return (None if None in rows else sum(rows), *input_shape[0][1:])


def _edges(rows, parts):
    return [(rows * k + parts - 1) // parts for k in range(parts + 1)]


def _parts_of(x, parts):
    edges = _edges(ops.shape(x)[0], parts)
    return [x[start:end] for start, end in zip(edges, edges[1:])]


def _shapes_of(shape, parts):
    if shape[0] is None:
        return [tuple(shape)] * parts
    edges = _edges(shape[0], parts)
    return [(end - start, *shape[1:]) for start, end in zip(edges, edges[1:])]


def _ones(x, rank):
    """A mask of nothing, of the first so many axes of x."""
    return ops.ones_like(x[(..., *[0] * (len(x.shape) - rank))], dtype="bool")
