"""The parts that model families share: embeddings, norms, and the two blocks of a Transformer."""

import keras

from bert4keras_ext.backend.activations import get_activation
from bert4keras_ext.backend.initializers import TruncatedNormal
from bert4keras_ext.layers import (
    Add,
    Dense,
    Dropout,
    Embedding,
    FeedForward,
    LayerNormalization,
    MultiHeadAttention,
)


class Blocks:
    """Mix-in of Transformer: each method applies one part, under the name bert4keras gave it.

    A family says how it differs in the class attributes, and overrides methods for the rest.

    Attributes:
        pre_norm: normalise what enters a block (GPT-2, T5) instead of what leaves it (BERT); a
            keyword of every family. Families then end in one more norm, "Output-Norm".
        use_bias: biases in attention and feed-forward.
        attention_scale: divide scores by the root of the key size.
        mask_zero: token 0, or pad_token_id, is padding.
        pad_token_id: the padding token's row in the word table; a keyword of every family.
        norm_arguments: further arguments of every LayerNormalization.
        embedding_norm_epsilon, layer_norm_epsilon, head_norm_epsilon: of the norms of the
            embeddings, the blocks and the heads; the keyword layer_norm_eps sets all three.
    """

    pre_norm = False
    use_bias = True
    attention_scale = True
    mask_zero = True
    pad_token_id = 0
    norm_arguments = {}
    embedding_norm_epsilon = 1e-12
    layer_norm_epsilon = 1e-12
    head_norm_epsilon = 1e-12

    @property
    def initializer(self):
        """Truncated normal of 0.02 in every published model; ``initializer_range`` is ignored."""
        return TruncatedNormal(stddev=0.02)

    def apply_input(self, name, shape=None, dtype="int32"):
        shape = (self.sequence_length,) if shape is None else shape
        return self.apply(layer=_input_tensor, shape=shape, dtype=dtype, name=name)

    def apply_token_embedding(self, inputs, mode=None):
        return self.apply(
            inputs,
            Embedding,
            arguments={"mode": mode},
            input_dim=self.vocab_size,
            output_dim=self.embedding_size,
            embeddings_initializer=self.initializer,
            mask_zero=self.mask_zero,
            padding_id=self.pad_token_id,
            name="Embedding-Token",
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

    def apply_activation(self, inputs, activation, name):
        """The last layer of a head: float32 in every precision."""
        activation = get_activation(activation)
        return self.apply(
            inputs, keras.layers.Activation, activation=activation, dtype="float32", name=name
        )

    def apply_dropout(self, inputs, name):
        return self.apply(inputs, Dropout, rate=self.dropout_rate, name=name)

    def apply_norm(self, inputs, name, epsilon=None):
        """LayerNormalization, conditional where the model is."""
        units, activation = self.layer_norm_cond_hidden
        return self.apply(
            inputs,
            LayerNormalization,
            arguments={"condition": self.layer_norm_cond},
            epsilon=self.layer_norm_epsilon if epsilon is None else epsilon,
            conditional=self.layer_norm_cond is not None,
            hidden_units=units,
            hidden_activation=activation,
            hidden_initializer=self.initializer,
            name=name,
            **self.norm_arguments,
        )

    def block_name(self, index):
        """What the names of a block's layers begin with."""
        return f"Transformer-{index}"

    def apply_main_layers(self, inputs, index):
        """One Transformer layer: a block of self-attention and one of feed-forward."""
        name = f"{self.block_name(index)}-MultiHeadSelfAttention"
        x = self.apply_block(inputs, name, self.apply_self_attention, index)
        name = f"{self.block_name(index)}-FeedForward"
        return self.apply_block(x, name, self.apply_feed_forward, index)

    def apply_block(self, inputs, name, function, index):
        """``Norm(x + Dropout(f(x)))``, or with pre_norm ``x + Dropout(f(Norm(x)))``."""
        x = self.apply_norm(inputs, f"{name}-Norm") if self.pre_norm else inputs
        x = function(x, name, index)
        x = self.apply_dropout(x, f"{name}-Dropout")
        x = self.apply([inputs, x], Add, name=f"{name}-Add")
        return x if self.pre_norm else self.apply_norm(x, f"{name}-Norm")

    def apply_self_attention(self, inputs, name, index):
        arguments = {
            "attention_bias": self.compute_attention_bias(index),
            **self.compute_position_bias(inputs),
        }
        return self.apply_attention(inputs, name, arguments)

    def apply_attention(self, inputs, name, arguments, layer=MultiHeadAttention, **kwargs):
        return self.apply(
            inputs,
            layer,
            arguments=arguments,
            heads=self.num_attention_heads,
            head_size=self.attention_head_size,
            out_dim=self.hidden_size,
            key_size=self.attention_key_size,
            use_bias=self.use_bias,
            normalization=self.attention_normalization,
            attention_scale=self.attention_scale,
            attention_dropout=self.attention_dropout_rate,
            kernel_initializer=self.initializer,
            name=name,
            **kwargs,
        )

    def apply_feed_forward(self, inputs, name, index):
        return self.apply(
            inputs,
            FeedForward,
            units=self.intermediate_size,
            activation=self.hidden_act,
            use_bias=self.use_bias,
            kernel_initializer=self.initializer,
            name=name,
        )

    def compute_attention_bias(self, index=None):
        """Which keys each query of layer ``index`` may look at: the ``attention_bias`` argument
        of its attention, or None; the LM and UniLM mix-ins override it."""
        return self.attention_bias

    def compute_position_bias(self, inputs=None):
        """Further arguments of every self-attention that tell it about positions, a dict.

        Called once a layer; what it computes should be the same tensors each time (``apply``
        re-uses layers, not tensors: keep them in ``self.position_bias``, which is None when a
        pass through the model begins).
        """
        return {}


def _input_tensor(shape, name, dtype):
    return keras.Input(shape=shape, dtype=dtype, name=name)
