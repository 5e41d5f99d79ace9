"""The ground: activations, masks, recomputation and the acceleration switches."""

from bert4keras_ext._old_names import getattr_of
from bert4keras_ext.backend.acceleration import (
    jit_compile,
    set_precision,
    set_recompute,
    set_xla,
)
from bert4keras_ext.backend.activations import (
    gelu_erf,
    gelu_tanh,
    get_activation,
    leaky_relu,
    set_gelu,
    swish,
)
from bert4keras_ext.backend.masking import attention_normalize, sequence_masking
from bert4keras_ext.backend.multilabel import (
    multilabel_categorical_crossentropy,
    sparse_multilabel_categorical_crossentropy,
)
from bert4keras_ext.backend.positions import (
    Sinusoidal,
    apply_rotary_position_embeddings,
    sinusoidal_embeddings,
)
from bert4keras_ext.backend.recompute import recompute_grad
from bert4keras_ext.backend.registration import register
from bert4keras_ext.backend.tensors import divisible_temporal_padding, flatten, pool1d

__all__ = [
    "Sinusoidal",
    "apply_rotary_position_embeddings",
    "attention_normalize",
    "divisible_temporal_padding",
    "flatten",
    "gelu_erf",
    "gelu_tanh",
    "get_activation",
    "jit_compile",
    "leaky_relu",
    "multilabel_categorical_crossentropy",
    "pool1d",
    "recompute_grad",
    "register",
    "sequence_masking",
    "set_gelu",
    "set_precision",
    "set_recompute",
    "set_xla",
    "sinusoidal_embeddings",
    "sparse_multilabel_categorical_crossentropy",
    "swish",
]

__getattr__ = getattr_of(__name__)
