"""BERT: Google's TensorFlow checkpoints (and all that followed them), and Hugging Face's."""

from bert4keras_ext.checkpoints.names.table import PYTORCH_WRAPPERS, TENSORFLOW_LEFTOVERS, NameTable
from bert4keras_ext.checkpoints.transforms import TRANSPOSE

_ATTENTION = "Transformer-{i}-MultiHeadSelfAttention"
_FEED_FORWARD = "Transformer-{i}-FeedForward"

_TF = "bert/encoder/layer_{i}"
TENSORFLOW = NameTable(
    "bert",
    "tensorflow",
    {
        "Embedding-Token/embeddings": "bert/embeddings/word_embeddings",
        "Embedding-Segment/embeddings": "bert/embeddings/token_type_embeddings",
        "Embedding-Position/embeddings": "bert/embeddings/position_embeddings",
        "Embedding-Norm/beta|gamma": "bert/embeddings/LayerNorm/beta|gamma",
        "Embedding-Mapping/kernel|bias": "bert/encoder/embedding_hidden_mapping_in/kernel|bias",
        f"{_ATTENTION}/q/kernel|bias": f"{_TF}/attention/self/query/kernel|bias",
        f"{_ATTENTION}/k/kernel|bias": f"{_TF}/attention/self/key/kernel|bias",
        f"{_ATTENTION}/v/kernel|bias": f"{_TF}/attention/self/value/kernel|bias",
        f"{_ATTENTION}/o/kernel|bias": f"{_TF}/attention/output/dense/kernel|bias",
        f"{_ATTENTION}-Norm/beta|gamma": f"{_TF}/attention/output/LayerNorm/beta|gamma",
        f"{_FEED_FORWARD}/i0/kernel|bias": f"{_TF}/intermediate/dense/kernel|bias",
        f"{_FEED_FORWARD}/o/kernel|bias": f"{_TF}/output/dense/kernel|bias",
        f"{_FEED_FORWARD}-Norm/beta|gamma": f"{_TF}/output/LayerNorm/beta|gamma",
        "Pooler-Dense/kernel|bias": "bert/pooler/dense/kernel|bias",
        # Google stores this one as (classes, hidden), unlike every other kernel.
        "NSP-Proba/kernel": ("cls/seq_relationship/output_weights", TRANSPOSE),
        "NSP-Proba/bias": "cls/seq_relationship/output_bias",
        "MLM-Dense/kernel|bias": "cls/predictions/transform/dense/kernel|bias",
        "MLM-Norm/beta|gamma": "cls/predictions/transform/LayerNorm/beta|gamma",
        "MLM-Bias/beta": "cls/predictions/output_bias",
    },
    bases=("bert/",),
    ignorable=TENSORFLOW_LEFTOVERS,
)

_HF = "bert.encoder.layer.{i}"
HUGGING_FACE = NameTable(
    "bert",
    "huggingface",
    {
        "Embedding-Token/embeddings": "bert.embeddings.word_embeddings.weight",
        "Embedding-Segment/embeddings": "bert.embeddings.token_type_embeddings.weight",
        "Embedding-Position/embeddings": "bert.embeddings.position_embeddings.weight",
        "Embedding-Norm/beta|gamma": "bert.embeddings.LayerNorm.bias|weight",
        "Embedding-Mapping/kernel|bias": (
            "bert.encoder.embedding_hidden_mapping_in.weight|bias",
            TRANSPOSE,
        ),
        f"{_ATTENTION}/q/kernel|bias": (f"{_HF}.attention.self.query.weight|bias", TRANSPOSE),
        f"{_ATTENTION}/k/kernel|bias": (f"{_HF}.attention.self.key.weight|bias", TRANSPOSE),
        f"{_ATTENTION}/v/kernel|bias": (f"{_HF}.attention.self.value.weight|bias", TRANSPOSE),
        f"{_ATTENTION}/o/kernel|bias": (f"{_HF}.attention.output.dense.weight|bias", TRANSPOSE),
        f"{_ATTENTION}-Norm/beta|gamma": f"{_HF}.attention.output.LayerNorm.bias|weight",
        f"{_FEED_FORWARD}/i0/kernel|bias": (f"{_HF}.intermediate.dense.weight|bias", TRANSPOSE),
        f"{_FEED_FORWARD}/o/kernel|bias": (f"{_HF}.output.dense.weight|bias", TRANSPOSE),
        f"{_FEED_FORWARD}-Norm/beta|gamma": f"{_HF}.output.LayerNorm.bias|weight",
        "Pooler-Dense/kernel|bias": ("bert.pooler.dense.weight|bias", TRANSPOSE),
        "NSP-Proba/kernel|bias": ("cls.seq_relationship.weight|bias", TRANSPOSE),
        "MLM-Dense/kernel|bias": ("cls.predictions.transform.dense.weight|bias", TRANSPOSE),
        "MLM-Norm/beta|gamma": "cls.predictions.transform.LayerNorm.bias|weight",
        "MLM-Bias/beta": "cls.predictions.bias",
    },
    bases=("bert.", ""),
    wrappers=PYTORCH_WRAPPERS,
    spellings=(
        ("LayerNorm.weight", "LayerNorm.gamma"),
        ("LayerNorm.bias", "LayerNorm.beta"),
        ("cls.predictions.bias", "cls.predictions.decoder.bias"),
    ),
    ignorable=(
        r"(.*\.)?position_ids",
        r"(.*\.)?embeddings\.token_type_ids",
        # The output table is the token table again; the model ties them.
        r"(.*\.)?cls\.predictions\.decoder\.(weight|bias)",
    ),
)

TABLES = (TENSORFLOW, HUGGING_FACE)
