"""What T5's encoder, its decoder and both together have in common: settings, configs, names."""

import re

from bert4keras_ext.backend.activations import get_activation
from bert4keras_ext.checkpoints import CheckpointError
from bert4keras_ext.layers import RelativePositionEmbeddingT5
from bert4keras_ext.models.base import Transformer
from bert4keras_ext.models.checks import check_sizes

VERSIONS = ("t5.1.0", "t5.1.1", "mt5.1.1")
SCALES = (True, False, "head", "tied")
# What BERT has and T5 has not: (keyword, what to do instead).
FOREIGN = (
    ("custom_position_ids", "its positions are distances, which need no ids"),
    ("hierarchical_position", "its positions are distances, which have no limit"),
    ("with_pool", "take a vector of the encoder's states, with GlobalAveragePooling1D say"),
    ("with_nsp", "build a head of your own on the encoder's states"),
    ("with_mlm", "the decoder's head is with_lm"),
)
# Names by which a checkpoint in any naming gives away a gated feed-forward, or a plain one.
GATED = re.compile(r"DenseReluDense[./]wi_0[./]|-FeedForward/i1/")
PLAIN = re.compile(r"DenseReluDense[./]wi[./]")
HEAD = re.compile(r"(.*\.)?lm_head\.weight|decoder/logits/kernel|Decoder-Output-LM/kernel")


class T5_Base(Transformer):
    """Base of T5_Encoder, T5_Decoder and T5.

    Pre-norm blocks without biases, RMS norms, unscaled attention scores, and on each side one
    table of relative positions for all its layers.

    =========  ===============================  ================================  =========
    version    feed-forward (``hidden_act``)    output table                      norms in TF
    =========  ===============================  ================================  =========
    t5.1.0     "relu"                           the word table                    layer_norm
    t5.1.1     ["gelu", "linear"]               its own                           layer_norm
    mt5.1.1    ["gelu", "linear"]               its own                           rms_norm
    =========  ===============================  ================================  =========

    Args:
        version: see the table; checkpoints are read in either spelling of the norms.
        relative_attention_num_buckets, relative_attention_max_distance: of relative positions.
        num_decoder_layers: layers of the decoder; None is ``num_hidden_layers``.
        tie_word_embeddings: the word table is the output table too; None is the version's. A
            checkpoint with an output table of its own wins over it.
        scale_outputs: multiply what the decoder gives by ``hidden_size ** -0.5``: True always, as
            bert4keras; "head" only what the head takes, not the states that ``with_lm=False``
            gives; "tied" the same where the table is tied, else not, as transformers; False never.
        with_lm: output the language model's head; True is probabilities, "linear" logits, False
            gives the decoder's states.
        cross_position_bias: relative positions in the attention to the encoder too, as bert4keras
            has it (transformers has not, nor configs in its style).
        **kwargs: those of Transformer. ``hidden_act`` may be a list: a gated feed-forward.

    Raises:
        ValueError: for an unknown version or scale, or a keyword that is BERT's alone.

    Source: arXiv 1910.10683; mT5: arXiv 2010.11934.
    """

    version = "t5.1.0"
    side = ""  # "_encoder" or "_decoder" for one half alone
    applications = ("encoder",)
    config_keys = {
        **Transformer.config_keys,
        "d_model": "hidden_size",
        "d_ff": "intermediate_size",
        "d_kv": "attention_head_size",
        "num_layers": "num_hidden_layers",
        "num_heads": "num_attention_heads",
        "layer_norm_epsilon": "layer_norm_eps",
    }
    pre_norm = True
    use_bias = False
    attention_scale = False
    norm_arguments = {"zero_mean": False, "offset": False}
    layer_norm_epsilon = 1e-6

    def __init__(
        self,
        version=None,
        relative_attention_num_buckets=32,
        relative_attention_max_distance=128,
        num_decoder_layers=None,
        tie_word_embeddings=None,
        scale_outputs=True,
        with_lm=True,
        cross_position_bias=True,
        **kwargs,
    ):
        super().__init__(**_without_foreign(kwargs))
        check_sizes(
            relative_attention_num_buckets=relative_attention_num_buckets,
            relative_attention_max_distance=relative_attention_max_distance,
            num_decoder_layers=num_decoder_layers,
        )
        self.version = version or self.version
        _check_choice("version", self.version, VERSIONS)
        # The name table: that of the norms' spelling and of the feed-forward there is.
        gated = isinstance(self.hidden_act, (list, tuple))
        self.family = f"{self.version.split('.')[0]}.1.{int(gated)}{self.side}"
        _check_choice("scale_outputs", scale_outputs, SCALES)
        if isinstance(with_lm, str):
            get_activation(with_lm)
        self.relative_attention_num_buckets = relative_attention_num_buckets
        self.relative_attention_max_distance = relative_attention_max_distance
        self.num_decoder_layers = num_decoder_layers or self.num_hidden_layers
        if tie_word_embeddings is None:
            tie_word_embeddings = self.version == "t5.1.0"
        self.tie_word_embeddings = tie_word_embeddings
        if scale_outputs == "tied":
            scale_outputs = "head" if tie_word_embeddings else False
        self.scale_outputs = scale_outputs
        self.with_lm = with_lm
        self.cross_position_bias = cross_position_bias

    @classmethod
    def adapt_config(cls, config):
        ours = super().adapt_config(config)
        if "feed_forward_proj" in config or "dense_act_fn" in config:
            ours.setdefault("hidden_act", feed_forward_activation(config))
        if "model_type" in config or "d_model" in config:
            ours = {**hugging_face_settings(config), **ours}
        return ours

    @classmethod
    def adapt_to_checkpoint(cls, arguments, shapes):
        names = shapes()
        own_head = any(HEAD.fullmatch(n) for n in names if n not in getattr(names, "copies", ()))
        arguments = {**arguments, **({"tie_word_embeddings": False} if own_head else {})}
        gated = any(map(GATED.search, names))
        if not gated and not any(map(PLAIN.search, names)):
            return arguments  # names that say nothing
        said = arguments["hidden_act"]
        if gated == isinstance(said, (list, tuple)):
            return arguments
        if _is_silent(arguments):
            return {**arguments, "hidden_act": ["gelu_new", "linear"] if gated else "relu"}
        if arguments.get("ignore_invalid_weights"):
            return arguments
        raise CheckpointError(_other_feed_forward(said, gated))

    def build(self, attention_caches=None, **kwargs):
        for name in attention_caches or {}:
            if "CrossAttention" not in name or self.cross_position_bias:
                raise ValueError(
                    f"attention_caches has {name!r}, whose keys have relative positions, which "
                    "cached ones lack: expected a MultiHeadCrossAttention layer of a model with "
                    "cross_position_bias=False"
                )
        super().build(attention_caches=attention_caches, **kwargs)

    @property
    def vocabulary_axes(self):
        return {**super().vocabulary_axes, "Decoder-Output-LM/kernel": 1}

    def apply_mapping(self, x, size, name):
        """From the width of embeddings to that of states or back, where they differ."""
        return x if self.embedding_size == self.hidden_size else self.apply_dense(x, size, name)

    def apply_relative_position(self, inputs, bidirectional, name, **arguments):
        """The bias (1, heads, query, key) of an attention, from its side's table."""
        return self.apply(
            inputs,
            RelativePositionEmbeddingT5,
            arguments=arguments,
            input_dim=self.relative_attention_num_buckets,
            output_dim=self.num_attention_heads,
            max_distance=self.relative_attention_max_distance,
            bidirectional=bidirectional,
            embeddings_initializer=self.initializer,
            name=name,
        )


