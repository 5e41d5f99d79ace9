"""T5 and mT5: the encoder, the decoder, and both together."""

from keras import KerasTensor, ops

from bert4keras_ext.backend.activations import get_activation, serialize_activation
from bert4keras_ext.backend.registration import register
from bert4keras_ext.layers import ScaleOffset
from bert4keras_ext.layers.dense import Dense
from bert4keras_ext.models.masks import LMMixin
from bert4keras_ext.models.t5_base import VERSIONS, T5_Base


@register
class OutputTable(Dense):
    """``activation(x W)``: the product in the precision of the layer, the activation in float32.

    Args:
        units: size of the vocabulary.
        activation: None or "linear" gives logits.
        **kwargs: those of Dense.

    Inputs: (batch, ..., dim); output: float32 (batch, ..., units), with ``return_logits`` before
    the activation. The mask is passed on.

    Example:

    >>> tuple(OutputTable(5, activation="softmax")(ops.ones((1, 3, 4))).shape)
    (1, 3, 5)
    """

    def __init__(self, units, activation=None, **kwargs):
        super().__init__(units, use_bias=kwargs.pop("use_bias", False), **kwargs)
        self.output_activation = get_activation(activation)

    def call(self, inputs, training=None, return_logits=False):
        logits = ops.cast(super().call(inputs, training), "float32")
        return logits if return_logits else self.output_activation(logits)

    def quantized_call(self, inputs, training=None, return_logits=False):
        logits = ops.cast(super().quantized_call(inputs, training), "float32")
        return logits if return_logits else self.output_activation(logits)

    def compute_output_spec(self, inputs, training=None, return_logits=False):
        return KerasTensor(self.compute_output_shape(inputs.shape), dtype="float32")

    def get_config(self):
        activation = serialize_activation(self.output_activation)
        return {**super().get_config(), "activation": activation}


class T5_Encoder(T5_Base):
    """T5's encoder alone.

    Args: those of T5_Base; what concerns the decoder is ignored.

    Inputs: token ids, int (batch, length). Token 0 is padding, save in the first place.

    Output: states (batch, length, hidden), which carry the mask.
    """

    side = "_encoder"
    family = "t5.1.0_encoder"

    def get_inputs(self):
        return [self.apply_input("Encoder-Input-Token")]

    def block_name(self, index):
        return f"Encoder-Transformer-{index}"

    def apply_embeddings(self, inputs):
        x = self.apply_token_embedding(inputs[0])
        x = self.apply_dropout(x, "Encoder-Embedding-Dropout")
        return self.apply_mapping(x, self.hidden_size, "Encoder-Embedding-Mapping")

    def apply_main_layers(self, inputs, index):
        self.compute_position_bias(inputs)  # before the block's norm, in bert4keras' order
        return super().apply_main_layers(inputs, index)

    def apply_final_layers(self, inputs):
        x = self.apply_norm(inputs, "Encoder-Output-Norm") if self.pre_norm else inputs
        return self.apply_dropout(x, "Encoder-Output-Dropout")

    def compute_position_bias(self, inputs=None):
        if self.position_bias is None:
            name = "Encoder-Embedding-Relative-Position"
            bias = self.apply_relative_position(inputs, True, name)
            self.position_bias = {"position_bias": bias}
        return self.position_bias


