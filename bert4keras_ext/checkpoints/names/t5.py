"""T5 and mT5: Google's TensorFlow checkpoints, and Hugging Face's.

Families are named by the spelling of the norms ("t5", "mt5") and by the feed-forward layer: .1.0 is
plain, .1.1 gated. Halves of the model have tables of their own, since the other half in a
checkpoint of the whole is no loss to them.
"""

from bert4keras_ext.checkpoints.names.table import PYTORCH_WRAPPERS, TENSORFLOW_LEFTOVERS, NameTable
from bert4keras_ext.checkpoints.transforms import TRANSPOSE

# (our side, theirs, [(our block, their layer's number, its name)])
_SELF = ("MultiHeadSelfAttention", 0, "SelfAttention")
_SIDES = (
    ("Encoder", "encoder", [_SELF], 1),
    ("Decoder", "decoder", [_SELF, ("MultiHeadCrossAttention", 1, "EncDecAttention")], 2),
)
_GATED = {"i0": "wi_0", "i1": "wi_1", "o": "wo"}
_PLAIN = {"i0": "wi", "o": "wo"}


def _tensorflow(norm, final_norm, projections):
    rows = {
        "Embedding-Token/embeddings": "shared/embedding",
        "Decoder-Output-LM/kernel": "decoder/logits/kernel",
    }
    for side, theirs, attentions, last in _SIDES:
        block, layers = f"{side}-Transformer-{{i}}", f"{theirs}/block_{{i:03d}}"
        rows[f"{side}-Embedding-Relative-Position/embeddings"] = (
            f"{theirs}/block_000/layer_000/SelfAttention/relative_attention_bias",
            TRANSPOSE,  # (heads, buckets) there
        )
        for ours, number, name in attentions:
            layer = f"{layers}/layer_00{number}"
            for part in "qkvo":
                rows[f"{block}-{ours}/{part}/kernel"] = f"{layer}/{name}/{part}"
            rows[f"{block}-{ours}-Norm/gamma"] = f"{layer}/{norm}/scale"
        layer = f"{layers}/layer_00{last}"
        for ours, name in projections.items():
            rows[f"{block}-FeedForward/{ours}/kernel"] = f"{layer}/DenseReluDense/{name}/kernel"
        rows[f"{block}-FeedForward-Norm/gamma"] = f"{layer}/{norm}/scale"
        rows[f"{side}-Output-Norm/gamma"] = f"{theirs}/{final_norm}/scale"
    return rows


def _hugging_face(projections):
    rows = {
        "Embedding-Token/embeddings": "shared.weight",
        "Decoder-Output-LM/kernel": ("lm_head.weight", TRANSPOSE),
    }
    for side, theirs, attentions, last in _SIDES:
        block, layers = f"{side}-Transformer-{{i}}", f"{theirs}.block.{{i}}"
        rows[f"{side}-Embedding-Relative-Position/embeddings"] = (
            f"{theirs}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
        )
        for ours, number, name in attentions:
            layer = f"{layers}.layer.{number}"
            for part in "qkvo":
                rows[f"{block}-{ours}/{part}/kernel"] = (f"{layer}.{name}.{part}.weight", TRANSPOSE)
            rows[f"{block}-{ours}-Norm/gamma"] = f"{layer}.layer_norm.weight"
        layer = f"{layers}.layer.{last}"
        for ours, name in projections.items():
            rows[f"{block}-FeedForward/{ours}/kernel"] = (
                f"{layer}.DenseReluDense.{name}.weight",
                TRANSPOSE,
            )
        rows[f"{block}-FeedForward-Norm/gamma"] = f"{layer}.layer_norm.weight"
        rows[f"{side}-Output-Norm/gamma"] = f"{theirs}.final_layer_norm.weight"
    return rows


# Before 0.11 bert4keras read mT5's names under "t5.1.1": either model reads either spelling.
_NORMS = {"t5": ("layer_norm", "final_layer_norm"), "mt5": ("rms_norm", "rms_norm")}
_NORM_SPELLINGS = {
    "t5": (("final_layer_norm/scale", "rms_norm/scale"), ("layer_norm/scale", "rms_norm/scale")),
    "mt5": (
        ("coder/rms_norm/scale", "coder/final_layer_norm/scale"),
        ("rms_norm/scale", "layer_norm/scale"),
    ),
}


def _tables_of(kind, projections, family):
    """The whole model's tables."""
    tensorflow = NameTable(
        family,
        "tensorflow",
        _tensorflow(*_NORMS[kind], projections),
        spellings=_NORM_SPELLINGS[kind],
        # Mesh TensorFlow's optimizers name their slots so.
        ignorable=(*TENSORFLOW_LEFTOVERS, r".*_slot_[a-z]+"),
    )
    hugging_face = NameTable(
        family,
        "huggingface",
        _hugging_face(projections),
        # T5ForSequenceClassification holds the model as "transformer".
        wrappers=(*PYTORCH_WRAPPERS, "transformer."),
        spellings=(
            ("shared.weight", "encoder.embed_tokens.weight"),
            ("shared.weight", "decoder.embed_tokens.weight"),
        ),
        ignorable=(
            r"(.*\.)?(en|de)coder\.embed_tokens\.weight",
            # Old files hold a table that no version of T5 uses.
            r"(.*\.)?decoder\.block\.0\.layer\.1\.EncDecAttention\.relative_attention_bias\.weight",
        ),
    )
    return tensorflow, hugging_face


def _half(table, side, other):
    """The table of one half, to which the other is no loss."""
    ignorable = [rf"(.*\.)?{other}[./].*"] + ["(.*\\.)?lm_head\\.weight"] * (side == "encoder")
    return table.derived(f"{table.family}_{side}", ignorable=(*table.ignorable, *ignorable))


def _all_tables():
    for kind, projections, family in (
        ("t5", _PLAIN, "t5.1.0"),
        ("t5", _GATED, "t5.1.1"),
        ("mt5", _GATED, "mt5.1.1"),
        ("mt5", _PLAIN, "mt5.1.0"),
    ):
        for table in _tables_of(kind, projections, family):
            yield from (
                table,
                _half(table, "encoder", "decoder"),
                _half(table, "decoder", "encoder"),
            )


TABLES = tuple(_all_tables())
