"""Multi-head attention."""

import keras
from keras import ops

from bert4keras_ext.backend.masking import attention_normalize, restricted
from bert4keras_ext.backend.positions import apply_rotary_position_embeddings
from bert4keras_ext.backend.recompute import recompute_grad
from bert4keras_ext.backend.registration import register
from bert4keras_ext.backend.tensors import swapped
from bert4keras_ext.layers.base import Layer
from bert4keras_ext.layers.cache import readable, write_to_cache
from bert4keras_ext.layers.dense import Dense
from bert4keras_ext.layers.dropout import Dropout
from bert4keras_ext.layers.relative_attention import relative_context, relative_scores


def rotate(x, rotary, scale=None):
    """Turns the first channels of x (batch, ..., length, size), as many as ``rotary`` has.

    ``rotary`` (batch or 1, length, dim) serves all the heads of x (batch, heads, length, size).
    """
    if len(x.shape) > len(rotary.shape):
        rotary = rotary[:, None]  # sin and cos before the places: the broadcast CPUs are quick at
    dim = rotary.shape[-1]
    if scale is not None:
        rotary = rotary * scale  # sin and cos are much smaller than x
    if dim == x.shape[-1]:
        return apply_rotary_position_embeddings(rotary, x)
    turned, rest = x[..., :dim], x[..., dim:]
    rest = rest if scale is None else rest * scale
    return ops.concatenate([apply_rotary_position_embeddings(rotary, turned), rest], axis=-1)


def three_inputs(items):
    """(query, key, value) from a list of one to three of them, as bert4keras' layers took them."""
    if not 1 <= len(items) <= 3:
        raise ValueError(
            f"expected [query], or [query, key, value]; received {len(items)} tensors. "
            "Biases and positions have names: layer(query, key, value, attention_bias=...)"
        )
    return [*items, None, None][:3]


def three_masks(mask, query_mask=None, key_mask=None, value_mask=None, in_list=False):
    """(query, key, value) masks, from what the caller gave and what Keras took off the inputs.

    Keras fills in ``mask`` where there is one tensor argument, and ``query_mask`` where there are
    more, among them a mask: so ``mask``, where it is given, is the caller's.
    """
    if in_list and mask is not None and not isinstance(mask, (list, tuple)):
        raise ValueError(
            "mask expects a list beside a list of inputs, mask=[query_mask, key_mask, value_mask] "
            f"(None where there is none); received one of the shape {tuple(mask.shape)}"
        )
    query_mask = query_mask if mask is None else mask
    if isinstance(query_mask, (list, tuple)):
        query_mask, *carried = three_inputs(query_mask)
        key_mask = carried[0] if key_mask is None else key_mask
        value_mask = carried[1] if value_mask is None else value_mask
    return query_mask, key_mask, value_mask


def mask_of_keys(key, value, query_mask=None, key_mask=None, value_mask=None):
    """Which keys may be looked at: those that neither their own mask nor that of values forbids.

    Keys that are the queries (None) have their mask unless they were given one, and values that
    are the keys have theirs.
    """
    if key is None and key_mask is None:
        key_mask = query_mask
    if value is None and value_mask is None:
        value_mask = key_mask
    if key_mask is None or value_mask is None or key_mask is value_mask:
        return value_mask if key_mask is None else key_mask
    return ops.logical_and(key_mask, value_mask)


