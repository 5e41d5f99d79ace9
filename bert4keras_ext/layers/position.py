"""Absolute position embeddings, trained and sinusoidal."""

import keras
from keras import ops

from bert4keras_ext.backend.positions import sinusoidal_embeddings
from bert4keras_ext.backend.registration import register
from bert4keras_ext.backend.tensors import checked_length, head_and_rest
from bert4keras_ext.layers.base import Layer

MERGE_MODES = ("add", "mul", "zero", "concat")
DEFAULT_ALPHA = 0.4


class MergedPositions(Layer):
    """What position embeddings share: where positions come from, and how vectors are merged.

    Subclasses define ``leading_rows(length)``, the vectors of positions 0 ... length - 1, and
    ``rows(ids)``, those of any positions.
    """

    def __init__(self, output_dim, merge_mode="add", custom_position_ids=False, **kwargs):
        super().__init__(**kwargs)
        if merge_mode not in MERGE_MODES:
            raise ValueError(f"merge_mode expects one of {MERGE_MODES}, received {merge_mode!r}")
        self.output_dim = output_dim
        self.merge_mode = merge_mode
        self.custom_position_ids = custom_position_ids
        # Position 257 is none of bfloat16's numbers: ids must not be cast with the inputs.
        self.autocast = False

    def call(self, inputs, position_ids=None):
        if position_ids is None:
            inputs, position_ids = head_and_rest(inputs)
        if self.custom_position_ids and position_ids is None:
            raise ValueError(
                f"{self.name} was made with custom_position_ids=True: call layer([x, position_ids])"
            )
        if position_ids is not None:
            positions = self.rows(position_ids)
        else:
            positions = self.leading_rows(ops.shape(inputs)[1])[None]
        return self.merge(inputs, positions)

    def merge(self, inputs, positions):
        inputs = ops.cast(inputs, self.compute_dtype)
        positions = ops.cast(positions, self.compute_dtype)
        if self.merge_mode == "add":
            return inputs + positions
        if self.merge_mode == "mul":
            return inputs * (positions + 1)
        if self.merge_mode == "zero":
            return positions
        shape = ops.shape(inputs)
        positions = ops.broadcast_to(positions, (shape[0], shape[1], self.output_dim))
        return ops.concatenate([inputs, positions], axis=-1)

    def compute_mask(self, inputs, previous_mask=None):
        return previous_mask[0] if isinstance(previous_mask, (list, tuple)) else previous_mask

    def compute_output_shape(self, inputs_shape, position_ids_shape=None):
        if inputs_shape and isinstance(inputs_shape[0], (list, tuple)):
            inputs_shape = inputs_shape[0]
        if self.merge_mode == "zero":
            batch = inputs_shape[0] if self.custom_position_ids else 1
            return (batch, inputs_shape[1], self.output_dim)
        more = self.output_dim if self.merge_mode == "concat" else 0
        return (*inputs_shape[:-1], inputs_shape[-1] + more)

    def get_config(self):
        return {
            **super().get_config(),
            "output_dim": self.output_dim,
            "merge_mode": self.merge_mode,
            "custom_position_ids": self.custom_position_ids,
        }


