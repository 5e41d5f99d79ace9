"""ModernBERT, which exists in Hugging Face's names only."""

from bert4keras_ext.checkpoints.names.table import PYTORCH_WRAPPERS, NameTable
from bert4keras_ext.checkpoints.transforms import TRANSPOSE, HalvesToPairs, Part

_ATTENTION = "Transformer-{i}-MultiHeadSelfAttention"
_FEED_FORWARD = "Transformer-{i}-FeedForward"
_HF = "model.layers.{i}"
_QKV = f"{_HF}.attn.Wqkv.weight|bias"
_GATES = f"{_HF}.mlp.Wi.weight|bias"
_PAIRS = HalvesToPairs(then=TRANSPOSE)

HUGGING_FACE = NameTable(
    "modernbert",
    "huggingface",
    {
        "Embedding-Token/embeddings": "model.embeddings.tok_embeddings.weight",
        "Embedding-Norm/beta|gamma": "model.embeddings.norm.bias|weight",
        f"{_ATTENTION}-Norm/beta|gamma": f"{_HF}.attn_norm.bias|weight",
        f"{_ATTENTION}/q/kernel|bias": (_QKV, Part(0, 3, 0, then=_PAIRS)),
        f"{_ATTENTION}/k/kernel|bias": (_QKV, Part(1, 3, 0, then=_PAIRS)),
        f"{_ATTENTION}/v/kernel|bias": (_QKV, Part(2, 3, 0, then=TRANSPOSE)),
        f"{_ATTENTION}/o/kernel|bias": (f"{_HF}.attn.Wo.weight|bias", TRANSPOSE),
        f"{_FEED_FORWARD}-Norm/beta|gamma": f"{_HF}.mlp_norm.bias|weight",
        f"{_FEED_FORWARD}/i0/kernel|bias": (_GATES, Part(0, 2, 0, then=TRANSPOSE)),
        f"{_FEED_FORWARD}/i1/kernel|bias": (_GATES, Part(1, 2, 0, then=TRANSPOSE)),
        f"{_FEED_FORWARD}/o/kernel|bias": (f"{_HF}.mlp.Wo.weight|bias", TRANSPOSE),
        "Output-Norm/beta|gamma": "model.final_norm.bias|weight",
        "MLM-Dense/kernel|bias": ("head.dense.weight|bias", TRANSPOSE),
        "MLM-Norm/beta|gamma": "head.norm.bias|weight",
        "MLM-Proba/kernel": ("decoder.weight", TRANSPOSE),
        "MLM-Bias/beta": "decoder.bias",
    },
    bases=("model.", ""),
    wrappers=PYTORCH_WRAPPERS,
    ignorable=(
        r"(.*\.)?rotary_emb\.inv_freq",
        # The word table again, where the model ties them.
        r"(.*\.)?decoder\.weight",
    ),
)

TABLES = (HUGGING_FACE,)
