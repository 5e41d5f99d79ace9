"""GPT, GPT-2 and GPT2_ML: TensorFlow checkpoints of bert4keras' world, and Hugging Face's."""

from bert4keras_ext.checkpoints.names import bert
from bert4keras_ext.checkpoints.names.table import PYTORCH_WRAPPERS, TENSORFLOW_LEFTOVERS, NameTable
from bert4keras_ext.checkpoints.transforms import TRANSPOSE, Part

_ATTENTION = "Transformer-{i}-MultiHeadSelfAttention"
_FEED_FORWARD = "Transformer-{i}-FeedForward"
_OUTPUT_NORM = {"Output-Norm/beta|gamma": "gpt/output/LayerNorm/beta|gamma"}

GPT_TENSORFLOW = bert.TENSORFLOW.derived(
    "gpt",
    replace=(("bert/", "gpt/"), ("encoder", "transformer")),
    without=(r"Embedding-Norm/.*", r"(Pooler|NSP|MLM)-.*"),
    more=_OUTPUT_NORM,  # of models built with pre_norm
    bases=("gpt/",),
)

GPT2_TENSORFLOW = GPT_TENSORFLOW.derived(
    "gpt2",
    replace=(("output/LayerNorm", "input/LayerNorm"),),
    without=(r"Embedding-Segment/.*",),
    more=_OUTPUT_NORM,
)

_NEWS = "newslm/layer{i:02d}"
GPT2_ML_TENSORFLOW = NameTable(
    "gpt2_ml",
    "tensorflow",
    {
        "Embedding-Token/embeddings": "newslm/embeddings/word_embed",
        "Embedding-Position/embeddings": "newslm/embeddings/pos_embed",
        "Embedding-Norm/beta|gamma": "newslm/embeddings/LayerNorm_embed_norm/beta|gamma",
        f"{_ATTENTION}/q/kernel|bias": f"{_NEWS}/query_layer/kernel|bias",
        f"{_ATTENTION}/k/kernel|bias": f"{_NEWS}/key_layer/kernel|bias",
        f"{_ATTENTION}/v/kernel|bias": f"{_NEWS}/value_layer/kernel|bias",
        f"{_ATTENTION}/o/kernel|bias": f"{_NEWS}/context_projection_layer/kernel|bias",
        f"{_FEED_FORWARD}-Norm-0/beta|gamma": f"{_NEWS}/LayerNorm_mlp_ln0/beta|gamma",
        f"{_FEED_FORWARD}/i0/kernel|bias": f"{_NEWS}/intermediate/kernel|bias",
        f"{_FEED_FORWARD}/o/kernel|bias": f"{_NEWS}/output/kernel|bias",
        f"{_FEED_FORWARD}-Norm-1/beta|gamma": f"{_NEWS}/LayerNorm_mlp_ln1/beta|gamma",
    },
    bases=("newslm/",),
    ignorable=TENSORFLOW_LEFTOVERS,
)

_HF = "transformer.h.{i}"
# OpenAI's kernels are (in, out) in PyTorch's files too, with q, k and v side by side.
GPT2_HUGGING_FACE = NameTable(
    "gpt2",
    "huggingface",
    {
        "Embedding-Token/embeddings": "transformer.wte.weight",
        "Embedding-Position/embeddings": "transformer.wpe.weight",
        f"{_ATTENTION}/q/kernel|bias": (f"{_HF}.attn.c_attn.weight|bias", Part(0, 3, axis=-1)),
        f"{_ATTENTION}/k/kernel|bias": (f"{_HF}.attn.c_attn.weight|bias", Part(1, 3, axis=-1)),
        f"{_ATTENTION}/v/kernel|bias": (f"{_HF}.attn.c_attn.weight|bias", Part(2, 3, axis=-1)),
        f"{_ATTENTION}/o/kernel|bias": f"{_HF}.attn.c_proj.weight|bias",
        f"{_ATTENTION}-Norm/beta|gamma": f"{_HF}.ln_1.bias|weight",
        f"{_FEED_FORWARD}/i0/kernel|bias": f"{_HF}.mlp.c_fc.weight|bias",
        f"{_FEED_FORWARD}/o/kernel|bias": f"{_HF}.mlp.c_proj.weight|bias",
        f"{_FEED_FORWARD}-Norm/beta|gamma": f"{_HF}.ln_2.bias|weight",
        "Output-Norm/beta|gamma": "transformer.ln_f.bias|weight",
        # Only where the output has a table of its own (tie_word_embeddings=False).
        "LM-Dense/kernel": ("lm_head.weight", TRANSPOSE),
        # In no published file: a model with embedding_size comes back whole from its own.
        "Embedding-Mapping/kernel|bias": "transformer.embedding_hidden_mapping_in.weight|bias",
    },
    bases=("transformer.", ""),
    wrappers=PYTORCH_WRAPPERS,
    # The short endings are those of OpenAI's own code and of the first conversions.
    spellings=((".weight", ".w"), (".weight", ".g"), (".bias", ".b")),
    ignorable=(
        r"(.*\.)?h\.\d+\.attn\.(masked_)?bias",  # the causal mask, and what stands where it is 0
        r"(.*\.)?position_ids",
        r"(.*\.)?lm_head\.weight",  # the token table again, where the model ties them
    ),
)

GPT_HUGGING_FACE = GPT2_HUGGING_FACE.derived(
    "gpt",
    replace=((".wte.", ".tokens_embed."), (".wpe.", ".positions_embed.")),
    # As is this one: theirs looks segments up in the token table.
    more={"Embedding-Segment/embeddings": "transformer.token_type_embeddings.weight"},
)

TABLES = (
    GPT_TENSORFLOW,
    GPT_HUGGING_FACE,
    GPT2_TENSORFLOW,
    GPT2_HUGGING_FACE,
    GPT2_ML_TENSORFLOW,
)
