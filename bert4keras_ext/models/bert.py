"""BERT, and RoBERTa in the Chinese sense (the same architecture)."""

import keras
from keras import layers as keras_layers

from bert4keras_ext.backend.activations import get_activation
from bert4keras_ext.layers import (
    Add,
    Dense,
    Embedding,
    FeedForward,
    FirstPooling1D,
    MultiHeadAttention,
    PositionEmbedding,
    ScaleOffset,
)
from bert4keras_ext.models.base import Transformer


class BERT(Transformer):
    """BERT with every option of bert4keras.

    Args:
        max_position: number of trained positions.
        segment_vocab_size: number of segment types; 0 removes the segment input.
        with_pool: output the pooled [CLS] vector; True is tanh, a name another activation.
        with_nsp: output the next-sentence probabilities (needs, and so makes, the pooler).
        with_mlm: output the masked-language-model head; True is probabilities, "linear" logits.
        hierarchical_position: see PositionEmbedding; positions beyond ``max_position``.
        custom_position_ids: take position ids as a third input.
        shared_segment_embeddings: look segments up in the word table.
        **kwargs: those of Transformer.

    Inputs: token ids, segment ids, (position ids), each int (batch, length). Token 0 is padding.

    Outputs: without a head the encoder's states (batch, length, hidden); with one head only that
    head; with both ``[pool or nsp, mlm]``. Heads end in float32 under mixed precision.

    Source: arXiv 1810.04805.
    """

    family = "bert"

    def __init__(
        self,
        max_position,
        segment_vocab_size=2,
        with_pool=False,
        with_nsp=False,
        with_mlm=False,
        hierarchical_position=None,
        custom_position_ids=False,
        shared_segment_embeddings=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.max_position = max_position
        self.segment_vocab_size = segment_vocab_size or 0
        self.with_pool = with_pool
        self.with_nsp = with_nsp
        self.with_mlm = with_mlm
        self.hierarchical_position = hierarchical_position
        self.custom_position_ids = custom_position_ids
        self.shared_segment_embeddings = shared_segment_embeddings
        if with_nsp and not with_pool:
            self.with_pool = True

    def get_inputs(self):
        names = ["Input-Token"]
        if self.segment_vocab_size > 0:
            names.append("Input-Segment")
        if self.custom_position_ids:
            names.append("Input-Position")
        return [self._input(name) for name in names]

    def _input(self, name):
        return self.apply(layer=_input_tensor, shape=(self.sequence_length,), name=name)

    def apply_embeddings(self, inputs):
        self.model_inputs = list(inputs)
        tokens, *rest = inputs
        segments = rest.pop(0) if self.segment_vocab_size > 0 else None
        positions = rest.pop(0) if self.custom_position_ids else None

        x = self.apply_token_embedding(tokens)
        if segments is not None:
            s = self.apply_segment_embedding(segments)
            x = self.apply([x, s], Add, name="Embedding-Token-Segment")
        x = self.apply(
            x,
            PositionEmbedding,
            arguments={"position_ids": positions},
            input_dim=self.max_position,
            output_dim=self.embedding_size,
            merge_mode="add",
            hierarchical=self.hierarchical_position,
            embeddings_initializer=self.initializer,
            custom_position_ids=self.custom_position_ids,
            name="Embedding-Position",
        )
        x = self.apply_norm(x, "Embedding-Norm")
        x = self.apply_dropout(x, "Embedding-Dropout")
        if self.embedding_size != self.hidden_size:
            x = self.apply_dense(x, self.hidden_size, "Embedding-Mapping")
        return x

    def apply_token_embedding(self, inputs, mode=None):
        return self.apply(
            inputs,
            Embedding,
            arguments={"mode": mode},
            input_dim=self.vocab_size,
            output_dim=self.embedding_size,
            embeddings_initializer=self.initializer,
            mask_zero=True,
            name="Embedding-Token",
        )

    def apply_segment_embedding(self, segments):
        if self.shared_segment_embeddings:
            return self.apply_token_embedding(segments)
        return self.apply(
            segments,
            keras_layers.Embedding,
            input_dim=self.segment_vocab_size,
            output_dim=self.embedding_size,
            embeddings_initializer=self.initializer,
            name="Embedding-Segment",
        )

    def apply_dense(self, inputs, units, name, activation=None, **kwargs):
        return self.apply(
            inputs,
            Dense,
            units=units,
            activation=get_activation(activation),
            kernel_initializer=self.initializer,
            name=name,
            **kwargs,
        )

    def apply_main_layers(self, inputs, index):
        """Post-LN: attention and feed-forward, each followed by dropout, add and norm."""
        name = f"Transformer-{index}-MultiHeadSelfAttention"
        x = self.apply(
            inputs,
            MultiHeadAttention,
            arguments={"attention_bias": self.compute_attention_bias(index)},
            heads=self.num_attention_heads,
            head_size=self.attention_head_size,
            out_dim=self.hidden_size,
            key_size=self.attention_key_size,
            attention_dropout=self.attention_dropout_rate,
            kernel_initializer=self.initializer,
            name=name,
        )
        x = self.apply_residual(inputs, x, name)

        name = f"Transformer-{index}-FeedForward"
        y = self.apply(
            x,
            FeedForward,
            units=self.intermediate_size,
            activation=self.hidden_act,
            kernel_initializer=self.initializer,
            name=name,
        )
        return self.apply_residual(x, y, name)

    def apply_residual(self, before, x, name):
        x = self.apply_dropout(x, f"{name}-Dropout")
        x = self.apply([before, x], Add, name=f"{name}-Add")
        return self.apply_norm(x, f"{name}-Norm")

    def apply_final_layers(self, inputs):
        outputs = []
        if self.with_pool:
            outputs.append(self.apply_pooler(inputs))
        if self.with_mlm:
            outputs.append(self.apply_mlm(inputs))
        if not outputs:
            return inputs
        return outputs if len(outputs) > 1 else outputs[0]

    def apply_pooler(self, x):
        x = self.apply(x, FirstPooling1D, name="Pooler")
        activation = "tanh" if self.with_pool is True else self.with_pool
        x = self.apply_dense(x, self.hidden_size, "Pooler-Dense", activation)
        if not self.with_nsp:
            return x
        activation = "softmax" if self.with_nsp is True else self.with_nsp
        return self.apply_dense(x, 2, "NSP-Proba", activation, dtype="float32")

    def apply_mlm(self, x):
        x = self.apply_dense(x, self.embedding_size, "MLM-Dense", self._activation())
        x = self.apply_norm(x, "MLM-Norm")
        x = self.apply_token_embedding(x, mode="dense")
        x = self.apply(x, ScaleOffset, scale=False, name="MLM-Bias")
        activation = "softmax" if self.with_mlm is True else self.with_mlm
        return self.apply(
            x,
            keras_layers.Activation,
            activation=get_activation(activation),
            dtype="float32",
            name="MLM-Activation",
        )

    def _activation(self):
        """The activation of the MLM head: the first one where the feed-forward is gated."""
        names = self.hidden_act
        return names[0] if isinstance(names, (list, tuple)) else names

    @property
    def vocabulary_axes(self):
        return {**super().vocabulary_axes, "MLM-Bias/beta": 0}


def _input_tensor(shape, name):
    return keras.Input(shape=shape, dtype="int32", name=name)