@register
class MultiHeadAttention(Layer):
    """Multi-head attention with masks, biases and a choice of normalization.

    For each head ``A = normalize(Q K^T / sqrt(key_size) + bias)`` and ``O = A V``; the heads are
    joined and multiplied by W_o. Scores are normalised in float32 in every precision.

    Args:
        heads: number of heads.
        head_size: width of a head of V.
        out_dim: width of the output; None is ``heads * head_size``.
        key_size: width of a head of Q and K; None is ``head_size``.
        use_bias: biases in the four projections.
        normalization: "softmax", "squared_relu" or "softmax_plus"; see ``attention_normalize``.
        attention_scale: divide the scores by ``sqrt(key_size)``.
        attention_dropout: rate of dropout on the weights A; None or 0 is none.
        return_attention_scores: also return the scores.
        kernel_initializer: of the four projections.

    Inputs:
        query: (batch, query, dim).
        key, value: (batch, key, dim); None means self-attention (key=query, value=key). The three
            may also come as one list, ``layer([query, key, value])``.
        attention_bias: bool (True may be looked at) or float (added to the scores), of shape
            (query, key), (batch or 1, query, key) or (batch or 1, heads or 1, query, key).
        residual_scores: the scores another attention layer returned, added to this one's
            (RealFormer, arXiv 2012.11747).
        position_bias: float (batch or 1, heads or 1, query, key), added to ``Q K^T`` before the
            scale (T5's relative positions; see RelativePositionEmbeddingT5).
        relative_embeddings: r, (query, key, size) or (batch, query, key, size) with size =
            key_size: ``Q_i r_ij`` is added to ``Q_i K_j``, and ``A_ij r_ij`` to the
            output (NEZHA; see RelativePositionEmbedding). Faster for the scores is its table,
            (2 * reach + 1, size), a row for each clipped distance, where queries are the first of
            the keys (or stand at the places of the cache).
        rotary: sin and cos by turns, (batch or 1, length, key_size): turns Q and K (RoFormer; see
            RotaryEmbedding). Narrower ones turn the first channels only.
        key_rotary: the same for K, where keys stand at other places than queries.
        value_rotary: the same for V; None does not turn it.
        relative_values: r of the output, (..., head_size); None is ``relative_embeddings``.
        cache, cache_index: what decoding token by token keeps: the pair of ``cache.empty_cache``,
            and the place in it of the first query, an int tensor. The queries' own keys and values
            are written there; without an index none are (the encoder's, in cross-attention).
            Masks and biases then count the places of the cache as keys, ``rotary`` those of the
            queries.
        visible_places: bool (batch or 1, query, places): which places of the cache each query looks
            at; None is all up to its own, or without an index all.
        position_ids, key_position_ids: (batch or 1, query) and (batch or 1, places), where the
            places of the cache are not the positions; what ``relative_embeddings`` as a table
            needs.
        return_cache: without a cache, return one of the keys and values.

    Output: (batch, query, out_dim); with ``return_attention_scores`` also the scaled scores
    before bias and mask, (batch, heads, query, key); with a cache, last, the new cache.

    Masks, carried by the inputs or given as ``query_mask``, ``key_mask`` and ``value_mask`` (or in
        a list, as ``mask``, where the inputs are one): a key is looked at where both the mask of
        ``key`` and that of ``value`` allow it, as in Keras; ``mask`` or ``query_mask`` is that of
        the keys as well in self-attention. The output carries the mask of ``query``. A query all of
        whose keys are masked gets a finite average of the values.

    Raises:
        ValueError: for an unknown normalization, a list of more than three inputs, or one mask
            beside a list.

    Example:

    >>> layer = MultiHeadAttention(heads=2, head_size=4)
    >>> tuple(layer(ops.ones((1, 3, 8))).shape)
    (1, 3, 8)

    Source: arXiv 1706.03762. The projections are Dense layers q, k, v and o, so LoRA and
    quantization work on them.
    """

    def __init__(
        self,
        heads,
        head_size,
        out_dim=None,
        key_size=None,
        use_bias=True,
        normalization="softmax",
        attention_scale=True,
        attention_dropout=None,
        return_attention_scores=False,
        kernel_initializer="glorot_uniform",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.heads = heads
        self.head_size = head_size
        self.out_dim = out_dim or heads * head_size
        self.key_size = key_size or head_size
        self.use_bias = use_bias
        self.normalization = normalization
        self.attention_scale = attention_scale
        self.attention_dropout = attention_dropout
        self.return_attention_scores = return_attention_scores
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.q = self._dense("q", heads * self.key_size)
        self.k = self._dense("k", heads * self.key_size)
        self.v = self._dense("v", heads * head_size)
        self.o = self._dense("o", self.out_dim)
        if attention_dropout:
            self.dropout = Dropout(attention_dropout, dtype=self.dtype_policy)

    def _dense(self, name, units):
        return Dense(
            units,
            use_bias=self.use_bias,
            # A shared initializer object would give every projection the same values.
            kernel_initializer=self.kernel_initializer.clone(),
            dtype=self.dtype_policy,
            name=name,
        )

    def build(self, query_shape, key_shape=None, value_shape=None, **other_shapes):
        if isinstance(query_shape[0], (list, tuple)):
            query_shape, key_shape, value_shape = three_inputs(query_shape)
        key_shape = key_shape or query_shape
        value_shape = value_shape or key_shape
        self.q.build(query_shape)
        self.k.build(key_shape)
        self.v.build(value_shape)
        self.o.build((*query_shape[:-1], self.heads * self.head_size))

    @recompute_grad
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
        position_bias=None,
        relative_embeddings=None,
        rotary=None,
        key_rotary=None,
        value_rotary=None,
        relative_values=None,
        cache=None,
        cache_index=None,
        visible_places=None,
        position_ids=None,
        key_position_ids=None,
        return_cache=False,
        training=None,
    ):
        in_list = isinstance(query, (list, tuple))
        masks = three_masks(mask, query_mask, key_mask, value_mask, in_list)
        if in_list:
            query, key, value = three_inputs(query)
        relative_values = relative_embeddings if relative_values is None else relative_values
        if cache is not None:
            allowed, ids = (
                mask_of_keys(query, query, None, *masks[1:]), (position_ids, key_position_ids)
            )  # fmt: skip
            return self._with_cache(
                query, cache, cache_index, visible_places, allowed, attention_bias, residual_scores,
                position_bias, relative_embeddings, rotary, value_rotary, relative_values, ids,
            )  # fmt: skip
        allowed = mask_of_keys(key, value, *masks)
        key = query if key is None else key
        value = key if value is None else value
        keys = self.keys(key, rotary if key_rotary is None else key_rotary)
        values = self.values(value, value_rotary)
        scores = self._scores(self.queries(query, rotary), keys, position_bias, relative_embeddings)
        biased = scores if residual_scores is None else scores + residual_scores
        weights = attention_normalize(biased, allowed, self.normalization, attention_bias, training)
        if self.attention_dropout:
            weights = self.dropout(weights, training=training)
        outputs = self.o(self._averages(weights, values, relative_values))
        return self._outputs(outputs, scores, (keys, values) if return_cache else None)

    def _outputs(self, outputs, scores, cache):
        more = [scores] if self.return_attention_scores else []
        more += [] if cache is None else [cache]
        return (outputs, *more) if more else outputs

    def attention_scores(self, query, key, rotary=None, key_rotary=None):
        """Scaled scores of contents, without biases: (batch, heads, query, key)."""
        key_rotary = rotary if key_rotary is None else key_rotary
        return self._scores(self.queries(query, rotary), self.keys(key, key_rotary))

    @property
    def scale(self):
        """What scores are multiplied by."""
        return self.key_size**-0.5 if self.attention_scale else 1.0

    def queries(self, query, rotary=None):
        """Projected, turned and scaled: (batch, heads, query, key_size)."""
        query = self.by_head(self.q(query))
        # Scaling the queries (and the bias) costs less than scaling the scores.
        if rotary is not None:
            return rotate(query, rotary, self.scale if self.attention_scale else None)
        return query * self.scale if self.attention_scale else query

    def keys(self, key, rotary=None):
        """Projected and turned: (batch, heads, key, key_size)."""
        key = self.by_head(self.k(key))
        return key if rotary is None else rotate(key, rotary)

    def values(self, value, rotary=None):
        """Projected, and turned where asked for: (batch, heads, key, head_size)."""
        value = self.by_head(self.v(value))
        return value if rotary is None else rotate(value, rotary)

    def _scores(self, query, keys, position_bias=None, relative_embeddings=None, ids=(None, None)):
        """Scaled scores: (batch, heads, query, key)."""
        # TensorFlow transposes within the product.
        scores = ops.matmul(query, ops.transpose(keys, (0, 1, 3, 2)))
        if relative_embeddings is not None:
            relative = ops.cast(relative_embeddings, query.dtype)
            scores = scores + relative_scores(query, relative, ops.shape(scores)[-1], *ids)
        if position_bias is not None:
            bias = ops.cast(position_bias, scores.dtype)
            scores = scores + (bias * self.scale if self.attention_scale else bias)
        return scores

    def _averages(self, weights, values, relative_values=None, ids=(None, None)):
        """Averages of the values, heads joined: (batch, query, heads * head_size)."""
        context = ops.matmul(weights, values)  # (batch, heads, query, size)
        if relative_values is not None:
            relative_values = ops.cast(relative_values, weights.dtype)
            context = context + relative_context(weights, relative_values, *ids)
        context = swapped(context)
        length = ops.shape(context)[1]
        return ops.reshape(context, (-1, length, self.heads * self.head_size))

    def _with_cache(
        self, query, cache, index, places, allowed, attention_bias, residual_scores,
        position_bias, relative_embeddings, rotary, value_rotary, relative_values, ids,
    ):  # fmt: skip
        """Attention of a few queries to all that is in the cache, and with an index themselves."""
        length, total = ops.shape(query)[1], ops.shape(cache[0])[2]
        if index is not None:
            own = self.keys(query, rotary), self.values(query, value_rotary)
            cache = write_to_cache(cache, *own, index)
            places = readable(length, total, index) if places is None else places
        queries = self.queries(query, rotary)
        keys, values = (ops.cast(x, queries.dtype) for x in cache)
        if ids[0] is None and index is not None:  # the places are the positions
            ids = (index + ops.arange(length))[None], ops.arange(total)[None]
        scores = self._scores(queries, keys, position_bias, relative_embeddings, ids)
        biased = scores if residual_scores is None else scores + residual_scores
        if places is not None:
            attention_bias = restricted(attention_bias, places, len(scores.shape))
        weights = attention_normalize(biased, allowed, self.normalization, attention_bias, False)
        outputs = self.o(self._averages(weights, values, relative_values, ids))
        return self._outputs(outputs, scores, cache)

    def split_heads(self, x):
        """(batch, length, heads * size) -> (batch, length, heads, size)."""
        return ops.reshape(x, (-1, ops.shape(x)[1], self.heads, x.shape[-1] // self.heads))

    def by_head(self, x):
        """(batch, length, heads * size) -> (batch, heads, length, size)."""
        return swapped(self.split_heads(x))

    def compute_mask(self, query, previous_mask=None):
        if isinstance(query, (list, tuple)) and previous_mask is not None:
            previous_mask = previous_mask[0]
        return [previous_mask, None] if self.return_attention_scores else previous_mask

    def compute_output_shape(
        self, query_shape, key_shape=None, value_shape=None, cache_shape=None, **other_shapes
    ):
        if isinstance(query_shape[0], (list, tuple)):
            query_shape, key_shape, _ = three_inputs(query_shape)
        outputs = [(*query_shape[:-1], self.out_dim)]
        if self.return_attention_scores:
            length = cache_shape[0][2] if cache_shape else (key_shape or query_shape)[1]
            outputs.append((query_shape[0], self.heads, query_shape[1], length))
        if cache_shape:
            outputs.append(cache_shape)
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def get_config(self):
        return {
            **super().get_config(),
            "heads": self.heads,
            "head_size": self.head_size,
            "out_dim": self.out_dim,
            "key_size": self.key_size,
            "use_bias": self.use_bias,
            "normalization": self.normalization,
            "attention_scale": self.attention_scale,
            "attention_dropout": self.attention_dropout,
            "return_attention_scores": self.return_attention_scores,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }
