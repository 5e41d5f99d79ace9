"""Layers that plug into any Keras model."""

from bert4keras_ext._old_names import getattr_of
from bert4keras_ext.layers.attention import MultiHeadAttention
from bert4keras_ext.layers.base import Layer
from bert4keras_ext.layers.batch import BatchConcat, BatchSplit
from bert4keras_ext.layers.convolution import MaskedConv1D
from bert4keras_ext.layers.cosine import CascadingRejection, CosineDense
from bert4keras_ext.layers.crf import ConditionalRandomField
from bert4keras_ext.layers.dense import Dense
from bert4keras_ext.layers.disentangled_attention import (
    DisentangledAttention,
    RelativePositionTable,
)
from bert4keras_ext.layers.dropout import Dropout
from bert4keras_ext.layers.embedding import Embedding
from bert4keras_ext.layers.feed_forward import FeedForward
from bert4keras_ext.layers.gated_attention import GatedAttentionUnit
from bert4keras_ext.layers.global_pointer import EfficientGlobalPointer, GlobalPointer
from bert4keras_ext.layers.loss import Loss
from bert4keras_ext.layers.memm import MaximumEntropyMarkovModel
from bert4keras_ext.layers.normalization import LayerNormalization, ScaleOffset
from bert4keras_ext.layers.perturbed_argmax import PerturbedArgmax
from bert4keras_ext.layers.pooling import (
    FirstLastAverage,
    FirstPooling1D,
    GlobalAveragePooling1D,
    GlobalMaxPooling1D,
    SentencePairFeatures,
)
from bert4keras_ext.layers.position import PositionEmbedding, SinusoidalPositionEmbedding
from bert4keras_ext.layers.relative_position import (
    RelativePositionEmbedding,
    RelativePositionEmbeddingT5,
)
from bert4keras_ext.layers.rotary import RotaryEmbedding
from bert4keras_ext.layers.sampling import VonMisesFisherSampling
from bert4keras_ext.layers.structure import Add, Concatenate1D
from bert4keras_ext.layers.whitening import Whitening

__all__ = [
    "Add",
    "BatchConcat",
    "BatchSplit",
    "CascadingRejection",
    "Concatenate1D",
    "ConditionalRandomField",
    "CosineDense",
    "Dense",
    "DisentangledAttention",
    "Dropout",
    "EfficientGlobalPointer",
    "Embedding",
    "FeedForward",
    "FirstLastAverage",
    "FirstPooling1D",
    "GatedAttentionUnit",
    "GlobalAveragePooling1D",
    "GlobalMaxPooling1D",
    "GlobalPointer",
    "Layer",
    "LayerNormalization",
    "Loss",
    "MaskedConv1D",
    "MaximumEntropyMarkovModel",
    "MultiHeadAttention",
    "PerturbedArgmax",
    "PositionEmbedding",
    "RelativePositionEmbedding",
    "RelativePositionEmbeddingT5",
    "RelativePositionTable",
    "RotaryEmbedding",
    "ScaleOffset",
    "SentencePairFeatures",
    "SinusoidalPositionEmbedding",
    "VonMisesFisherSampling",
    "Whitening",
]

__getattr__ = getattr_of(__name__)
