"""Losses as Keras Loss classes and as plain functions; computed in float32."""

from bert4keras_ext.backend.multilabel import (
    global_pointer_crossentropy,
    multilabel_categorical_crossentropy,
    multilabel_probabilities,
    sparse_global_pointer_crossentropy,
    sparse_multilabel_categorical_crossentropy,
)
from bert4keras_ext.losses.base import Loss
from bert4keras_ext.losses.consistency import RDropLoss, r_drop, symmetric_kl
from bert4keras_ext.losses.contrastive import (
    ContrastiveLoss,
    contrastive_crossentropy,
    log_gap,
    pair_similarities,
    simcse_similarities,
)
from bert4keras_ext.losses.cosent import (
    CoSENTLoss,
    MultiTaskCrossentropy,
    cosent,
    multi_task_crossentropy,
    pair_cosines,
    similarity_distillation,
)
from bert4keras_ext.losses.gaussian import (
    diagonal_bhattacharyya,
    diagonal_kl,
    diagonal_wasserstein,
    full_bhattacharyya,
    full_kl,
    full_wasserstein,
    kl_to_standard_normal,
)
from bert4keras_ext.losses.margin import (
    AMSoftmax,
    SimplerASoftmax,
    am_softmax,
    simpler_a_softmax,
    sparse_am_softmax,
    sparse_simpler_a_softmax,
)
from bert4keras_ext.losses.multilabel import (
    GlobalPointerCrossentropy,
    MultilabelCategoricalCrossentropy,
    SparseMultilabelCategoricalCrossentropy,
)
from bert4keras_ext.losses.sequences import (
    Seq2SeqLoss,
    SimBERTLoss,
    seq2seq_crossentropy,
    token_crossentropy,
)

__all__ = [
    "AMSoftmax",
    "CoSENTLoss",
    "ContrastiveLoss",
    "GlobalPointerCrossentropy",
    "Loss",
    "MultiTaskCrossentropy",
    "MultilabelCategoricalCrossentropy",
    "RDropLoss",
    "Seq2SeqLoss",
    "SimBERTLoss",
    "SimplerASoftmax",
    "SparseMultilabelCategoricalCrossentropy",
    "am_softmax",
    "contrastive_crossentropy",
    "cosent",
    "diagonal_bhattacharyya",
    "diagonal_kl",
    "diagonal_wasserstein",
    "full_bhattacharyya",
    "full_kl",
    "full_wasserstein",
    "global_pointer_crossentropy",
    "kl_to_standard_normal",
    "log_gap",
    "multi_task_crossentropy",
    "multilabel_categorical_crossentropy",
    "multilabel_probabilities",
    "pair_cosines",
    "pair_similarities",
    "r_drop",
    "seq2seq_crossentropy",
    "simcse_similarities",
    "similarity_distillation",
    "simpler_a_softmax",
    "sparse_am_softmax",
    "sparse_global_pointer_crossentropy",
    "sparse_multilabel_categorical_crossentropy",
    "sparse_simpler_a_softmax",
    "symmetric_kl",
    "token_crossentropy",
]
