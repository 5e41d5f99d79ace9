"""DeBERTa-v2 and -v3, as Hugging Face names them. No TensorFlow checkpoints were published."""

from bert4keras_ext.checkpoints.names import bert
from bert4keras_ext.checkpoints.transforms import TRANSPOSE

_ATTENTION = "Transformer-{i}-MultiHeadSelfAttention"
_CONVOLUTION = "Transformer-{i}-Convolution"
_HF = "deberta.encoder.layer.{i}.attention.self"
# The MLM head: our weight, its usual ("legacy") name, and its name in a file of DeBERTa-v3.
_HEAD = (
    ("MLM-Dense/kernel", "cls.predictions.transform.dense.weight", "dense.weight"),
    ("MLM-Dense/bias", "cls.predictions.transform.dense.bias", "dense.bias"),
    ("MLM-Norm/gamma", "cls.predictions.transform.LayerNorm.weight", "LayerNorm.weight"),
    ("MLM-Norm/beta", "cls.predictions.transform.LayerNorm.bias", "LayerNorm.bias"),
    ("MLM-Bias/beta", "cls.predictions.bias", "bias"),
)
_LM_HEAD = "lm_predictions.lm_head."

HUGGING_FACE = bert.HUGGING_FACE.derived(
    "deberta_v2",
    replace=[
        ("bert.pooler.", "pooler."),
        ("bert.encoder.embedding_hidden_mapping_in.", "bert.embeddings.embed_proj."),
        ("attention.self.query.", "attention.self.query_proj."),
        ("attention.self.key.", "attention.self.key_proj."),
        ("attention.self.value.", "attention.self.value_proj."),
        ("bert.", "deberta."),
    ],
    without=[r"NSP-.*", r"Embedding-Mapping/bias"],
    more={
        "Embedding-Relative-Position/embeddings": "deberta.encoder.rel_embeddings.weight",
        "Embedding-Relative-Position-Norm/beta|gamma": "deberta.encoder.LayerNorm.bias|weight",
        f"{_ATTENTION}/position_k/kernel|bias": (f"{_HF}.pos_key_proj.weight|bias", TRANSPOSE),
        f"{_ATTENTION}/position_q/kernel|bias": (f"{_HF}.pos_query_proj.weight|bias", TRANSPOSE),
        f"{_CONVOLUTION}/kernel|bias": ("deberta.encoder.conv.conv.weight|bias", TRANSPOSE),
        f"{_CONVOLUTION}-Norm/beta|gamma": "deberta.encoder.conv.LayerNorm.bias|weight",
    },
    bases=("deberta.", ""),
    spellings=(
        *((usual, _LM_HEAD + other) for _, usual, other in _HEAD),
        *bert.HUGGING_FACE.spellings,
    ),
    ignorable=(
        *bert.HUGGING_FACE.ignorable,
        r"(.*\.)?mask_predictions\..*",  # the discriminator of the training of DeBERTa-v3
        r"(.*\.)?embeddings\.position_embeddings\.weight",  # left in files that do not use them
    ),
)

LM_HEAD = HUGGING_FACE.derived(
    "deberta_v2_lm_head",
    more={ours: (_LM_HEAD + name, HUGGING_FACE.entry(ours)[1]) for ours, _, name in _HEAD},
    spellings=(
        *((_LM_HEAD + name, usual) for _, usual, name in _HEAD),
        *bert.HUGGING_FACE.spellings,
    ),
)

TABLES = (HUGGING_FACE, LM_HEAD)
