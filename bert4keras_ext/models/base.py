"""The builder every model family derives from.

A family describes itself in four template methods (get_inputs, apply_embeddings,
apply_main_layers, apply_final_layers) in which every layer is applied through ``apply``. That
method makes a layer the first time its name is met and re-uses it afterwards, so tied weights,
shared models and, later, decoding with caches all come from one description.
"""

import keras

from bert4keras_ext.backend.activations import get_activation
from bert4keras_ext.backend.masking import check_normalization
from bert4keras_ext.checkpoints import load_checkpoint, save_checkpoint
from bert4keras_ext.checkpoints.description import describe, named_weights
from bert4keras_ext.checkpoints.names import table_of
from bert4keras_ext.layers import Concatenate1D, Dropout, GatedAttentionUnit, MultiHeadAttention
from bert4keras_ext.layers.attention import three_inputs
from bert4keras_ext.models.blocks import Blocks
from bert4keras_ext.models.checks import (
    as_python_value,
    check_rates,
    check_reuse,
    check_sizes,
    head_size,
    padding_row,
    table_rows,
)
from bert4keras_ext.models.config import RENAMES, check_leftovers

ATTENTION = (MultiHeadAttention, GatedAttentionUnit)


class Transformer(Blocks):
    """Builds a functional Keras model with named layers, and moves weights in and out of it.

    Users rarely construct it themselves: ``build_transformer_model`` does, from a config.
    Subclass it (or a family) to describe another architecture.

    Args:
        vocab_size: rows of the word table in the checkpoint.
        hidden_size, num_hidden_layers, num_attention_heads, intermediate_size, hidden_act: sizes.
        dropout_rate, attention_dropout_rate: None or 0 makes no dropout layers at all.
        embedding_size: width of the embeddings; None is ``hidden_size``.
        attention_head_size: width of a head; None is ``hidden_size / num_attention_heads``.
        attention_key_size: width of a head of Q and K; None is the head size.
        sequence_length: fixed length of the inputs; None leaves it open.
        keep_tokens: ids of the checkpoint's tokens to keep, in their new order.
        compound_tokens: new tokens after those, each a list of ids whose average it starts from,
            or a pair (ids, weights); or a dict {new id: ids of the checkpoint}, whose tokens stand
            among those kept (see tokenizers.transfer_vocabulary).
        pad_token_id: the checkpoint's id of the padding token, which is masked; -1 for none. With
            keep_tokens it moves to its new row, the attribute ``pad_token_id``: pad with that one.
        residual_attention_scores: add the previous layer's raw scores to each attention
            (RealFormer, arXiv 2012.11747).
        attention_normalization: "softmax"; "softmax_plus" scales the scores by the logarithm of the
            number of keys (entropy invariance to the length, article 8823); or "squared_relu".
        pre_norm: norms before the blocks instead of after them; None is as published.
        ignore_invalid_weights: load what fits and log the rest, instead of raising.
        autoresize_weights: resize weights of another shape to fit, instead of raising. Rows of
            tokens, positions and segments keep their places, and those that the checkpoint lacks
            start at random; relative positions keep their vectors by distance; widths are
            stretched (see checkpoints.orthogonally_resize).
        layers: layers of another builder to share, its ``.layers``.
        prefix: put before every layer name (not before names in checkpoints).
        name: name of the Keras model.
        foreign_keys: which further keywords are passed over, being keys of a config file.

    Attributes: ``model``; ``inputs`` and ``outputs``, lists; ``input`` and ``output``, the tensor
    where there is one; ``layers`` (by name).

    Raises:
        TypeError: for a keyword that no class of the family knows.
        ValueError: when sizes do not fit together.
    """

    family = None  # key of the weight-name tables in checkpoints/names
    applications = ("encoder", "lm", "unilm")  # what build_transformer_model may make of it
    config_keys = RENAMES  # keys of config files -> our keywords
    config_defaults = {}  # our keywords for what a config does not say, besides config.DEFAULTS

    def __init__(
        self,
        vocab_size,
        hidden_size,
        num_hidden_layers,
        num_attention_heads,
        intermediate_size,
        hidden_act,
        dropout_rate=None,
        attention_dropout_rate=None,
        embedding_size=None,
        attention_head_size=None,
        attention_key_size=None,
        sequence_length=None,
        keep_tokens=None,
        compound_tokens=None,
        pad_token_id=0,
        residual_attention_scores=False,
        attention_normalization="softmax",
        pre_norm=None,
        ignore_invalid_weights=False,
        autoresize_weights=False,
        layer_norm_eps=None,
        layers=None,
        prefix=None,
        name=None,
        foreign_keys=None,
        **kwargs,
    ):
        check_leftovers(type(self), kwargs, foreign_keys)
        check_sizes(
            vocab_size=vocab_size, hidden_size=hidden_size, num_hidden_layers=num_hidden_layers,
            num_attention_heads=num_attention_heads, intermediate_size=intermediate_size,
            embedding_size=embedding_size, attention_head_size=attention_head_size,
            attention_key_size=attention_key_size, sequence_length=sequence_length,
        )  # fmt: skip
        check_rates(dropout_rate=dropout_rate, attention_dropout_rate=attention_dropout_rate)
        self.original_vocab_size = vocab_size  # tells the loader which tables are edited already
        self.vocab_size = table_rows(vocab_size, keep_tokens, compound_tokens)
        self.pad_token_id = padding_row(pad_token_id, keep_tokens, compound_tokens)
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.attention_head_size = attention_head_size or head_size(
            hidden_size, num_attention_heads
        )
        self.attention_key_size = attention_key_size or self.attention_head_size
        self.intermediate_size = intermediate_size
        for name_of_activation in hidden_act if isinstance(hidden_act, list) else [hidden_act]:
            get_activation(name_of_activation)  # an unknown one fails before anything is built
        self.hidden_act = hidden_act
        self.dropout_rate = dropout_rate or 0
        self.attention_dropout_rate = attention_dropout_rate or 0
        self.embedding_size = embedding_size or hidden_size
        self.sequence_length = as_python_value(sequence_length)
        self.keep_tokens = keep_tokens
        self.compound_tokens = compound_tokens
        self.residual_attention_scores = residual_attention_scores
        self.attention_normalization = check_normalization(attention_normalization)
        if pre_norm is not None:
            self.pre_norm = pre_norm
        self.ignore_invalid_weights = ignore_invalid_weights
        self.autoresize_weights = autoresize_weights
        if layer_norm_eps is not None:
            self.embedding_norm_epsilon = self.head_norm_epsilon = layer_norm_eps
            self.layer_norm_epsilon = layer_norm_eps
        self.layers = {} if layers is None else layers
        self.used = set()  # names of the layers that `apply` met: others may share the dict
        self.prefix = prefix or ""
        self.name = name
        self.built = False

    @classmethod
    def adapt_config(cls, config):
        """Our keywords from a config as users have it (a file's dict, or their own keywords).

        Renames the keys of ``config_keys``; families whose files say more override it.
        """
        known = {cls.config_keys.get(k, k): v for k, v in config.items() if v is not None}
        # A file that has both spellings means ours.
        return {**known, **{k: v for k, v in config.items() if k not in cls.config_keys}}

    @classmethod
    def adapt_to_checkpoint(cls, arguments, shapes):
        """The keyword arguments, corrected by what a checkpoint holds.

        Args:
            arguments: dict as ``adapt_config`` made it, with the caller's keywords.
            shapes: function without arguments that gives {name: shape} of the checkpoint.
        """
        return arguments

    # ---- building -------------------------------------------------------------------------

    def build(
        self,
        attention_caches=None,
        layer_norm_cond=None,
        layer_norm_cond_hidden_size=None,
        layer_norm_cond_hidden_act=None,
        additional_input_layers=None,
        **kwargs,
    ):
        """Makes the Keras model, ``self.model``.

        Args:
            attention_caches: {attention layer name: [key, value]}: sequences put before the
                keys and values of that layer (before their projection).
            layer_norm_cond: a tensor (batch, dim) on which every LayerNormalization depends.
            layer_norm_cond_hidden_size, layer_norm_cond_hidden_act: a hidden layer for it.
            additional_input_layers: Keras inputs (such as the condition's) that the model takes
                after its own.
        """
        check_leftovers(type(self), kwargs, method="build")
        if self.built:
            return
        self.attention_caches = attention_caches or {}
        self.layer_norm_cond = layer_norm_cond
        self.layer_norm_cond_hidden = (
            layer_norm_cond_hidden_size,
            layer_norm_cond_hidden_act or "linear",
        )
        inputs = self.get_inputs()
        outputs = self.call(inputs)
        self.set_inputs(inputs, additional_input_layers)
        self.set_outputs(outputs)
        self.model = keras.Model(self.inputs, self.output, name=self.name)
        self.built = True
        describe(self, self._own_layers(), self._own_mapping())

    def call(self, inputs):
        """From the inputs (a list, symbolic or real tensors) to the outputs."""
        self.last_scores = {}  # kind of attention -> what its last layer returned
        self.attention_bias = None
        self.position_bias = None
        outputs = self.apply_embeddings(inputs)
        for index in range(self.num_hidden_layers):
            outputs = self.apply_main_layers(outputs, index)
        return self.apply_final_layers(outputs)

    def get_inputs(self):
        raise NotImplementedError(f"{type(self).__name__} must define get_inputs(self)")

    def apply_embeddings(self, inputs):
        raise NotImplementedError(f"{type(self).__name__} must define apply_embeddings(...)")

    def apply_final_layers(self, inputs):
        raise NotImplementedError(f"{type(self).__name__} must define apply_final_layers(...)")

    def prefixed(self, name):
        return name if name is None else self.prefix + name

    def apply(self, inputs=None, layer=None, arguments=None, **kwargs):
        """Applies a layer, made on first use and re-used by name afterwards.

        Args:
            inputs: tensor or list of tensors; None returns the layer itself.
            layer: the layer class.
            arguments: keyword arguments of the call; of a Lambda, those of its function.
            **kwargs: of the constructor; ``name`` identifies the layer.
        """
        if layer in (Dropout, keras.layers.Dropout) and not self.dropout_rate:
            return inputs
        is_attention = isinstance(layer, type) and issubclass(layer, ATTENTION)
        if is_attention and self.residual_attention_scores:
            kwargs["return_attention_scores"] = True
        if layer is keras.layers.Lambda:  # as in bert4keras: its call takes none
            kwargs["arguments"], arguments = arguments, None
        kwargs = {key: as_python_value(value) for key, value in kwargs.items()}
        name = kwargs["name"] = self.prefixed(kwargs.get("name"))
        if name not in self.layers:
            created = layer(**kwargs)
            name = name or created.name
            self.layers[name] = created
        elif layer is not None:
            check_reuse(self.layers[name], kwargs)
        self.used.add(name)
        if inputs is None:
            return self.layers[name]
        arguments = {k: v for k, v in (arguments or {}).items() if v is not None}
        if isinstance(self.layers[name], ATTENTION):
            return self._apply_attention(name, inputs, arguments)
        return self.layers[name](inputs, **arguments)

    def _apply_attention(self, name, inputs, arguments):
        layer = self.layers[name]
        query, key, value = three_inputs(inputs if isinstance(inputs, (list, tuple)) else [inputs])
        kind = "self" if key is None or key is query else "cross"
        key = query if key is None else key
        value = key if value is None else value
        if name in self.attention_caches:
            caches, short = self.attention_caches[name], name.removeprefix(self.prefix)
            key = self.apply([caches[0], key], Concatenate1D, name=f"{short}-Cached-Key")
            value = self.apply([caches[1], value], Concatenate1D, name=f"{short}-Cached-Value")
        if key is not query or value is not query:
            arguments = {"key": key, "value": value, **arguments}
        if not layer.return_attention_scores:
            return layer(query, **arguments)
        # Scores of cross-attention have another shape: each kind is a chain of its own.
        if self.residual_attention_scores and kind in self.last_scores:
            arguments["residual_scores"] = self.last_scores[kind]
        outputs, self.last_scores[kind] = layer(query, **arguments)
        return outputs

    def set_inputs(self, inputs, additional_input_layers=None):
        inputs = list(inputs)
        if additional_input_layers is not None:
            more = additional_input_layers
            inputs += list(more) if isinstance(more, (list, tuple)) else [more]
        self.inputs = inputs
        self.input = inputs if len(inputs) > 1 else inputs[0]

    def set_outputs(self, outputs):
        outputs = list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]
        self.outputs = outputs
        self.output = outputs if len(outputs) > 1 else outputs[0]

    # ---- use ------------------------------------------------------------------------------

    def generate(self, inputs, max_new_tokens=32, **settings):
        """Goes on writing where prompts end; see ``models.generate``."""
        from bert4keras_ext.models.generate import generate  # which reads what builders make

        return generate(self, inputs, max_new_tokens, **settings)

    def stream(self, inputs, max_new_tokens=32, **settings):
        """Yields what ``generate`` writes, token by token; see ``models.stream``."""
        from bert4keras_ext.models.generate import stream

        return stream(self, inputs, max_new_tokens, **settings)

    def stepper(self):
        """The cached step of ``AutoRegressiveDecoder(..., transformer=self)``."""
        from bert4keras_ext.models.stepper import Stepper

        return Stepper(self)

    # ---- weights --------------------------------------------------------------------------

    @property
    def vocabulary_axes(self):
        """{weight name: the axis that runs over the vocabulary}."""
        return {"Embedding-Token/embeddings": 0}

    def named_weights(self):
        """{"Embedding-Token/embeddings": variable, ...}: every weight, without the prefix."""
        return named_weights(self._own_layers(), self.prefix)

    def _own_layers(self):
        """Those of ``layers`` that belong to this model; another one's may be there as well."""
        # A model made of two builders' parts, such as T5, applies no layer itself.
        parts = {id(layer) for layer in self.model.layers} if self.built else set()
        return {
            name: layer
            for name, layer in self.layers.items()
            if name.startswith(self.prefix) and (name in self.used or id(layer) in parts)
        }

    def variable_mapping(self):
        """{layer name: [published TensorFlow names, in the order of the layer's weights]}.

        Subclasses may override it; ``load_weights_from_checkpoint`` then follows it.
        """
        table, mapping = table_of(self.family, "tensorflow"), {}
        for name in self.named_weights():
            entry = table.entry(name)
            mapping.setdefault(name.split("/")[0], []).append(entry[0] if entry else None)
        return mapping

    def _own_mapping(self):
        overridden = type(self).variable_mapping is not Transformer.variable_mapping
        return self.variable_mapping() if overridden else None

    def load_weights_from_checkpoint(self, checkpoint, mapping=None):
        """Loads a checkpoint of any known format; see ``checkpoints.load_checkpoint``."""
        return load_checkpoint(self, checkpoint, mapping or self._own_mapping())

    def save_weights_as_checkpoint(self, filename, mapping=None, dtype=None):
        """Writes a TensorFlow checkpoint in the published names."""
        save_checkpoint(self, filename, mapping=mapping or self._own_mapping(), dtype=dtype)
