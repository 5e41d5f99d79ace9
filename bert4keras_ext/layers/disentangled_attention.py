"""DeBERTa's attention: contents and relative positions as separate vectors."""

import keras
from keras import ops

from bert4keras_ext.backend.positions import log_bucket_table, log_buckets
from bert4keras_ext.backend.registration import register
from bert4keras_ext.layers.attention import MultiHeadAttention
from bert4keras_ext.layers.base import Layer
from bert4keras_ext.layers.dropout import Dropout

TERMS = ("c2p", "p2c")


@register
class DisentangledAttention(MultiHeadAttention):
    """Attention to contents and to relative positions, each with vectors of its own.

    For each head, with r the vector of the distance i - j of query i from key j,

        ``s_ij = (Q_i K_j + Q_i W_k r + K_j W_q r) / sqrt(key_size * (1 + number of terms))``

    where the second summand is the term "c2p" (content to position) and the third "p2c". The
    vectors come as one table of ``2 * span`` rows; row ``span + d`` belongs to distance d, and
    distances beyond the span share the outermost rows.

    The table is projected once a call. Without position ids, scores are then computed for every
    distance and moved into place by reshaping, which needs no gather: per head and term, size *
    query * (query + key) multiplications, about twice those of ``Q K^T``.

    Args:
        heads, head_size, ...: as for MultiHeadAttention.
        terms: which of "c2p" and "p2c". They count in the scale also where no table is given.
        buckets: the span, distances being put into buckets that grow logarithmically up to
            ``max_distance`` (see ``backend.positions.log_buckets``); None takes each for itself.
        max_distance: without buckets it is the span.
        share_projections: W_k and W_q are those of the keys and queries; otherwise they are
            further layers, position_k and position_q.
        position_dropout: rate of dropout on the table; None or 0 is none.

    Inputs: query, key, value, attention_bias and residual_scores as for MultiHeadAttention, and
        relative_embeddings: the table, (2 * span, dim) with the dim of the queries; None is no
            positions. See RelativePositionTable.
        position_ids: (batch or 1, query) where positions are not consecutive: slower, since every
            pair looks its row up. None takes the queries to be the last ones of the keys.
        key_position_ids: (batch or 1, key), where they differ from the queries'.

    Output and masks: as for MultiHeadAttention.

    Raises:
        ValueError: for unknown terms, fewer than 2 buckets, or a table of another size.

    Example:

    >>> layer = DisentangledAttention(heads=2, head_size=4, buckets=4, max_distance=16)
    >>> tuple(layer(ops.ones((1, 3, 8)), relative_embeddings=ops.ones((8, 8))).shape)
    (1, 3, 8)

    Source: arXiv 2006.03654; shared projections and buckets: arXiv 2111.09543.
    """

    def __init__(
        self,
        heads,
        head_size,
        terms=TERMS,
        buckets=None,
        max_distance=512,
        share_projections=True,
        position_dropout=None,
        **kwargs,
    ):
        super().__init__(heads, head_size, **kwargs)
        if not set(terms) <= set(TERMS):
            raise ValueError(f"terms expects some of {TERMS}, received {terms!r}")
        if buckets is not None:
            log_bucket_table(buckets, max_distance)  # impossible ones fail at once
        self.terms = list(terms)
        self.buckets = buckets
        self.max_distance = max_distance
        self.share_projections = share_projections
        self.position_dropout = position_dropout
        own = [] if share_projections else self.terms
        self.position_k = self._dense("position_k", heads * self.key_size) if "c2p" in own else None
        self.position_q = self._dense("position_q", heads * self.key_size) if "p2c" in own else None
        if position_dropout:
            self.table_dropout = Dropout(position_dropout, dtype=self.dtype_policy)

    @property
    def span(self):
        return self.buckets or self.max_distance

    def build(self, query_shape, key_shape=None, value_shape=None, **other_shapes):
        super().build(query_shape, key_shape, value_shape)
        for projection in (self.position_k, self.position_q):
            if projection is not None:
                projection.build((None, query_shape[-1]))

    def call(
        self,
        query,
        key=None,
        value=None,
        mask=None,
        query_mask=None,
        key_mask=None,
        value_mask=None,
        attention_bias=None,
        residual_scores=None,
        relative_embeddings=None,
        position_ids=None,
        key_position_ids=None,
        cache=None,
        cache_index=None,
        visible_places=None,
        return_cache=False,
        training=None,
    ):
        table = relative_embeddings
        if table is not None:
            self._check_table(tuple(table.shape), query.shape[-1])
            if self.position_dropout:
                table = self.table_dropout(table, training=training)
        key_ids = position_ids if key_position_ids is None else key_position_ids
        return super().call(
            query, key, value, mask, query_mask, key_mask, value_mask, attention_bias,
            residual_scores, relative_embeddings=(table, position_ids, key_ids), cache=cache,
            cache_index=cache_index, visible_places=visible_places, position_ids=position_ids,
            key_position_ids=key_ids, return_cache=return_cache, training=training,
        )  # fmt: skip

    def _check_table(self, shape, dim):
        expected = (2 * self.span, dim)
        known = len(shape) == 2 and all(n in (None, m) for n, m in zip(shape, expected))
        if not known:
            raise ValueError(
                f"relative_embeddings expects the shape (2 * span, dim of the queries) = "
                f"{expected}, received {shape}"
            )

    @property
    def scale(self):
        return (self.key_size * (1 + len(self.terms))) ** -0.5 if self.attention_scale else 1.0

    def queries(self, query, rotary=None):
        return self.by_head(self.q(query)) * self.scale

    def keys(self, key, rotary=None):
        return self.by_head(self.k(key))

    def _scores(self, query, keys, position_bias=None, relative_embeddings=None, ids=(None, None)):
        table, query_ids, key_ids = relative_embeddings or (None, None, None)
        scores = ops.matmul(query, ops.transpose(keys, (0, 1, 3, 2)))
        if table is None:
            return scores
        if query_ids is None:
            query_ids, key_ids = ids
        rows = None if query_ids is None else self._rows_of_pairs(query_ids, key_ids)
        if "c2p" in self.terms:
            vectors = self._vectors(table, self.position_k or self.k)
            scores = scores + self._positional(query, vectors, ops.shape(keys)[2], 1, rows)
        if "p2c" in self.terms:
            vectors = self._vectors(table, self.position_q or self.q) * self.scale
            rows = None if rows is None else ops.transpose(rows, (0, 2, 1))
            of_keys = self._positional(keys, vectors, ops.shape(query)[2], -1, rows)
            scores = scores + ops.transpose(of_keys, (0, 1, 3, 2))
        return scores

    def _vectors(self, table, projection):
        """(2 * span, dim) -> (heads, size, 2 * span)."""
        return ops.transpose(self.by_head(projection(table)[None])[0], (0, 2, 1))

    def _positional(self, x, vectors, count, sign, rows=None):
        """Products of x with the vectors of the distances to ``count`` others.

        Args:
            x: contents, (batch, heads, length, size).
            vectors: (heads, size, 2 * span).
            count: number of the others.
            sign: 1 where x are the queries, -1 where they are the keys.
            rows: (batch or 1, length, count), which vector for each pair; None counts positions.

        Returns:
            (batch, heads, length, count).
        """
        if rows is not None:
            return ops.take_along_axis(ops.matmul(x, vectors[None]), rows[:, None], axis=-1)
        distances = sign * (count - 1 - ops.arange(ops.shape(x)[2] + count))
        vectors = ops.take(vectors, self._rows(distances), axis=-1)
        return shift_rows(ops.matmul(x, vectors[None]), count)

    def _rows_of_pairs(self, query_ids, key_ids):
        query_ids, key_ids = ops.cast(query_ids, "int32"), ops.cast(key_ids, "int32")
        return self._rows(query_ids[:, :, None] - key_ids[:, None, :])

    def _rows(self, distances):
        """The row of the table for each distance, query position - key position."""
        if self.buckets:
            distances = log_buckets(distances, self.buckets, self.max_distance)
        return ops.clip(distances, -self.span, self.span - 1) + self.span

    def _averages(self, weights, values, *positions):
        return super()._averages(weights, values)  # positions act on the scores only

    def get_config(self):
        return {
            **super().get_config(),
            "terms": self.terms,
            "buckets": self.buckets,
            "max_distance": self.max_distance,
            "share_projections": self.share_projections,
            "position_dropout": self.position_dropout,
        }


