"""RoFormer: BERT's names without positions; RoFormerV2: without norms and biases as well."""

import numpy as np

from bert4keras_ext.backend.positions import rotary_frequencies
from bert4keras_ext.checkpoints.names import bert
from bert4keras_ext.checkpoints.transforms import TRANSPOSE

_NO_POSITIONS = r"Embedding-Position/.*"
_BARE = (_NO_POSITIONS, r".*/(beta|gamma|bias)", r"(MLM|NSP|Pooler)-.*")

TENSORFLOW = bert.TENSORFLOW.derived("roformer", without=(_NO_POSITIONS,))


def _sinusoids(builder):
    """Hugging Face's table of angles: all sines, then all cosines, of every position."""
    if builder.rotary_axes > 1:
        return None  # it knows one axis
    frequencies, magnitude = rotary_frequencies(
        builder.attention_key_size, builder.rotary_base, builder.rotary_scaling
    )
    angles = np.arange(builder.max_position)[:, None] * frequencies
    table = np.concatenate([np.sin(angles), np.cos(angles)], axis=1) * magnitude
    return table.astype("float32")


HUGGING_FACE = bert.HUGGING_FACE.derived(
    "roformer",
    replace=(
        ("bert.encoder.embedding_hidden_mapping_in", "bert.embeddings_project"),
        ("bert.", "roformer."),
    ),
    without=(_NO_POSITIONS,),
    bases=("roformer.", ""),
    buffers={"roformer.encoder.embed_positions.weight": _sinusoids},
    ignorable=(*bert.HUGGING_FACE.ignorable, r"(.*\.)?encoder\.embed_positions\.weight"),
)

# The published models need no mapping before the head, so its name is ours.
TENSORFLOW_V2 = TENSORFLOW.derived(
    "roformer_v2",
    without=_BARE,
    more={"Output-Mapping/kernel": "cls/predictions/transform/dense/kernel"},
)

# As in junnyu's PyTorch port of RoFormerV2.
HUGGING_FACE_V2 = HUGGING_FACE.derived(
    "roformer_v2",
    without=_BARE,
    more={"Output-Mapping/kernel": ("cls.predictions.transform.dense.weight", TRANSPOSE)},
)

TABLES = (TENSORFLOW, HUGGING_FACE, TENSORFLOW_V2, HUGGING_FACE_V2)
