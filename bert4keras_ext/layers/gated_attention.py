"""The gated attention unit: one layer in place of attention and feed-forward."""

import keras
from keras import ops

from bert4keras_ext.backend.activations import get_activation, serialize_activation
from bert4keras_ext.backend.masking import attention_normalize, check_normalization, restricted
from bert4keras_ext.backend.recompute import recompute_grad
from bert4keras_ext.backend.registration import register
from bert4keras_ext.layers.attention import mask_of_keys, rotate, three_inputs, three_masks
from bert4keras_ext.layers.base import Layer
from bert4keras_ext.layers.cache import readable, write_to_cache
from bert4keras_ext.layers.dense import Dense
from bert4keras_ext.layers.dropout import Dropout
from bert4keras_ext.layers.normalization import ScaleOffset


@register
class GatedAttentionUnit(Layer):
    """Attention with a single head, whose result is gated: ``O = W_o (U * (A V))``.

    ``A = normalize(Q K^T / sqrt(key_size) + bias)``. In the self-attention form one projection
    makes all of ``[U, V, Z] = f(W_i X)``, and Q and K are two cheap scalings of Z, ``Z * gamma +
    beta``. In the cross form ``[U, Q] = f(W_uq X)``, ``K = f(W_k Y)`` and ``V = f(W_v Y)``. Two
    such layers cost about as much as one of attention and one of feed-forward.

    Args:
        units: width of U and V.
        key_size: width of Q and K.
        activation: f.
        use_bias: biases in the projections, and the offsets beta of Q and K.
        normalization: "squared_relu", "softmax" or "softmax_plus"; see ``attention_normalize``.
        self_attention: False for the cross form, which needs keys.
        attention_scale: divide the scores by ``sqrt(key_size)``.
        attention_dropout: rate of dropout on the weights A; None or 0 is none.
        return_attention_scores: also return the scores.
        kernel_initializer: of the projections.

    Inputs:
        query: X, (batch, query, dim).
        key, value: (batch, key, any dim), value=key if None. In the self-attention form they are
            optional, of width dim, and go through the same projection as X: a longer sequence of
            which X is a part, for instance. A list ``[query, key, value]`` is accepted.
        attention_bias: bool (True may be looked at) or float (added to the scores), of shape
            (query, key), (batch or 1, query, key) or (batch or 1, 1, query, key).
        residual_scores: the scores another such layer returned, added to this one's.
        position_bias: float (batch or 1, 1, query, key), added to ``Q K^T`` before the scale.
        rotary: sin and cos by turns, (batch or 1, length, key_size): turns Q and K; see
            RotaryEmbedding. Narrower ones turn the first channels only.
        key_rotary: the same for K, where keys stand at other places than queries.
        cache, cache_index, visible_places, return_cache: as for MultiHeadAttention, in the
            self-attention form; keys (batch, 1, places, key_size), values (..., units).

    Output: (batch, query, dim); with ``return_attention_scores`` also the scaled scores before
    bias and mask, (batch, 1, query, key); with a cache, last, the new cache.

    Masks: as for MultiHeadAttention. A query all of whose keys are masked gets a finite result.

    Raises:
        ValueError: for an unknown normalization or activation, or the cross form without keys.

    Example:

    >>> layer = GatedAttentionUnit(units=16, key_size=4)
    >>> tuple(layer(ops.ones((1, 3, 8))).shape)
    (1, 3, 8)

    Source: arXiv 2202.10447; article 8934. The projections are Dense layers, so LoRA
    and quantization work on them.
    """

    def __init__(
        self,
        units,
        key_size,
        activation="swish",
        use_bias=True,
        normalization="squared_relu",
        self_attention=True,
        attention_scale=True,
        attention_dropout=None,
        return_attention_scores=False,
        kernel_initializer="glorot_uniform",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.units = units
        self.key_size = key_size
        self.activation = get_activation(activation)
        self.use_bias = use_bias
        self.normalization = check_normalization(normalization)
        self.self_attention = self_attention
        self.attention_scale = attention_scale
        self.attention_dropout = attention_dropout
        self.return_attention_scores = return_attention_scores
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        if self_attention:
            self.i_dense = self._dense("i_dense", 2 * units + key_size, self.activation)
            self.q_scaleoffset = self._scale_offset("q_scaleoffset")
            self.k_scaleoffset = self._scale_offset("k_scaleoffset")
        else:
            self.uq_dense = self._dense("uq_dense", units + key_size, self.activation)
            self.k_dense = self._dense("k_dense", key_size, self.activation)
            self.v_dense = self._dense("v_dense", units, self.activation)
        if attention_dropout:
            self.dropout = Dropout(attention_dropout, dtype=self.dtype_policy)

    def _dense(self, name, units, activation=None):
        return Dense(
            units,
            activation=activation,
            use_bias=self.use_bias,
            # A shared initializer object would give every projection the same values.
            kernel_initializer=self.kernel_initializer.clone(),
            dtype=self.dtype_policy,
            name=name,
        )

    def _scale_offset(self, name):
        return ScaleOffset(offset=self.use_bias, dtype=self.dtype_policy, name=name)

    def build(self, query_shape, key_shape=None, value_shape=None, **other_shapes):
        if isinstance(query_shape[0], (list, tuple)):
            query_shape, key_shape, value_shape = three_inputs(query_shape)
        key_shape = key_shape or query_shape
        if self.self_attention:
            self.i_dense.build(query_shape)
            self.q_scaleoffset.build((*query_shape[:-1], self.key_size))
            self.k_scaleoffset.build((*key_shape[:-1], self.key_size))
        else:
            self.uq_dense.build(query_shape)
            self.k_dense.build(key_shape)
            self.v_dense.build(value_shape or key_shape)
        self.o_dense = self._dense("o_dense", query_shape[-1])
        self.o_dense.build((*query_shape[:-1], self.units))

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
        rotary=None,
        key_rotary=None,
        cache=None,
        cache_index=None,
        visible_places=None,
        return_cache=False,
        training=None,
    ):
        in_list = isinstance(query, (list, tuple))
        masks = three_masks(mask, query_mask, key_mask, value_mask, in_list)
        if in_list:
            query, key, value = three_inputs(query)
        u, q, k, v = self.project(query, key, value, training)
        q, own = self._queries(q, rotary), (self._keys(k, rotary, key_rotary), v[:, None])
        if cache is not None:
            allowed = mask_of_keys(query, query, None, *masks[1:])
            own, visible_places = self._read(cache, own, cache_index, visible_places)
            attention_bias = restricted(attention_bias, visible_places, 4)
        else:
            allowed = mask_of_keys(key, value, *masks)
        keys, values = (ops.cast(x, q.dtype) for x in own)
        scores = self._biased_scores(q, keys, position_bias)
        biased = scores if residual_scores is None else scores + residual_scores
        # (bert4keras masks with the queries' mask in the cross form as well, where it cannot fit.)
        weights = attention_normalize(biased, allowed, self.normalization, attention_bias, training)
        if self.attention_dropout:
            weights = self.dropout(weights, training=training)
        outputs = [self.o_dense(u * ops.matmul(weights, values)[:, 0])]
        outputs += [scores] if self.return_attention_scores else []
        outputs += [own] if cache is not None or return_cache else []
        return tuple(outputs) if len(outputs) > 1 else outputs[0]

    def _read(self, cache, own, index, places):
        """The cache with the queries' own, and which places each query looks at."""
        cache = write_to_cache(cache, *own, index)
        if places is None:
            places = readable(ops.shape(own[0])[2], ops.shape(cache[0])[2], index)
        return cache, places

    def project(self, query, key=None, value=None, training=None):
        """(U, Q, K, V) from the inputs."""
        if not self.self_attention:
            if key is None:
                raise ValueError(
                    f"{self.name} was made with self_attention=False and received no keys: "
                    "call layer(query, key, value), or make it with self_attention=True"
                )
            u, q = ops.split(self.uq_dense(query, training=training), [self.units], axis=-1)
            k = self.k_dense(key, training=training)
            return u, q, k, self.v_dense(key if value is None else value, training=training)
        u, v, z = self._shared_projection(query, training)
        q = self.q_scaleoffset(z)
        if key is not None:
            _, v, z = self._shared_projection(key, training)
        if value is not None and value is not key:
            _, v, _ = self._shared_projection(value, training)
        return u, q, self.k_scaleoffset(z), v

    def _shared_projection(self, x, training):
        return ops.split(self.i_dense(x, training=training), [self.units, 2 * self.units], axis=-1)

    def attention_scores(self, q, k, position_bias=None, rotary=None, key_rotary=None):
        """Scaled scores, with an axis for the only head: (batch, 1, query, key)."""
        keys = self._keys(k, rotary, key_rotary)
        return self._biased_scores(self._queries(q, rotary), keys, position_bias)

    def _queries(self, q, rotary):
        """Turned and scaled: (batch, 1, query, key_size)."""
        scale = self.key_size**-0.5 if self.attention_scale else None
        if rotary is not None:
            return rotate(q, rotary, scale)[:, None]
        return (q if scale is None else q * scale)[:, None]

    def _keys(self, k, rotary, key_rotary=None):
        """Turned: (batch, 1, key, key_size)."""
        if rotary is None:
            return k[:, None]
        return rotate(k, rotary if key_rotary is None else key_rotary)[:, None]

    def _biased_scores(self, queries, keys, position_bias=None):
        scores = ops.matmul(queries, ops.transpose(keys, (0, 1, 3, 2)))
        if position_bias is None:
            return scores
        position_bias = ops.cast(position_bias, scores.dtype)
        return scores + position_bias * (self.key_size**-0.5 if self.attention_scale else 1.0)

    def compute_mask(self, query, previous_mask=None):
        if isinstance(query, (list, tuple)) and previous_mask is not None:
            previous_mask = previous_mask[0]
        return [previous_mask, None] if self.return_attention_scores else previous_mask

    def compute_output_shape(
        self, query_shape, key_shape=None, value_shape=None, cache_shape=None, **other_shapes
    ):
        if isinstance(query_shape[0], (list, tuple)):
            query_shape, key_shape, _ = three_inputs(query_shape)
        outputs = [tuple(query_shape)]
        if self.return_attention_scores:
            length = cache_shape[0][2] if cache_shape else (key_shape or query_shape)[1]
            outputs.append((query_shape[0], 1, query_shape[1], length))
        if cache_shape:
            outputs.append(cache_shape)
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "key_size": self.key_size,
            "activation": serialize_activation(self.activation),
            "use_bias": self.use_bias,
            "normalization": self.normalization,
            "self_attention": self.self_attention,
            "attention_scale": self.attention_scale,
            "attention_dropout": self.attention_dropout,
            "return_attention_scores": self.return_attention_scores,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }
