"""From a sequence of vectors to one vector, with regard to masks."""

from keras import ops

from bert4keras_ext.backend.masking import sequence_masking
from bert4keras_ext.backend.registration import register
from bert4keras_ext.backend.tensors import neighbours
from bert4keras_ext.layers.base import Layer


class _Pooling1D(Layer):
    """(batch, length, dim) -> (batch, dim); the sequence is gone, and with it its mask."""

    def compute_mask(self, inputs, previous_mask=None):
        return None

    def compute_output_shape(self, input_shape):
        return (input_shape[0], input_shape[-1])


@register
class FirstPooling1D(_Pooling1D):
    """``h_1``: the vector of the first token, [CLS] in BERT.

    Inputs: (batch, length, dim), output (batch, dim). A mask does not matter, and ends here.

    Example:

    >>> tuple(FirstPooling1D()(ops.ones((2, 3, 4))).shape)
    (2, 4)

    Source: arXiv 1810.04805.
    """

    def call(self, inputs):
        return inputs[:, 0]


@register
class GlobalAveragePooling1D(_Pooling1D):
    """``sum_t m_t h_t / sum_t m_t``: the mean over the unmasked positions.

    Inputs: (batch, length, dim) and a mask (batch, length) or None; output (batch, dim). A row
    without any unmasked position gives zeros. The mean is taken in float32.

    Example:

    >>> layer = GlobalAveragePooling1D()
    >>> x = ops.array([[[1.0], [3.0], [9.0]]])
    >>> ops.convert_to_numpy(layer(x, mask=ops.array([[True, True, False]]))).tolist()
    [[2.0]]
    """

    def call(self, inputs, mask=None):
        return ops.cast(_mean(inputs, mask), self.compute_dtype)


def _mean(x, mask):
    """(batch, length, dim) and a mask or None -> (batch, dim), float32."""
    x = ops.cast(x, "float32")
    if mask is None:
        return ops.mean(x, axis=1)
    weights = ops.cast(mask, "float32")[..., None]  # (batch, length, 1)
    return ops.sum(x * weights, axis=1) / ops.maximum(ops.sum(weights, axis=1), 1.0)


@register
class GlobalMaxPooling1D(_Pooling1D):
    """``max_t h_t`` where ``m_t = 1``: the maximum over unmasked positions, for each channel.

    Inputs: (batch, length, dim) and a mask (batch, length) or None; output (batch, dim). A row
    without any unmasked position gives -inf.

    Example:

    >>> layer = GlobalMaxPooling1D()
    >>> x = ops.array([[[1.0], [3.0], [9.0]]])
    >>> ops.convert_to_numpy(layer(x, mask=ops.array([[True, True, False]]))).tolist()
    [[3.0]]
    """

    def call(self, inputs, mask=None):
        return ops.max(sequence_masking(inputs, mask, "-inf", axis=1), axis=1)


@register
class FirstLastAverage(Layer):
    """The mean of the masked means of several layers' states: "first-last-avg" with two of them.

    ``1/L sum_l (sum_t m_t h_lt / sum_t m_t)``.

    Inputs: a list of (batch, length, dim), such as the outputs of the first and the last layer,
    with their masks; output (batch, dim). Means are taken in float32 over unmasked positions.

    Example:

    >>> x = ops.ones((2, 3, 4))
    >>> tuple(FirstLastAverage()([x, 3 * x]).shape)
    (2, 4)

    Source: arXiv 2011.05864; article 8069.
    """

    def call(self, inputs, mask=None):
        masks = [None] * len(inputs) if mask is None else mask
        means = [_mean(x, m) for x, m in zip(inputs, masks)]
        return ops.cast(sum(means) / len(means), self.compute_dtype)

    def compute_mask(self, inputs, previous_mask=None):
        return None

    def compute_output_shape(self, input_shape):
        return (input_shape[0][0], input_shape[0][-1])


@register
class SentencePairFeatures(Layer):
    """``[u; v; |u - v|]`` of two sentence vectors, what Sentence-BERT classifies.

    Inputs: a list [u, v] of (batch, dim), or one tensor (2 * batch, dim) with pairs in
    neighbouring rows; output (batch, 3 * dim), without a mask.

    Raises:
        ValueError: for an odd number of rows in one tensor.

    Example:

    >>> tuple(SentencePairFeatures()(ops.ones((4, 8))).shape)
    (2, 24)

    Source: arXiv 1908.10084; article 8541.
    """

    def call(self, inputs):
        u, v = inputs if isinstance(inputs, (list, tuple)) else neighbours(inputs)
        return ops.concatenate([u, v, ops.abs(u - v)], axis=-1)

    def compute_mask(self, inputs, previous_mask=None):
        return None

    def compute_output_shape(self, input_shape):
        if isinstance(input_shape[0], (list, tuple)):
            return (input_shape[0][0], 3 * input_shape[0][-1])
        rows = input_shape[0]
        return (None if rows is None else rows // 2, 3 * input_shape[-1])
