"""Relative position embeddings: a vector, or a number for each head, for every distance."""

import keras
import numpy as np
from keras import ops

from bert4keras_ext.backend.positions import relative_buckets
from bert4keras_ext.backend.registration import register
from bert4keras_ext.layers.base import Layer


@register
class RelativePositionEmbedding(Layer):
    """A vector for the distance of every pair of positions: ``r_ij = table[clip(j - i)]``.

    Distances are clipped to ``(input_dim - 1) / 2`` on both sides. The vectors are what attention
    layers take as ``relative_embeddings``.

    Args:
        input_dim: number of distances, odd.
        output_dim: width of a vector (the head size).
        embeddings_initializer: of the table; ``Sinusoidal()`` with ``trainable=False`` is NEZHA's.
        return_table: also return the table, (input_dim, output_dim), from which attention layers
            compute their scores faster.

    Inputs: the queries (batch, query, ...) and optionally ``key`` (batch, key, ...), of which the
    lengths are taken, also as a list ``[query, key]``; or ``position_ids`` (batch, length) where
    positions do not count from 0 on. ``key_position_ids`` (batch or 1, key) are those of the keys,
    where they are not those of the queries (decoding token by token).

    Output: (query, key, output_dim), or (batch, query, key, output_dim) with position ids; with
    ``return_table`` a tuple of this and the table. It has no mask.

    Example:

    >>> layer = RelativePositionEmbedding(input_dim=5, output_dim=4)
    >>> tuple(layer(ops.ones((1, 3, 8))).shape)
    (3, 3, 4)

    Source: arXiv 1803.02155; NEZHA: arXiv 1909.00204.
    """

    def __init__(
        self,
        input_dim,
        output_dim,
        embeddings_initializer="zeros",
        return_table=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.input_dim = input_dim
        self.output_dim = output_dim
        self.embeddings_initializer = keras.initializers.get(embeddings_initializer)
        self.return_table = return_table

    def build(self, query_shape, key_shape=None, **other_shapes):
        self.embeddings = self.add_weight(
            name="embeddings",
            shape=(self.input_dim, self.output_dim),
            initializer=self.embeddings_initializer,
        )

    def call(self, query, key=None, position_ids=None, key_position_ids=None):
        distances = self.distances(query, key, position_ids, key_position_ids)
        vectors = ops.take(self.embeddings, self.rows(distances), 0)
        return (vectors, ops.convert_to_tensor(self.embeddings)) if self.return_table else vectors

    def distances(self, query, key=None, position_ids=None, key_position_ids=None):
        """Key position - query position: (query, key), or (batch, query, key)."""
        if position_ids is not None:
            ids = ops.cast(position_ids, "int32")
            keys = ids if key_position_ids is None else ops.cast(key_position_ids, "int32")
            return keys[:, None, :] - ids[:, :, None]
        if isinstance(query, (list, tuple)):
            query, key = query
        key = query if key is None else key
        return ops.arange(ops.shape(key)[1])[None] - ops.arange(ops.shape(query)[1])[:, None]

    def rows(self, distances):
        """The row of the table for each distance."""
        reach = (self.input_dim - 1) // 2
        return ops.clip(distances, -reach, reach) + reach

    def compute_mask(self, query, previous_mask=None):
        return (None, None) if self.return_table else None

    # Keras passes shapes by the names written here only: no **shapes.
    def compute_output_shape(
        self, query_shape, key_shape=None, position_ids_shape=None, key_position_ids_shape=None
    ):
        pairs = self._pairs_shape(
            query_shape, key_shape, position_ids_shape, key_position_ids_shape
        )
        vectors = (*pairs, self.output_dim)
        return (vectors, (self.input_dim, self.output_dim)) if self.return_table else vectors

    def _pairs_shape(self, query_shape, key_shape, position_ids_shape, key_position_ids_shape):
        if position_ids_shape is not None:
            keys_shape = key_position_ids_shape or position_ids_shape
            return (position_ids_shape[0], position_ids_shape[1], keys_shape[1])
        if query_shape and isinstance(query_shape[0], (list, tuple)):
            query_shape, key_shape = query_shape
        return (query_shape[1], (key_shape or query_shape)[1])

    def get_config(self):
        return {
            **super().get_config(),
            "input_dim": self.input_dim,
            "output_dim": self.output_dim,
            "embeddings_initializer": keras.initializers.serialize(self.embeddings_initializer),
            "return_table": self.return_table,
        }


@register
class RelativePositionEmbeddingT5(RelativePositionEmbedding):
    """T5's bias for the distance of every pair of positions, one number for each head.

    Distances fall into buckets (``backend.positions.relative_buckets``): exact when small,
    logarithmic up to ``max_distance``. The result is what attention layers take as
    ``position_bias``. (bert4keras swallowed the initializer and used zeros; here it counts.)

    Args:
        input_dim: number of buckets.
        output_dim: number of heads.
        max_distance: from here on all distances share a bucket.
        bidirectional: False for decoders, which look backwards only.
        embeddings_initializer: of the table.

    Inputs: as for RelativePositionEmbedding. Output: (1, heads, query, key), or
    (batch, heads, query, key) with position ids. It has no mask.

    Example:

    >>> layer = RelativePositionEmbeddingT5(input_dim=32, output_dim=2)
    >>> tuple(layer(ops.ones((1, 3, 8))).shape)
    (1, 2, 3, 3)

    Source: arXiv 1910.10683.
    """

    def __init__(self, input_dim, output_dim, max_distance=128, bidirectional=True, **kwargs):
        super().__init__(input_dim, output_dim, return_table=False, **kwargs)
        self.max_distance = max_distance
        self.bidirectional = bidirectional
        self.rows(np.zeros(1, "int32"))  # raises for buckets that do not fit, before any input

    def call(self, query, key=None, position_ids=None, key_position_ids=None):
        bias = super().call(query, key, position_ids, key_position_ids)
        if len(bias.shape) == 3:
            bias = bias[None]
        return ops.transpose(bias, (0, 3, 1, 2))  # (batch or 1, heads, query, key)

    def rows(self, distances):
        return relative_buckets(distances, self.input_dim, self.max_distance, self.bidirectional)

    def compute_output_shape(
        self, query_shape, key_shape=None, position_ids_shape=None, key_position_ids_shape=None
    ):
        pairs = self._pairs_shape(
            query_shape, key_shape, position_ids_shape, key_position_ids_shape
        )
        batch = pairs[0] if len(pairs) == 3 else 1
        return (batch, self.output_dim, *pairs[-2:])

    def get_config(self):
        config = super().get_config()
        config.pop("return_table")
        return {
            **config,
            "max_distance": self.max_distance,
            "bidirectional": self.bidirectional,
        }
