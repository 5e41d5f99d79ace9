"""NEZHA: BERT's names; its relative positions are computed, and in no file."""

from bert4keras_ext.checkpoints.names import bert

_COMPUTED = (r"Embedding-Relative-Position(-Value)?/embeddings",)

TENSORFLOW = bert.TENSORFLOW.derived(
    "nezha", without=(r"Embedding-Position/.*",), computed=_COMPUTED
)

HUGGING_FACE = bert.HUGGING_FACE.derived(
    "nezha",
    replace=(("bert.", "nezha."),),
    without=(r"Embedding-Position/.*",),
    bases=("nezha.", "bert.", ""),  # before transformers knew NEZHA, files were made as BERT
    computed=_COMPUTED,
    ignorable=(
        *bert.HUGGING_FACE.ignorable,
        r"(.*\.)?relative_positions_encoding\.positions_encoding",
    ),
)

TABLES = (TENSORFLOW, HUGGING_FACE)