def _without_foreign(keywords):
    for keyword, instead in FOREIGN:
        if keywords.get(keyword):
            raise ValueError(f"T5 has no {keyword} (found {keywords[keyword]!r}): {instead}")
    return {k: v for k, v in keywords.items() if k not in dict(FOREIGN)}


def feed_forward_activation(config):
    """``hidden_act`` from Hugging Face's feed_forward_proj ("relu", "gated-gelu") and its parts.

    Example:

    >>> feed_forward_activation({"feed_forward_proj": "gated-silu"})
    ['silu', 'linear']
    """
    projection = config.get("feed_forward_proj", "relu")
    gate, _, name = str(projection).rpartition("-")
    if gate not in ("", "gated"):
        raise ValueError(
            f"feed_forward_proj expects an activation ('relu') or a gated one ('gated-gelu'), "
            f"found {projection!r}: correct config.json, or pass hidden_act="
        )
    if projection == "gated-gelu":
        name = "gelu_new"  # in T5 this name always meant the tanh form
    name = config.get("dense_act_fn") or name
    return [name, "linear"] if config.get("is_gated_act", gate == "gated") else name


def hugging_face_settings(config):
    """The keywords that a T5 or mT5 config in Hugging Face's style means without naming them."""
    settings = {"cross_position_bias": False}
    kind = config.get("model_type")
    if "dropout_rate" in config:
        settings["attention_dropout_rate"] = config["dropout_rate"]
    if kind in ("t5", "mt5"):
        settings["tie_word_embeddings"] = kind == "t5"
        settings["hidden_act"] = _DEFAULT_ACTIVATION[kind]
        settings["scale_outputs"] = _scale_of(config)
    return settings


_DEFAULT_ACTIVATION = {"t5": "relu", "mt5": ["gelu_new", "linear"]}


def _scale_of(config):
    is_mt5 = config["model_type"] == "mt5"
    if "scale_decoder_outputs" in config and not is_mt5:
        return "head" if config["scale_decoder_outputs"] else False
    # transformers 5 dropped the factor from mT5, tied or not.
    version = re.match(r"\d+", str(config.get("transformers_version", "")))
    return False if is_mt5 and version and int(version[0]) >= 5 else "tied"


def _is_silent(arguments):
    """Whether the activation is only what a silent Hugging Face config stands for."""
    if "feed_forward_proj" in arguments or "dense_act_fn" in arguments:
        return False
    default = _DEFAULT_ACTIVATION.get(arguments.get("model_type"))
    return default is not None and arguments["hidden_act"] == default


def _other_feed_forward(said, gated):
    found = "gated (wi_0 and wi_1)" if gated else "plain (wi)"
    first = said if gated else said[0]
    fix = [first, "linear"] if gated else first
    return (
        f"the checkpoint's feed-forward is {found}, which hidden_act={said!r} is not: "
        f"expected hidden_act={fix!r}, or whichever activation it was trained with "
        f"({'T5.1.1 and mT5: gelu_new, linear' if gated else 'T5.1.0: relu'})"
    )


def _check_choice(name, value, choices):
    if not any(value is choice or value == choice for choice in choices):
        raise ValueError(f"{name} expects one of {choices}, received {value!r}")
