"""RoBERTa and XLM-RoBERTa as their authors made them; Chinese RoBERTa-wwm is a BERT."""

import keras
from keras import ops

from bert4keras_ext.backend.registration import register
from bert4keras_ext.backend.tensors import checked_length
from bert4keras_ext.layers import Layer, PositionEmbedding
from bert4keras_ext.models.bert import BERT
from bert4keras_ext.models.checks import check_length_in_reach
from bert4keras_ext.models.ernie import TaskEmbedding

# What transformers assumes where a config.json is silent. The head's activation is always this.
HUGGING_FACE_DEFAULTS = {"hidden_act": "gelu", "layer_norm_eps": 1e-12, "pad_token_id": 1}


class RoBERTa(BERT):
    """BERT whose positions count real tokens only, from ``pad_token_id + 1`` on.

    Args:
        pad_token_id: 1 in all published models; pad with it: ``sequence_padding(ids, value=1)``.
        max_position: rows of the position table, of which the first ``pad_token_id + 1`` serve no
            token: 514 for texts of up to 512.
        segment_vocab_size: with 1, as in all published models, there is no segment input.
        custom_position_ids: take position ids, rows of the table, as the last input.
        **kwargs: those of BERT. There is no next-sentence head.

    Inputs: token ids, (segment ids), (position ids), each int (batch, length). Outputs: as BERT.

    Raises:
        ValueError: for with_nsp, and for inputs longer than the positions.

    Source: arXiv 1907.11692, 1911.02116.
    """

    family = "xlm_roberta"

    def __init__(self, pad_token_id=1, segment_vocab_size=1, with_nsp=False, **kwargs):
        if with_nsp:
            raise ValueError(
                f"RoBERTa was not trained on sentence pairs: expected no with_nsp, received "
                f"{with_nsp!r}; with_pool=True gives the pooled vector"
            )
        self.one_segment = segment_vocab_size == 1
        segments = 0 if self.one_segment else segment_vocab_size
        super().__init__(pad_token_id=pad_token_id, segment_vocab_size=segments, **kwargs)
        # The checkpoint's id, whatever row the padding has after keep_tokens.
        self.first_position = max(pad_token_id, 0) + 1

    @classmethod
    def adapt_config(cls, config):
        known = super().adapt_config(config)
        if config.get("model_type") in ("roberta", "xlm-roberta"):
            known = {**HUGGING_FACE_DEFAULTS, **known}
        return known

    def apply_position_embedding(self, x):
        reach = self.max_position**2 if self.hierarchical_position else self.max_position
        check_length_in_reach(self.sequence_length, reach - self.first_position)
        ids = self.position_ids
        if ids is None:
            ids = self.apply(
                self.tokens,
                RealTokenPositions,
                first=self.first_position,
                limit=reach - self.first_position,
                padding_id=self.pad_token_id,
                name="Embedding-Position-Ids",
            )
        x = self.apply(
            x,
            PositionEmbedding,
            arguments={"position_ids": ids},
            input_dim=self.max_position,
            output_dim=self.embedding_size,
            hierarchical=self.hierarchical_position,
            embeddings_initializer=self.initializer,
            custom_position_ids=True,
            name="Embedding-Position",
        )
        if not self.one_segment:
            return x
        return self.apply(
            x,
            TaskEmbedding,
            input_dim=1,
            embeddings_initializer=self.initializer,
            name="Embedding-Segment",
        )

    def _activation(self):
        return "gelu"


@register
class RealTokenPositions(Layer):
    """The running number of each token that is no padding, from ``first`` on.

    Padding has position ``first - 1``.

    Args:
        first: position of the first token.
        limit: the most tokens there are positions for.
        padding_id: the id of padding.

    Inputs: token ids (batch, length); output: int32 of the same shape.

    Example:

    >>> ops.convert_to_numpy(RealTokenPositions()(ops.array([[5, 7, 1]]))).tolist()
    [[2, 3, 1]]
    """

    def __init__(self, first=2, limit=512, padding_id=1, **kwargs):
        super().__init__(**kwargs)
        self.first = first
        self.limit = limit
        self.padding_id = padding_id

    def call(self, inputs):
        inputs = checked_length(
            ops.shape(inputs)[1], self.limit,
            "RoBERTa knows positions for {limit} tokens, received an input of length {length}: "
            "shorten the text (maxlen), or pass a larger max_position",
            inputs,
        )  # fmt: skip
        real = ops.cast(ops.not_equal(inputs, self.padding_id), "int32")
        return ops.cumsum(real, axis=1) * real + (self.first - 1)

    def compute_mask(self, inputs, previous_mask=None):
        return None

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(inputs.shape, dtype="int32")

    def get_config(self):
        return {
            **super().get_config(),
            "first": self.first,
            "limit": self.limit,
            "padding_id": self.padding_id,
        }
