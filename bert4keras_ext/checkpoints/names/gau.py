"""GAU-alpha: RoFormerV2's embeddings, and units of their own name."""

from bert4keras_ext.checkpoints.names import roformer

_UNIT = "Transformer-{i}-GatedAttentionUnit"
_TF = "GAU_alpha/encoder/layer_{i}/gau"

TENSORFLOW = roformer.TENSORFLOW_V2.derived(
    "gau_alpha",
    without=(r"Transformer-.*",),
    more={
        # The published model has no biases; the names are those its authors had for them.
        f"{_UNIT}/i_dense/kernel|bias": f"{_TF}/i_dense/kernel|bias",
        f"{_UNIT}/q_scaleoffset/beta|gamma": f"{_TF}/q_scaleoffset/beta|gamma",
        f"{_UNIT}/k_scaleoffset/beta|gamma": f"{_TF}/k_scaleoffset/beta|gamma",
        f"{_UNIT}/o_dense/kernel|bias": f"{_TF}/o_dense/kernel|bias",
    },
)

TABLES = (TENSORFLOW,)
