"""RoBERTa and XLM-RoBERTa: BERT's names, and a head of their own."""

from bert4keras_ext.checkpoints.names import bert

_NO_PAIRS = (r"NSP-.*",)

# Published for PyTorch only: these names are what a BERT's would be.
TENSORFLOW = bert.TENSORFLOW.derived("xlm_roberta", without=_NO_PAIRS)

HUGGING_FACE = bert.HUGGING_FACE.derived(
    "xlm_roberta",
    replace=(
        ("bert.", "roberta."),
        ("cls.predictions.transform.LayerNorm.", "lm_head.layer_norm."),
        ("cls.predictions.transform.", "lm_head."),
        ("cls.predictions.", "lm_head."),
    ),
    without=_NO_PAIRS,
    bases=("roberta.", ""),
    spellings=(
        ("LayerNorm.weight", "LayerNorm.gamma"),
        ("LayerNorm.bias", "LayerNorm.beta"),
        ("lm_head.bias", "lm_head.decoder.bias"),
    ),
    ignorable=(
        r"(.*\.)?position_ids",
        r"(.*\.)?embeddings\.token_type_ids",
        # The output table is the token table again; the model ties them.
        r"(.*\.)?lm_head\.decoder\.(weight|bias)",
    ),
)

TABLES = (TENSORFLOW, HUGGING_FACE)
