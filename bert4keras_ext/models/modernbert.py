"""ModernBERT: an encoder for long texts, with rotary positions and mostly local attention."""

from bert4keras_ext.backend.positions import check_rotary
from bert4keras_ext.layers import FeedForward, RotaryEmbedding, ScaleOffset
from bert4keras_ext.models.bert import BERT
from bert4keras_ext.models.checks import check_sizes
from bert4keras_ext.models.config import RENAMES
from bert4keras_ext.models.masks import LocalMask

GLOBAL, LOCAL = "full_attention", "sliding_attention"
# Hugging Face's keys -> ours; those of rotary positions and dropout are translated below.
HUGGING_FACE_KEYS = {
    "hidden_activation": "hidden_act",
    "norm_eps": "layer_norm_eps",
    "attention_dropout": "attention_dropout_rate",
    "global_attn_every_n_layers": "layer_types",
    "attention_bias": "use_attention_bias",
    "mlp_bias": "use_mlp_bias",
    "norm_bias": "use_norm_bias",
    "classifier_bias": "use_head_bias",
    "decoder_bias": "use_output_bias",
    "classifier_activation": "head_activation",
}


class ModernBERT(BERT):
    """Norms before the blocks, gated feed-forward, rotary positions, local and global attention.

    ``x + attention(Norm(x))`` and ``x + W_o (f(W_0 h) * W_1 h)`` with ``h = Norm(x)``; a norm ends
    the model. The embeddings are normalised too, so the first attention has no norm of its own. A
    query of a local layer sees keys at most ``local_attention // 2`` places away; global and local
    layers turn queries and keys with different frequencies.

    Args:
        layer_types: which layers are global: n for every n-th one from the first on, or a list
            with "full_attention" or "sliding_attention" for each layer.
        local_attention: window of the local layers, both sides together.
        global_rope_theta, local_rope_theta: bases of the rotary frequencies.
        global_rope_scaling, local_rope_scaling: None, or how positions are stretched for longer
            texts; see RotaryEmbedding.
        use_attention_bias, use_mlp_bias, use_norm_bias, use_head_bias, use_output_bias: biases of
            the parts; the head is the dense layer before the output table.
        head_activation: of that dense layer.
        tie_word_embeddings: the output table is the word table; False gives it its own.
        hidden_act: f, or a list as FeedForward takes it.
        pad_token_id: 50283 in the published English models. Pad with it:
            ``sequence_padding(ids, value=50283)``.
        dropout_rate: after embeddings, attention and feed-forward. (Hugging Face's is inside the
            feed-forward; its rates for embeddings and feed-forward become one, the larger.)
        custom_position_ids: take position ids as a second input; they turn queries and keys, the
            windows count places.
        **kwargs: those of BERT, but there are no segments, no trained positions and no pooler.

    Inputs: token ids, (position ids), each int (batch, length).

    Outputs: the encoder's states (batch, length, hidden); with ``with_mlm`` the head only.

    Masks: ``pad_token_id`` is padding, but never at the first place. ``application="lm"`` also
    hides later tokens, in local layers within the window.

    Raises:
        ValueError: for with_pool or with_nsp, unknown kinds of layers, or rotary positions that
            are not supported.

    Example:

    >>> from bert4keras_ext.models import build_transformer_model
    >>> config = dict(vocab_size=100, hidden_size=16, num_hidden_layers=4, num_attention_heads=2,
    ...               intermediate_size=24, hidden_act="gelu", local_attention=8)
    >>> build_transformer_model(config, model="modernbert").output.shape
    (None, None, 16)

    Source: arXiv 2412.13663.
    """

    family = "modernbert"
    applications = ("encoder", "lm")
    config_keys = {**RENAMES, **HUGGING_FACE_KEYS}
    pre_norm = True
    embedding_norm_epsilon = layer_norm_epsilon = head_norm_epsilon = 1e-5

    def __init__(
        self,
        layer_types=3,
        local_attention=128,
        global_rope_theta=160000.0,
        local_rope_theta=10000.0,
        global_rope_scaling=None,
        local_rope_scaling=None,
        use_attention_bias=False,
        use_mlp_bias=False,
        use_norm_bias=False,
        use_head_bias=False,
        use_output_bias=True,
        head_activation="gelu",
        tie_word_embeddings=True,
        hidden_act="gelu",
        **kwargs,
    ):
        _check_no_pooler(kwargs)
        gates = hidden_act if isinstance(hidden_act, list) else [hidden_act, "linear"]
        super().__init__(hidden_act=gates, **{**kwargs, "segment_vocab_size": 0})
        check_sizes(local_attention=local_attention)
        self.layer_types = _layer_types(layer_types, self.num_hidden_layers)
        self.local_attention = local_attention
        self.rope = {
            GLOBAL: {"base": global_rope_theta, "scaling": global_rope_scaling},
            LOCAL: {"base": local_rope_theta, "scaling": local_rope_scaling},
        }
        for arguments in self.rope.values():
            check_rotary(self.attention_key_size, **arguments)
        self.use_bias = use_attention_bias
        self.use_mlp_bias = use_mlp_bias
        self.norm_arguments = {"offset": use_norm_bias}
        self.use_head_bias = use_head_bias
        self.use_output_bias = use_output_bias
        self.head_activation = head_activation
        self.tie_word_embeddings = tie_word_embeddings

    @classmethod
    def adapt_config(cls, config):
        """As Transformer's, for Hugging Face's config.json of both generations (4 and 5).

        Raises:
            ValueError: for rotary positions that this model does not compute.
        """
        # layer_norm_eps is a leftover in many files, which nothing reads.
        leftovers = {"layer_norm_eps"} if "norm_eps" in config else ()
        known = super().adapt_config({k: v for k, v in config.items() if k not in leftovers})
        rates = [config[key] for key in ("embedding_dropout", "mlp_dropout") if key in config]
        if rates and "dropout_rate" not in known:
            known["dropout_rate"] = max(rate or 0 for rate in rates)
        return {**known, **_rope_arguments(config)}

    def apply_position_embedding(self, x):
        return x

    def apply_norm(self, inputs, name, epsilon=None):
        if self.pre_norm and name == f"{self.block_name(0)}-MultiHeadSelfAttention-Norm":
            return inputs  # normalised by Embedding-Norm
        return super().apply_norm(inputs, name, epsilon)

    def apply_self_attention(self, inputs, name, index):
        kind = self.layer_types[index]
        arguments = {
            "attention_bias": self.compute_attention_bias(index),
            **self.compute_position_bias(inputs, kind),
        }
        if kind == LOCAL:
            arguments["attention_bias"] = self.compute_local_mask(arguments["attention_bias"])
        return self.apply_attention(inputs, name, arguments)

    def compute_local_mask(self, allowed=None):
        """The window, within what the mask of a language model allows."""
        return self._once(
            "mask",
            lambda: self.apply(
                self.tokens,
                LocalMask,
                arguments={"allowed": allowed},
                window=self.local_attention,
                name="Attention-Local-Mask",
            ),
        )

    def compute_position_bias(self, inputs=None, kind=GLOBAL):
        names = {GLOBAL: "Embedding-Rotary-Position", LOCAL: "Embedding-Local-Rotary-Position"}
        rotary = self._once(
            kind,
            lambda: self.apply(
                inputs,
                RotaryEmbedding,
                arguments={"position_ids": self.position_ids},
                output_dim=self.attention_key_size,
                custom_position_ids=self.custom_position_ids,
                name=names[kind],
                **self.rope[kind],
            ),
        )
        return {"rotary": rotary}

    def _once(self, key, function):
        """What is the same in all layers of one pass through the model."""
        self.position_bias = self.position_bias or {}
        if key not in self.position_bias:
            self.position_bias[key] = function()
        return self.position_bias[key]

    def apply_feed_forward(self, inputs, name, index):
        return self.apply(
            inputs,
            FeedForward,
            units=self.intermediate_size,
            activation=self.hidden_act,
            use_bias=self.use_mlp_bias,
            kernel_initializer=self.initializer,
            name=name,
        )

    def apply_mlm(self, x):
        size, activation = self.embedding_size, self.head_activation
        x = self.apply_dense(x, size, "MLM-Dense", activation, use_bias=self.use_head_bias)
        x = self.apply_norm(x, "MLM-Norm", self.head_norm_epsilon)
        if self.tie_word_embeddings:
            x = self.apply_token_embedding(x, mode="dense")
        else:
            x = self.apply_dense(x, self.vocab_size, "MLM-Proba", use_bias=False)
        if self.use_output_bias:
            x = self.apply(x, ScaleOffset, scale=False, name="MLM-Bias")
        activation = "softmax" if self.with_mlm is True else self.with_mlm
        return self.apply_activation(x, activation, "MLM-Activation")

    @property
    def vocabulary_axes(self):
        return {**super().vocabulary_axes, "MLM-Proba/kernel": 1}


