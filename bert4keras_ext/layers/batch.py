"""Layers that cut a batch into parts and join it again."""

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
        return self._parts_of(inputs)

    def _parts_of(self, x):
        rows = ops.shape(x)[0]
        edges = [(rows * k + self.parts - 1) // self.parts for k in range(self.parts + 1)]
        return [x[start:end] for start, end in zip(edges, edges[1:])]

    def compute_mask(self, inputs, previous_mask=None):
        return [None] * self.parts if previous_mask is None else self._parts_of(previous_mask)

    def compute_output_shape(self, input_shape):
        rows = input_shape[0]
        if rows is None:
            return [(None, *input_shape[1:])] * self.parts
        edges = [(rows * k + self.parts - 1) // self.parts for k in range(self.parts + 1)]
        return [(end - start, *input_shape[1:]) for start, end in zip(edges, edges[1:])]

    def get_config(self):
        return {**super().get_config(), "parts": self.parts}


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
        known = [
            ops.ones(ops.shape(x)[:2], "bool") if m is None else m for x, m in zip(inputs, masks)
        ]
        return ops.concatenate(known, axis=0)

    def compute_output_shape(self, input_shape):
        rows = [shape[0] for shape in input_shape]
        return (None if None in rows else sum(rows), *input_shape[0][1:])
