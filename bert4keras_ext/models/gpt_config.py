"""What the config.json of a GPT or GPT-2 says in Hugging Face's keys."""

# Hugging Face's keys -> ours; afn and activation_function are translated below.
HUGGING_FACE_KEYS = {
    "n_embd": "hidden_size",
    "n_layer": "num_hidden_layers",
    "n_head": "num_attention_heads",
    "n_positions": "max_position",
    "n_inner": "intermediate_size",
    "resid_pdrop": "dropout_rate",
    "attn_pdrop": "attention_dropout_rate",
    "layer_norm_epsilon": "layer_norm_eps",
    "scale_attn_weights": "attention_scale",
}
# What their config files of 2019 leave out.
HUGGING_FACE_DEFAULTS = {
    "hidden_act": "gelu_tanh",
    "dropout_rate": 0.1,
    "attention_dropout_rate": 0.1,
    "layer_norm_eps": 1e-5,
    # Their segment ids are token ids, and optional: ``segment_vocab_size=2`` asks for the input.
    "segment_vocab_size": 0,
    "shared_segment_embeddings": True,
}
# Names that mean the same function everywhere.
ACTIVATIONS = {
    **{name: name for name in ("relu", "silu", "swish", "tanh", "sigmoid", "mish", "linear")},
    "gelu_new": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
}


def hugging_face_settings(config):
    """The keywords that a GPT config in Hugging Face's style means without naming them."""
    return {
        **HUGGING_FACE_DEFAULTS,
        "intermediate_size": 4 * config["n_embd"],
        # Token 0 of OpenAI's GPT-2 is "!", not padding.
        "mask_zero": _pads_with_a_token_of_its_own(config),
    }


def _pads_with_a_token_of_its_own(config):
    """Whether it names a padding token that no text holds: OpenAI's GPT-2 has none."""
    padding = config.get("pad_token_id")
    return padding is not None and padding not in (
        config.get("eos_token_id"),
        config.get("bos_token_id"),
    )


def check_supported(config):
    """Raises ValueError for options of Hugging Face's GPT-2 that change what is computed.

    (``reorder_and_upcast_attn`` changes rounding only: scores are normalised in float32 anyway.)
    """
    for key, meaning in (
        ("scale_attn_by_inverse_layer_idx", "scores divided by the number of the layer"),
        ("add_cross_attention", "attention to an encoder"),
    ):
        if config.get(key):
            raise ValueError(
                f"config has {key}={config[key]!r} ({meaning}), expected false: this model has no "
                "such attention. Use a checkpoint trained without it"
            )
