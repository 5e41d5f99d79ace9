"""GlobalPointer: a score for every span of a text, for every type of span."""

import keras
from keras import ops

from bert4keras_ext.backend.positions import (
    apply_rotary_position_embeddings,
    sinusoidal_embeddings,
)
from bert4keras_ext.backend.recompute import recompute_grad
from bert4keras_ext.backend.registration import register
from bert4keras_ext.layers.base import Layer
from bert4keras_ext.layers.dense import Dense


@register
class GlobalPointer(Layer):
    """Scores ``s_a(i, j)`` that the span from token i to token j is of type a.

    ``s_a(i, j) = (R_i q_a,i) (R_j k_a,j) / sqrt(head_size)`` with projections q and k of its own
    for each type, and rotary positions R. Spans of tokens that are padding, and with ``tril_mask``
    those that end before they begin, get -inf exactly. **The end j is inclusive**: s_a(i, i) is
    the span of token i alone. Predict all spans with a score above 0; train with
    ``losses.GlobalPointerCrossentropy``.

    Args:
        heads: number of types.
        head_size: width of q and k.
        RoPE: positions; without them scores hardly tell where a span ends.
        use_bias: a bias in the projection.
        tril_mask: forbid spans that end before they begin; False for pairs of tokens in any order
            (relations: GPLinker).
        kernel_initializer: of the projection.

    Inputs: (batch, length, dim) with a mask or none. Output: (batch, heads, length, length), start
    before end, without a mask.

    Raises:
        ValueError: for an odd head_size with RoPE.

    Example:

    >>> tuple(GlobalPointer(heads=3, head_size=8)(ops.ones((2, 5, 16))).shape)
    (2, 3, 5, 5)

    Source: article 8373.
    """

    def __init__(
        self,
        heads,
        head_size,
        RoPE=True,
        use_bias=True,
        tril_mask=True,
        kernel_initializer="lecun_normal",
        **kwargs,
    ):
        super().__init__(**kwargs)
        if RoPE and head_size % 2:
            raise ValueError(
                f"rotary positions turn pairs of channels: expected an even head_size, found "
                f"{head_size}. Change it, or pass RoPE=False"
            )
        self.heads = heads
        self.head_size = head_size
        self.RoPE = RoPE
        self.use_bias = use_bias
        self.tril_mask = tril_mask
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self._make_projections()

    def _make_projections(self):
        self.dense = self._dense("dense", 2 * self.head_size * self.heads)

    def _dense(self, name, units):
        return Dense(
            units,
            use_bias=self.use_bias,
            # A shared initializer object would give every projection the same values.
            kernel_initializer=self.kernel_initializer.clone(),
            dtype=self.dtype_policy,
            name=name,
        )

    def build(self, inputs_shape):
        self.dense.build(inputs_shape)

    @recompute_grad
    def call(self, inputs, mask=None, training=None):
        return self.forbid(self.scores(inputs), mask)

    def scores(self, inputs):
        """Scores before any mask: (batch, heads, length, length)."""
        length = ops.shape(inputs)[1]
        x = ops.reshape(self.dense(inputs), (-1, length, self.heads, 2 * self.head_size))
        query, key = self.turned(x[..., : self.head_size], x[..., self.head_size :])
        query = ops.transpose(query, (0, 2, 1, 3))  # (batch, heads, length, size)
        return ops.matmul(query, ops.transpose(key, (0, 2, 3, 1)))

    def turned(self, query, key):
        """Queries and keys with their positions, the queries scaled by head_size^-0.5."""
        scale = self.head_size**-0.5
        if not self.RoPE:
            return query * scale, key
        positions = ops.arange(ops.shape(query)[1])[None]
        rotary = sinusoidal_embeddings(positions, self.head_size)
        return (
            apply_rotary_position_embeddings(rotary * scale, query),
            apply_rotary_position_embeddings(rotary, key),
        )

    def forbid(self, scores, mask=None):
        """-inf where a span may not be."""
        allowed = None
        if self.tril_mask:
            places = ops.arange(ops.shape(scores)[-1])
            allowed = (places[:, None] <= places[None])[None, None]
        if mask is not None:
            mask = ops.cast(mask, "bool")
            both = ops.logical_and(mask[:, None, :, None], mask[:, None, None, :])
            allowed = both if allowed is None else ops.logical_and(allowed, both)
        if allowed is None:
            return scores
        return ops.where(allowed, scores, ops.cast(float("-inf"), scores.dtype))

    def compute_mask(self, inputs, previous_mask=None):
        return None

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.heads, input_shape[1], input_shape[1])

    def get_config(self):
        return {
            **super().get_config(),
            "heads": self.heads,
            "head_size": self.head_size,
            "RoPE": self.RoPE,
            "use_bias": self.use_bias,
            "tril_mask": self.tril_mask,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }


@register
class EfficientGlobalPointer(GlobalPointer):
    """GlobalPointer with one q and k for all types: 4 * head_size weights a type instead of 2 dim.

    ``s_a(i, j) = (R_i q_i) (R_j k_j) / sqrt(head_size) + (b_a,i + e_a,j) / 2`` where b and e are
    linear in ``[q; k]``: whether i begins and j ends a span of type a. q are the even and k the
    odd channels of one projection.

    Args, inputs, output and masks: as for GlobalPointer.

    Example:

    >>> tuple(EfficientGlobalPointer(heads=3, head_size=8)(ops.ones((2, 5, 16))).shape)
    (2, 3, 5, 5)

    Source: article 8877.
    """

    def _make_projections(self):
        self.p_dense = self._dense("p_dense", 2 * self.head_size)
        self.q_dense = self._dense("q_dense", 2 * self.heads)

    def build(self, inputs_shape):
        self.p_dense.build(inputs_shape)
        self.q_dense.build((*inputs_shape[:-1], 2 * self.head_size))

    def scores(self, inputs):
        shared = self.p_dense(inputs)  # (batch, length, 2 * size)
        query, key = self.turned(shared[..., 0::2], shared[..., 1::2])
        spans = ops.matmul(query, ops.transpose(key, (0, 2, 1)))  # (batch, length, length)
        edges = ops.transpose(self.q_dense(shared), (0, 2, 1)) / 2  # (batch, 2 * heads, length)
        # By turns for each type: what the end of a span adds, and what its start does.
        return spans[:, None] + edges[:, 0::2, None, :] + edges[:, 1::2, :, None]
