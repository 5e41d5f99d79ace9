"""Attention masks that turn an encoder into a language model (LM) or a seq2seq model (UniLM)."""

from keras import ops

from bert4keras_ext.backend.registration import register
from bert4keras_ext.layers import Layer


@register
class CausalMask(Layer):
    """True where key <= query.

    With position ids a key is also False where padding on the left shows in them: where its token
    is padding and its position not before that of the next token. Embedding never masks the first
    place, so this is what hides it there.

    Inputs: token ids (batch, length), and optionally position ids (batch, length); output: bool
    (1 or, with position ids, batch, length, length).

    Args:
        padding_id: the id of padding.

    Example:

    >>> ops.convert_to_numpy(CausalMask()(ops.ones((1, 2)))).tolist()
    [[[True, False], [True, True]]]
    """

    def __init__(self, padding_id=0, **kwargs):
        super().__init__(**kwargs)
        self.padding_id = padding_id

    def call(self, inputs, position_ids=None):
        places = ops.arange(ops.shape(inputs)[1])
        causal = places[None, None, :] <= places[None, :, None]
        if position_ids is None:
            return causal
        padding = _padded_on_the_left(inputs, position_ids, self.padding_id)
        return ops.logical_and(causal, ops.logical_not(padding)[:, None, :])

    def compute_mask(self, inputs, previous_mask=None):
        return None

    def compute_output_shape(self, inputs_shape, position_ids_shape=None):
        batch = 1 if position_ids_shape is None else inputs_shape[0]
        return (batch, inputs_shape[1], inputs_shape[1])

    def get_config(self):
        return {**super().get_config(), "padding_id": self.padding_id}


def _padded_on_the_left(tokens, position_ids, padding_id):
    """(batch, length) -> bool (batch, length)."""
    stays = position_ids[:, 1:] <= position_ids[:, :-1]
    stays = ops.pad(stays, ((0, 0), (0, 1)))  # nothing follows the last one
    return ops.logical_and(tokens == padding_id, stays)


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


@register
class LocalMask(Layer):
    """True where a key is at most half a window away: ``|key - query| <= window // 2``.

    Args:
        window: width of the window, both sides together.

    Inputs: anything (batch, length, ...), of which the length is taken, and optionally
    ``allowed``, the bool mask (batch or 1, length, length) of a language model, which is and-ed
    with this one; output: bool (batch or 1, length, length).

    Example:

    >>> ops.convert_to_numpy(LocalMask(window=2)(ops.ones((1, 3)))).tolist()
    [[[True, True, False], [True, True, True], [False, True, True]]]

    Source: arXiv 2004.05150.
    """

    def __init__(self, window, **kwargs):
        super().__init__(**kwargs)
        self.window = window

    def call(self, inputs, allowed=None):
        places = ops.arange(ops.shape(inputs)[1])
        near = ops.abs(places[None, None, :] - places[None, :, None]) <= self.window // 2
        return near if allowed is None else ops.logical_and(near, allowed)

    def compute_mask(self, inputs, previous_mask=None):
        return None

    def compute_output_shape(self, inputs_shape, allowed_shape=None):
        batch = 1 if allowed_shape is None else allowed_shape[0]
        return (batch, inputs_shape[1], inputs_shape[1])

    def get_config(self):
        return {**super().get_config(), "window": self.window}


class LMMixin:
    """Puts a causal mask on every attention layer of a family."""

    def __init__(self, *args, with_mlm=None, **kwargs):
        super().__init__(*args, **_with_mlm(with_mlm, kwargs))

    def compute_attention_bias(self, index=None):
        if self.attention_bias is None:
            # Position ids, where the model takes them, tell padding on the left from a start token.
            ids = getattr(self, "position_ids", None)
            one_axis = ids is not None and len(ids.shape) == 2  # places in an image have no order
            arguments = {"position_ids": ids if one_axis else None}
            self.attention_bias = self.apply(
                self.tokens,
                CausalMask,
                arguments=arguments,
                padding_id=self.pad_token_id,
                name="Attention-LM-Mask",
            )
        return self.attention_bias


class UniLMMixin:
    """Puts the UniLM mask, made from the segment ids, on every attention layer of a family."""

    def __init__(self, *args, with_mlm=None, **kwargs):
        super().__init__(*args, **_with_mlm(with_mlm, kwargs))
        if not self.segment_vocab_size:
            raise ValueError(
                "application='unilm' needs segment ids to tell source from target, but "
                "segment_vocab_size (type_vocab_size) is 0: use application='lm' or set it to 2"
            )

    def compute_attention_bias(self, index=None):
        if self.attention_bias is None:
            self.attention_bias = self.apply(self.segments, UniLMMask, name="Attention-UniLM-Mask")
        return self.attention_bias


def _with_mlm(asked, keywords):
    """The keywords with the MLM head on; where nobody asked for it, the family need not have it."""
    if asked is not None:
        return {**keywords, "with_mlm": asked}
    foreign = {"with_mlm", *(keywords.get("foreign_keys") or ())}
    return {**keywords, "with_mlm": True, "foreign_keys": foreign}


def extend_with_language_model(base):
    """The class ``base`` as a left-to-right language model."""
    return type(f"LM_{base.__name__}", (LMMixin, base), {"__doc__": base.__doc__})


def extend_with_unified_language_model(base):
    """The class ``base`` as a UniLM (seq2seq by mask)."""
    return type(f"UniLM_{base.__name__}", (UniLMMixin, base), {"__doc__": base.__doc__})