class T5_Decoder(T5_Base):
    """T5's decoder alone.

    Args: those of T5_Base. ``num_decoder_layers`` wins over ``num_hidden_layers``.

    Inputs: the encoder's states (batch, source, hidden), all of which are attended to unless they
    carry a Keras mask, as they do within T5; token ids, int (batch, length), of which each sees
    those before it. Token 0 is padding, save in the first place, where it is T5's start token.

    Output: (batch, length, vocabulary) in float32; or, without the head, states
    (batch, length, hidden).
    """

    side = "_decoder"
    family = "t5.1.0_decoder"
    compute_attention_bias = LMMixin.compute_attention_bias

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.num_hidden_layers = self.num_decoder_layers

    def get_inputs(self):
        shape = (self.sequence_length, self.hidden_size)
        context = self.apply_input("Input-Context", shape, dtype="float32")
        return [context, self.apply_input("Decoder-Input-Token")]

    def block_name(self, index):
        return f"Decoder-Transformer-{index}"

    def apply_embeddings(self, inputs):
        context, self.tokens = inputs
        x = self.apply_token_embedding(self.tokens)
        x = self.apply_dropout(x, "Decoder-Embedding-Dropout")
        return [context, self.apply_mapping(x, self.hidden_size, "Decoder-Embedding-Mapping")]

    def apply_main_layers(self, inputs, index):
        self.context, x = inputs
        self.compute_attention_bias(index)  # before the block's norm, in bert4keras' order
        self.compute_position_bias(x)
        name = self.block_name(index)
        x = self.apply_block(x, f"{name}-MultiHeadSelfAttention", self.apply_self_attention, index)
        x = self.apply_block(
            x, f"{name}-MultiHeadCrossAttention", self.apply_cross_attention, index
        )
        x = self.apply_block(x, f"{name}-FeedForward", self.apply_feed_forward, index)
        return [self.context, x]

    def apply_cross_attention(self, inputs, name, index):
        arguments = {"position_bias": self.cross_bias}
        return self.apply_attention([inputs, self.context, self.context], name, arguments)

    def compute_position_bias(self, inputs=None):
        if self.position_bias is None:
            name = "Decoder-Embedding-Relative-Position"
            bias = self.apply_relative_position(inputs, False, name)
            self.position_bias, self.cross_bias = {"position_bias": bias}, None
            if self.cross_position_bias:
                self.cross_bias = self.apply_relative_position(
                    inputs, False, name, key=self.context
                )
        return self.position_bias

    def apply_final_layers(self, inputs):
        x = self.apply_norm(inputs[1], "Decoder-Output-Norm") if self.pre_norm else inputs[1]
        x = self.apply_dropout(x, "Decoder-Output-Dropout")
        if self.scale_outputs is True or (self.scale_outputs and self.with_lm):
            scale = self.hidden_size**-0.5
            x = self.apply(x, ScaleOffset, scale=scale, offset=False, name="Decoder-Output-Scale")
        return self.apply_lm(x) if self.with_lm else x

    def apply_lm(self, x):
        x = self.apply_mapping(x, self.embedding_size, "Decoder-Output-Mapping")
        activation = "softmax" if self.with_lm is True else self.with_lm
        if self.tie_word_embeddings:
            x = self.apply_token_embedding(x, mode="dense")
            return self.apply_activation(x, activation, "Decoder-Output-LM-Activation")
        return self.apply(
            x,
            OutputTable,
            units=self.vocab_size,
            activation=activation,
            kernel_initializer=self.initializer,
            name="Decoder-Output-LM",
        )


class T5(T5_Base):
    """T5: an encoder, and a decoder that attends to what the encoder gives.

    Args: those of T5_Base.

    Inputs: the source's token ids, "Encoder-Input-Token", and the target's, "Decoder-Input-Token",
    each int (batch, length). Padding (token 0) of the source is attended to by nothing.

    Output: that of T5_Decoder.

    Attributes: ``model``, and its halves ``encoder`` (source -> states) and ``decoder``
    ([states, target] -> output), Keras models that share its layers.

    Example:

    >>> sizes = dict(vocab_size=50, hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
    ...              intermediate_size=16, hidden_act="relu")
    >>> t5 = T5(**sizes)
    >>> t5.build()
    >>> t5.model.output.shape, t5.encoder.output.shape
    ((None, None, 50), (None, None, 8))

    Source: arXiv 1910.10683.
    """

    family = "t5.1.0"

    def __init__(self, name=None, **kwargs):
        super().__init__(name=name, **kwargs)
        kwargs = {**kwargs, "layers": self.layers, "version": self.version}
        before = "" if name is None else f"{name}_"
        self._encoder = T5_Encoder(name=f"{before}Encoder", **kwargs)
        self._decoder = T5_Decoder(name=f"{before}Decoder", **kwargs)

    def build(self, **kwargs):
        if self.built:
            return
        self._encoder.build(**kwargs)
        super().build(**kwargs)
        # After the whole, so that `layer.output` is what a layer gives within the whole.
        self._decoder.build(**kwargs)
        self.encoder, self.decoder = self._encoder.model, self._decoder.model

    def get_inputs(self):
        return [*self._encoder.get_inputs(), self._decoder.get_inputs()[1]]

    def call(self, inputs):
        for half in (self._encoder, self._decoder):
            half.attention_caches = self.attention_caches
            half.layer_norm_cond = self.layer_norm_cond
            half.layer_norm_cond_hidden = self.layer_norm_cond_hidden
        source, target = inputs
        known = source is self._encoder.inputs[0]
        states = self._encoder.output if known else self._encoder.call([source])
        return self._decoder.call([states, target])


def of_version(cls, version):
    """The class ``cls`` with another version as its default."""
    if version == cls.version:
        return cls
    name = f"{cls.__name__}_{version.replace('.', '_')}"
    changes = {"version": version, "family": version + cls.side, "__doc__": cls.__doc__}
    return type(name, (cls,), changes)


# Model name -> class: "t5.1.1", "t5.1.1_encoder" ...; "t5" is T5.1.0.
MODELS = {
    f"{version}{cls.side}": of_version(cls, version)
    for version in VERSIONS
    for cls in (T5, T5_Encoder, T5_Decoder)
}
MODELS |= {f"t5{cls.side}": cls for cls in (T5, T5_Encoder, T5_Decoder)}


def model_of_config(config):
    """The model name for a Hugging Face folder of T5 or mT5: the encoder where it says so."""
    name = {"t5": "t5", "mt5": "mt5.1.1"}[config["model_type"]]
    architectures = config.get("architectures") or [""]
    return f"{name}_encoder" if architectures[0].endswith("EncoderModel") else name