def shift_rows(x, count):
    """Takes ``count`` neighbours of each row, starting one place earlier in each further row.

    ``y[..., a, b] = x[..., a, rows - 1 - a + b]``: columns that stand for distances become
    columns that stand for positions. Rows one shorter than they are begin one place earlier each
    time: two reshapes and two slices, where a gather is several times slower in training.

    Args:
        x: (batch, heads, rows, rows + count).
        count: width of the result.
    """
    batch, heads, rows, width = ops.shape(x)
    # ops.slice, since the gradient of strided slices is slow on a CPU.
    flat = ops.reshape(x, (batch * heads, rows * width))
    flat = ops.slice(flat, (0, rows - 1), (batch * heads, rows * (width - 1)))
    lines = ops.reshape(flat, (batch * heads * rows, width - 1))
    lines = ops.slice(lines, (0, 0), (batch * heads * rows, count))
    return ops.reshape(lines, (batch, heads, rows, count))


@register
class RelativePositionTable(Layer):
    """A trained vector r for each relative position, for layers that look them up themselves.

    Args:
        input_dim: number of vectors.
        output_dim: width of a vector.
        embeddings_initializer: of the table.

    Inputs: anything; it only ties the table to a model. Output: the table (input_dim, output_dim),
    without a batch axis and without a mask.

    Example:

    >>> tuple(RelativePositionTable(8, 4)(ops.ones((2, 3))).shape)
    (8, 4)

    Source: arXiv 2006.03654.
    """

    def __init__(self, input_dim, output_dim, embeddings_initializer="zeros", **kwargs):
        super().__init__(**kwargs)
        self.input_dim = input_dim
        self.output_dim = output_dim
        self.embeddings_initializer = keras.initializers.get(embeddings_initializer)

    def build(self, input_shape):
        self.embeddings = self.add_weight(
            name="embeddings",
            shape=(self.input_dim, self.output_dim),
            initializer=self.embeddings_initializer,
        )

    def call(self, inputs):
        return ops.cast(self.embeddings, self.compute_dtype)

    def compute_mask(self, inputs, previous_mask=None):
        return None

    def compute_output_shape(self, input_shape):
        return (self.input_dim, self.output_dim)

    def get_config(self):
        return {
            **super().get_config(),
            "input_dim": self.input_dim,
            "output_dim": self.output_dim,
            "embeddings_initializer": keras.initializers.serialize(self.embeddings_initializer),
        }