@register
class PositionEmbedding(MergedPositions):
    """A trained vector for every position, merged into the inputs.

    ==========  =======================================
    merge_mode  output
    ==========  =======================================
    "add"       ``x + p``
    "mul"       ``x * (1 + p)``
    "zero"      ``p`` alone (without custom ids one for all rows: batch 1)
    "concat"    x and p side by side
    ==========  =======================================

    With ``hierarchical`` n trained positions serve n^2: from ``u = (p - a p_0) / (1 - a)``
    position ``i n + j`` is ``a u_i + (1 - a) u_j``, which leaves the first n positions as they
    were trained.

    Args:
        input_dim: number of trained positions.
        output_dim: width of a vector.
        merge_mode: a row of the table.
        hierarchical: None or False; True for ``a = 0.4``; or a itself.
        embeddings_initializer: of the table.
        custom_position_ids: expect position ids as the second input.

    Inputs: x (batch, length, dim) and, where asked for, ids (batch, length), as
    ``layer(x, position_ids=ids)`` or ``layer([x, ids])``. The mask of x is passed on.

    Raises:
        ValueError: for an unknown merge mode, a hierarchical outside (0, 1), or inputs longer than
            the positions reach.

    Example:

    >>> layer = PositionEmbedding(input_dim=8, output_dim=4)
    >>> tuple(layer(ops.ones((1, 3, 4))).shape)
    (1, 3, 4)

    Source: arXiv 1810.04805; hierarchical: article 7947.
    """

    def __init__(
        self,
        input_dim,
        output_dim,
        merge_mode="add",
        hierarchical=None,
        embeddings_initializer="zeros",
        custom_position_ids=False,
        **kwargs,
    ):
        super().__init__(output_dim, merge_mode, custom_position_ids, **kwargs)
        if hierarchical and hierarchical is not True and not 0 < hierarchical < 1:
            raise ValueError(
                "expected hierarchical (hierarchical_position) to be None, True or a number "
                f"between 0 and 1, received {hierarchical!r}: True stands for 0.4"
            )
        self.input_dim = input_dim
        self.hierarchical = hierarchical
        self.embeddings_initializer = keras.initializers.get(embeddings_initializer)

    def build(self, inputs_shape, position_ids_shape=None):
        self.embeddings = self.add_weight(
            name="embeddings",
            shape=(self.input_dim, self.output_dim),
            initializer=self.embeddings_initializer,
        )

    def leading_rows(self, length):
        """The vectors of positions 0 ... length - 1, (length, output_dim)."""
        reach = self.input_dim**2 if self.hierarchical else self.input_dim
        length = checked_length(
            length, reach,
            f"{self.name} knows {{limit}} positions, received an input of length {{length}}: "
            "shorten the text (maxlen), or pass a larger max_position or hierarchical_position",
        )  # fmt: skip
        if self.hierarchical:
            return self.rows(ops.arange(length))
        return self.embeddings[:length]

    def rows(self, ids):
        """The vectors of any positions: ids (...) -> (..., output_dim)."""
        ids = ops.cast(ids, "int32")
        if not self.hierarchical:
            return ops.take(self.embeddings, ids, axis=0)
        alpha = DEFAULT_ALPHA if self.hierarchical is True else self.hierarchical
        base = (self.embeddings - alpha * self.embeddings[:1]) / (1 - alpha)
        high = ops.take(base, ids // self.input_dim, axis=0)
        low = ops.take(base, ids % self.input_dim, axis=0)
        return alpha * high + (1 - alpha) * low

    def get_config(self):
        return {
            **super().get_config(),
            "input_dim": self.input_dim,
            "hierarchical": self.hierarchical,
            "embeddings_initializer": keras.initializers.serialize(self.embeddings_initializer),
        }


@register
class SinusoidalPositionEmbedding(MergedPositions):
    """Sinusoidal position vectors, merged into the inputs; there is nothing to train.

    ``p[2i] = sin(k w_i), p[2i+1] = cos(k w_i)`` for position k, with ``w_i = base^(-2i/dim)``.

    Args:
        output_dim: width of a vector, even.
        merge_mode: "add", "mul", "zero" or "concat", as for PositionEmbedding.
        custom_position_ids: expect position ids (any real numbers) as the second input.
        base: see the formula.

    Inputs: x (batch, length, dim) and, where asked for, ids (batch, length), as
    ``layer(x, position_ids=ids)`` or ``layer([x, ids])``. The mask of x is passed on.

    Raises:
        ValueError: for an unknown merge mode, or an odd width.

    Example:

    >>> layer = SinusoidalPositionEmbedding(output_dim=4)
    >>> tuple(layer(ops.ones((1, 3, 4))).shape)
    (1, 3, 4)

    Source: arXiv 1706.03762; article 8231.
    """

    def __init__(
        self, output_dim, merge_mode="add", custom_position_ids=False, base=10000.0, **kwargs
    ):
        super().__init__(output_dim, merge_mode, custom_position_ids, **kwargs)
        self.base = base

    def leading_rows(self, length):
        return self.rows(ops.arange(length))

    def rows(self, ids):
        return sinusoidal_embeddings(ids, self.output_dim, self.base)

    def get_config(self):
        return {**super().get_config(), "base": self.base}