def _check_no_pooler(arguments):
    for key in ("with_pool", "with_nsp"):
        if arguments.get(key):
            raise ValueError(
                f"ModernBERT has no pooler: expected no {key}, received {arguments[key]!r}; take "
                "the first state with FirstPooling1D()(model.output), or their mean with "
                "GlobalAveragePooling1D()"
            )


def _layer_types(given, layers):
    """A kind for each layer, from a list (which may be longer) or the distance of global ones."""
    if isinstance(given, int) and not isinstance(given, bool) and given > 0:
        return [LOCAL if index % given else GLOBAL for index in range(layers)]
    kinds = list(given)[:layers] if isinstance(given, (list, tuple)) else []
    if len(kinds) < layers or set(kinds) - {GLOBAL, LOCAL}:
        raise ValueError(
            f"layer_types (global_attn_every_n_layers) expects a positive integer, or a list of "
            f"{layers} names, each {GLOBAL!r} or {LOCAL!r}; received {given!r}"
        )
    return kinds


def _rope_arguments(config):
    """Our keywords for rotary positions from Hugging Face's keys.

    Generation 4 has ``rope_scaling`` for both kinds of layers, and a local base that may be null
    (then it is the global one); generation 5 has a dict of both for each kind.
    """
    found = {}
    if config.get("local_rope_theta", "absent") is None and config.get("global_rope_theta"):
        found["local_rope_theta"] = config["global_rope_theta"]
    by_kind = config.get("rope_parameters") or {}
    for name, kind in (("global", GLOBAL), ("local", LOCAL)):
        parameters = by_kind.get(kind) or config.get("rope_scaling") or {}
        if parameters.get("rope_theta") is not None:
            found[f"{name}_rope_theta"] = parameters["rope_theta"]
        scaling = {k: v for k, v in parameters.items() if k != "rope_theta" and v is not None}
        if scaling and scaling.get("rope_type", scaling.get("type")) != "default":
            found[f"{name}_rope_scaling"] = _known_scaling(scaling, config)
    return found


def _known_scaling(scaling, config):
    """Hugging Face's dict, where ``rotary_frequencies`` reads all of it."""
    known = {
        "rope_type", "type", "factor", "original_max_position_embeddings", "beta_fast",
        "beta_slow", "attention_factor",
    }  # fmt: skip
    if set(scaling) - known:
        raise ValueError(
            f"rotary scaling with {sorted(set(scaling) - known)} is not supported: expected the "
            f"keys {sorted(known)}, received {scaling!r}"
        )
    length = config.get("max_position_embeddings")
    return {"original_max_position_embeddings": length, **scaling} if length else scaling
