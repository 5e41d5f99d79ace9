"""DeBERTa-v2 and -v3, such as Erlangshen-DeBERTa-v2 and mDeBERTa-v3."""

import keras

from bert4keras_ext.backend.activations import get_activation
from bert4keras_ext.layers import (
    Add,
    DisentangledAttention,
    LayerNormalization,
    MaskedConv1D,
    RelativePositionTable,
)
from bert4keras_ext.models.bert import BERT
from bert4keras_ext.models.checks import check_rates, check_sizes


class DeBERTaV2(BERT):
    """DeBERTa-v2 and -v3: relative positions by disentangled attention.

    Beside BERT: attention adds "c2p" and "p2c" terms with one normalised table of relative
    positions for all layers (see DisentangledAttention); norms come after the mapping of the
    embeddings, which has no bias; and some sizes put a convolution beside the first layer.

    Args: keys of config.json, with the defaults they have there. The sizes and options of BERT,
        relative_attention: relative positions at all.
        pos_att_type: terms of the scores, a list of "c2p" and "p2c" or a string "p2c|c2p".
        position_buckets: buckets of distances in each direction; below 1 there are none.
        max_relative_positions: distances up to this are told apart; below 1 is ``max_position``.
        share_att_key: positions go through the projections of the keys and queries.
        norm_rel_ebd: "layer_norm" normalises the table of positions, "none" does not.
        position_biased_input: add trained absolute positions too, at most ``max_position``.
        conv_kernel_size, conv_act, conv_groups: of the convolution; size 0 is none.
        pooler_hidden_act, pooler_dropout: of the pooler; with_pool=True means this activation.
        legacy: which names the MLM head gets when it is written for Hugging Face,
            ``cls.predictions`` or else ``lm_predictions.lm_head``. Both are read.
        tie_word_embeddings: False is refused where the MLM head would have a table of its own.

    Inputs: token ids, (segment ids, if ``segment_vocab_size``, 0 here by default), (position
    ids). Position ids count for relative positions as well.

    Outputs: as BERT's. Without position_biased_input a text may have any length.

    Raises:
        ValueError: for settings that no DeBERTa-v2 has, or a language model with a convolution.

    Source: arXiv 2006.03654, 2111.09543.
    """

    family = "deberta_v2"
    config_defaults = {"segment_vocab_size": 0}
    embedding_norm_epsilon = layer_norm_epsilon = head_norm_epsilon = 1e-7

    def __init__(
        self,
        max_position,
        relative_attention=False,
        pos_att_type=(),
        position_buckets=-1,
        max_relative_positions=-1,
        share_att_key=False,
        norm_rel_ebd="none",
        position_biased_input=True,
        conv_kernel_size=0,
        conv_act="tanh",
        conv_groups=1,
        pooler_hidden_act="gelu",
        pooler_hidden_size=None,
        pooler_dropout=0,
        legacy=True,
        tie_word_embeddings=True,
        **kwargs,
    ):
        super().__init__(max_position, **kwargs)
        self.relative_attention = relative_attention
        self.terms = words_of(pos_att_type or (), "pos_att_type", ("c2p", "p2c"))
        self.buckets = position_buckets if position_buckets > 0 else None
        self.max_distance = (
            max_relative_positions if max_relative_positions > 0 else self.max_position
        )
        self.share_att_key = share_att_key
        norms = words_of(norm_rel_ebd or "none", "norm_rel_ebd", ("none", "layer_norm"))
        self.normalize_positions = "layer_norm" in norms
        self.position_biased_input = position_biased_input
        self.conv_kernel_size = conv_kernel_size
        self.conv_act = conv_act
        self.conv_groups = conv_groups
        self.pooler_dropout = pooler_dropout
        check_rates(pooler_dropout=pooler_dropout)
        get_activation(pooler_hidden_act)
        if self.with_pool is True:
            self.with_pool = pooler_hidden_act
        if not legacy:
            self.family = "deberta_v2_lm_head"
        self._check_convolution()
        self._check_heads(pooler_hidden_size, legacy, tie_word_embeddings)

    def _check_convolution(self):
        if not self.conv_kernel_size:
            return
        check_sizes(conv_kernel_size=self.conv_kernel_size, conv_groups=self.conv_groups)
        get_activation(self.conv_act)
        if self.conv_kernel_size % 2 == 0:
            raise ValueError(
                "conv_kernel_size expects an odd number, so that the length stays, or 0 for no "
                f"convolution; received {self.conv_kernel_size}"
            )
        if self.hidden_size % self.conv_groups:
            raise ValueError(
                f"conv_groups expects a divisor of hidden_size={self.hidden_size}, "
                f"received {self.conv_groups}"
            )

    def _check_heads(self, pooler_hidden_size, legacy, tied):
        if self.with_pool and pooler_hidden_size not in (None, self.hidden_size):
            raise ValueError(
                f"pooler_hidden_size expects hidden_size={self.hidden_size}, "
                f"received {pooler_hidden_size}"
            )
        if self.with_mlm and not legacy and self.embedding_size != self.hidden_size:
            raise ValueError(
                f"legacy=False expects embedding_size=hidden_size={self.hidden_size} for its MLM "
                f"head, received embedding_size={self.embedding_size}: set legacy=True"
            )
        if self.with_mlm and legacy and not tied:
            raise ValueError(
                "the MLM head multiplies by the word table: expected tie_word_embeddings=True (or "
                "legacy=False), found False: leave with_mlm out, or set it if the tables are equal"
            )

    def apply_position_embedding(self, x):
        return super().apply_position_embedding(x) if self.position_biased_input else x

    def finish_embeddings(self, x):
        x = self.apply_embedding_mapping(x)
        x = self.apply_norm(x, "Embedding-Norm", self.embedding_norm_epsilon)
        return self.apply_dropout(x, "Embedding-Dropout")

    def apply_embedding_mapping(self, x):
        if self.embedding_size == self.hidden_size:
            return x
        return self.apply_dense(x, self.hidden_size, "Embedding-Mapping", use_bias=False)

    def apply_attention(self, inputs, name, arguments):
        return super().apply_attention(
            inputs,
            name,
            arguments,
            DisentangledAttention,
            terms=self.terms,
            buckets=self.buckets,
            max_distance=self.max_distance,
            # Without relative positions there is nothing else to project.
            share_projections=self.share_att_key or not self.relative_attention,
            position_dropout=self.dropout_rate,
        )

    def compute_position_bias(self, inputs=None):
        if not self.relative_attention:
            return {}
        if self.position_bias is None:
            self.position_bias = self.apply_relative_positions()
        return {"relative_embeddings": self.position_bias, "position_ids": self.position_ids}

    def apply_relative_positions(self):
        """The table of relative positions, the same for all layers."""
        table = self.apply(
            self.tokens,
            RelativePositionTable,
            input_dim=2 * (self.buckets or self.max_distance),
            output_dim=self.hidden_size,
            embeddings_initializer=self.initializer,
            name="Embedding-Relative-Position",
        )
        if not self.normalize_positions:
            return table
        # Never conditional: one table serves all texts of a batch, each with its own condition.
        return self.apply(
            table,
            LayerNormalization,
            epsilon=self.embedding_norm_epsilon,
            name="Embedding-Relative-Position-Norm",
        )

    def apply_main_layers(self, inputs, index):
        x = super().apply_main_layers(inputs, index)
        return self.apply_convolution(inputs, x) if index == 0 and self.conv_kernel_size else x

    def apply_convolution(self, inputs, x):
        """``Norm(x + act(Dropout(conv(inputs))))`` beside the first layer, whose output is x."""
        if self.compute_attention_bias(0) is not None:
            raise ValueError(
                f"a convolution sees the tokens that a language model is to predict: expected "
                f"conv_kernel_size=0 for application 'lm' and 'unilm', found "
                f"{self.conv_kernel_size}"
            )
        name = f"{self.block_name(0)}-Convolution"
        y = self.apply_norm(inputs, f"{name}-Norm") if self.pre_norm else inputs
        y = self.apply(
            y,
            MaskedConv1D,
            filters=self.hidden_size,
            kernel_size=self.conv_kernel_size,
            groups=self.conv_groups,
            kernel_initializer=self.initializer,
            name=name,
        )
        y = self.apply_dropout(y, f"{name}-Dropout")
        activation = get_activation(self.conv_act)
        y = self.apply(y, keras.layers.Activation, activation=activation, name=f"{name}-Activation")
        x = self.apply([x, y], Add, name=f"{name}-Add")
        return x if self.pre_norm else self.apply_norm(x, f"{name}-Norm")

    def apply_pooler(self, x):
        if self.pooler_dropout:
            rate = self.pooler_dropout
            x = self.apply(x, keras.layers.Dropout, rate=rate, name="Pooler-Dropout")
        return super().apply_pooler(x)


def words_of(value, key, known):
    """["c2p", "p2c"] from such a list or from "c2p|p2c".

    Raises:
        ValueError: for a word that is not among the known ones.
    """
    words = value.lower().split("|") if isinstance(value, str) else value
    words = [word.strip() for word in words if word.strip()]
    if not set(words) <= set(known):
        raise ValueError(f"{key} expects some of {list(known)}, received {value!r}")
    return words
