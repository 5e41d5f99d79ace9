"""ALBERT: BERT's embeddings and heads; the blocks are named by group and place in the group."""

import numpy as np

from bert4keras_ext.checkpoints.names import bert
from bert4keras_ext.checkpoints.transforms import TRANSPOSE

_SEVERAL = "Transformer-{i}-{j}"  # where there is more than one group, or inner group


def _tensorflow(ours, block):
    """The rows of one block."""
    attention, feed_forward = f"{ours}-MultiHeadSelfAttention", f"{ours}-FeedForward"
    return {
        f"{attention}/q/kernel|bias": f"{block}/attention_1/self/query/kernel|bias",
        f"{attention}/k/kernel|bias": f"{block}/attention_1/self/key/kernel|bias",
        f"{attention}/v/kernel|bias": f"{block}/attention_1/self/value/kernel|bias",
        f"{attention}/o/kernel|bias": f"{block}/attention_1/output/dense/kernel|bias",
        f"{attention}-Norm/beta|gamma": f"{block}/LayerNorm/beta|gamma",
        f"{feed_forward}/i0/kernel|bias": f"{block}/ffn_1/intermediate/dense/kernel|bias",
        f"{feed_forward}/o/kernel|bias": f"{block}/ffn_1/intermediate/output/dense/kernel|bias",
        f"{feed_forward}-Norm/beta|gamma": f"{block}/LayerNorm_1/beta|gamma",
    }


def _hugging_face(ours, block):
    attention, feed_forward = f"{ours}-MultiHeadSelfAttention", f"{ours}-FeedForward"
    dense = {
        f"{attention}/q/kernel|bias": f"{block}.attention.query.weight|bias",
        f"{attention}/k/kernel|bias": f"{block}.attention.key.weight|bias",
        f"{attention}/v/kernel|bias": f"{block}.attention.value.weight|bias",
        f"{attention}/o/kernel|bias": f"{block}.attention.dense.weight|bias",
        f"{feed_forward}/i0/kernel|bias": f"{block}.ffn.weight|bias",
        f"{feed_forward}/o/kernel|bias": f"{block}.ffn_output.weight|bias",
    }
    norms = {
        f"{attention}-Norm/beta|gamma": f"{block}.attention.LayerNorm.bias|weight",
        f"{feed_forward}-Norm/beta|gamma": f"{block}.full_layer_layer_norm.bias|weight",
    }
    return {**{ours: (foreign, TRANSPOSE) for ours, foreign in dense.items()}, **norms}


_MAPPING = "albert.encoder.embedding_hidden_mapping_in"


def _no_mapping(shape_of):
    """A buffer for models without a mapping, of which Hugging Face's ALBERT knows none."""

    def array(builder):
        mapped = "Embedding-Mapping/kernel" in builder.named_weights()
        return None if mapped else shape_of(builder.hidden_size).astype("float32")

    return array


_TF = "bert/encoder/transformer"
TENSORFLOW = bert.TENSORFLOW.derived(
    "albert",
    without=(r"Transformer-.*",),
    more={
        **_tensorflow("Transformer", f"{_TF}/group_0/inner_group_0"),
        **_tensorflow(_SEVERAL, f"{_TF}/group_{{i}}/inner_group_{{j}}"),
    },
)

_HF = "albert.encoder.albert_layer_groups"
HUGGING_FACE = bert.HUGGING_FACE.derived(
    "albert",
    replace=(
        ("bert.pooler.dense.", "bert.pooler."),
        ("bert.", "albert."),
        ("cls.predictions.transform.", "predictions."),
        ("cls.predictions.", "predictions."),
        ("cls.seq_relationship.", "sop_classifier.classifier."),
    ),
    without=(r"Transformer-.*",),
    more={
        **_hugging_face("Transformer", f"{_HF}.0.albert_layers.0"),
        **_hugging_face(_SEVERAL, f"{_HF}.{{i}}.albert_layers.{{j}}"),
    },
    bases=("albert.", ""),
    spellings=(
        ("LayerNorm.weight", "LayerNorm.gamma"),
        ("LayerNorm.bias", "LayerNorm.beta"),
        ("predictions.bias", "predictions.decoder.bias"),
    ),
    ignorable=(
        r"(.*\.)?position_ids",
        r"(.*\.)?embeddings\.token_type_ids",
        # The output table is the token table again; the model ties them.
        r"(.*\.)?predictions\.decoder\.(weight|bias)",
    ),
    buffers={f"{_MAPPING}.weight": _no_mapping(np.eye), f"{_MAPPING}.bias": _no_mapping(np.zeros)},
)

# Every layer is read from the one block of the file.
TENSORFLOW_UNSHARED = TENSORFLOW.derived(
    "albert_unshared",
    without=(r"Transformer-.*",),
    more=_tensorflow("Transformer-{i}", f"{_TF}/group_0/inner_group_0"),
)
HUGGING_FACE_UNSHARED = HUGGING_FACE.derived(
    "albert_unshared",
    without=(r"Transformer-.*",),
    more=_hugging_face("Transformer-{i}", f"{_HF}.0.albert_layers.0"),
)

TABLES = (TENSORFLOW, HUGGING_FACE, TENSORFLOW_UNSHARED, HUGGING_FACE_UNSHARED)
