"""Attention masks that turn an encoder into a language model (LM) or a seq2seq model (UniLM)."""

from keras import ops

from bert4keras_ext.backend.registration import register
from bert4keras_ext.layers import Layer


@register
class CausalMask(Layer):
    """True where key <= query.

    Inputs: anything (batch, length, ...); output: bool (1, length, length).

    Example:

    >>> ops.convert_to_numpy(CausalMask()(ops.ones((1, 2)))).tolist()
    [[[True, False], [True, True]]]
    """

    def call(self, inputs):
        places = ops.arange(ops.shape(inputs)[1])
        return places[None, None, :] <= places[None, :, None]

    def compute_mask(self, inputs, previous_mask=None):
        return None

    def compute_output_shape(self, input_shape):
        return (1, input_shape[1], input_shape[1])


@register
class UniLMMask(Layer):
    """Segment 0 sees itself, segment 1 sees segment 0 and, causally, itself.

    With c the running sum of the segment ids: True where ``c[key] <= c[query]``. So all-zero
    segments give full attention, on which the CLUE scripts rely.

    Inputs: segment ids (batch, length); output: bool (batch, length, length).

    Example:

    >>> ops.convert_to_numpy(UniLMMask()(ops.array([[0, 0, 1]]))).tolist()
    [[[True, True, False], [True, True, False], [True, True, True]]]

    Source: arXiv 1905.03197; article 6933.
    """

    def call(self, inputs):
        places = ops.cumsum(ops.cast(inputs, "int32"), axis=1)
        return places[:, None, :] <= places[:, :, None]

    def compute_mask(self, inputs, previous_mask=None):
        return None

    def compute_output_shape(self, input_shape):
        return (input_shape[0], input_shape[1], input_shape[1])


class LMMixin:
    """Puts a causal mask on every attention layer of a family."""

    def __init__(self, *args, with_mlm=True, **kwargs):
        super().__init__(*args, with_mlm=with_mlm or True, **kwargs)

    def compute_attention_bias(self, inputs=None):
        if self.attention_bias is None:
            self.attention_bias = self.apply(self.tokens, CausalMask, name="Attention-LM-Mask")
        return self.attention_bias


class UniLMMixin:
    """Puts the UniLM mask, made from the segment ids, on every attention layer of a family."""

    def __init__(self, *args, with_mlm=True, **kwargs):
        super().__init__(*args, with_mlm=with_mlm or True, **kwargs)
        if not self.segment_vocab_size:
            raise ValueError(
                "application='unilm' needs segment ids to tell source from target, but "
                "segment_vocab_size (type_vocab_size) is 0: use application='lm' or set it to 2"
            )

    def compute_attention_bias(self, inputs=None):
        if self.attention_bias is None:
            self.attention_bias = self.apply(self.segments, UniLMMask, name="Attention-UniLM-Mask")
        return self.attention_bias


def extend_with_language_model(base):
    """The class ``base`` as a left-to-right language model."""
    return type(f"LM_{base.__name__}", (LMMixin, base), {"__doc__": base.__doc__})


def extend_with_unified_language_model(base):
    """The class ``base`` as a UniLM (seq2seq by mask)."""
    return type(f"UniLM_{base.__name__}", (UniLMMixin, base), {"__doc__": base.__doc__})
