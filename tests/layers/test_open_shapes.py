"""Every layer with open batch and length: graphs, exports, `fit` from any source, XLA."""

import numpy as np
import pytest

from bert4keras_ext import layers
from tests.open_shapes import (
    Example,
    check_export,
    check_fit_of_layer,
    check_open_graph,
)

# Layers without weights are fitted too: what counts is that they can be.
pytestmark = pytest.mark.filterwarnings("ignore:The model does not have any trainable weights")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(2, 5, 8)).astype("float32")
Y = RNG.normal(size=(2, 7, 8)).astype("float32")
IDS = RNG.integers(0, 4, (2, 5)).astype("int32")
MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 0, 1, 0]], bool)
OTHER = np.arange(7)[None] < np.array([[7], [3]])
BIAS = RNG.random((2, 5, 5)) < 0.7
HEADS = {"heads": 2, "head_size": 4}
GATED = {"units": 6, "key_size": 4}
POSITIONS = {"input_dim": 16, "output_dim": 8}
TABLE = RNG.normal(size=(6, 8)).astype("float32")
ROTARY = np.asarray(layers.RotaryEmbedding(4)(X))
PAIRS = np.asarray(layers.RelativePositionEmbedding(5, 4, "uniform")(X))


class SquareLoss(layers.Loss):
    def compute_loss(self, inputs, mask=None):
        return (inputs[0] ** 2).mean() if isinstance(inputs[0], np.ndarray) else _mean(inputs[0])


def _mean(x):
    from keras import ops

    return ops.mean(ops.square(x))


# name: (class, config, inputs, masks, further arguments, names of those that are fixed)
CASES = {
    "Add": (layers.Add, {}, [X, X], [MASK, None]),
    "BatchConcat": (layers.BatchConcat, {}, [X, X], [MASK, None]),
    "BatchSplit": (layers.BatchSplit, {"parts": 2}, X, [MASK]),
    "CascadingRejection": (layers.CascadingRejection, {"n": 3}, X, [MASK]),
    "Concatenate1D": (layers.Concatenate1D, {}, [X, Y], [MASK, None]),
    "ConditionalRandomField": (layers.ConditionalRandomField, {}, X, [MASK]),
    "CosineDense": (layers.CosineDense, {"units": 3}, X, [MASK]),
    "Dense": (layers.Dense, {"units": 3, "activation": "relu"}, X, [MASK]),
    "DisentangledAttention": (
        layers.DisentangledAttention, {**HEADS, "max_distance": 3}, X, [MASK],
        {"relative_embeddings": TABLE}, ("relative_embeddings",),
    ),
    "DisentangledAttention, ids": (
        layers.DisentangledAttention, {**HEADS, "max_distance": 3}, X, [MASK],
        {"relative_embeddings": TABLE, "position_ids": IDS}, ("relative_embeddings",),
    ),
    "DisentangledAttention, keys": (
        layers.DisentangledAttention, {**HEADS, "max_distance": 3}, X, [MASK],
        {"relative_embeddings": TABLE, "key": Y, "key_mask": OTHER}, ("relative_embeddings",),
    ),
    "Dropout": (layers.Dropout, {"rate": 0.3}, X, [MASK]),
    "EfficientGlobalPointer": (layers.EfficientGlobalPointer, HEADS, X, [MASK]),
    "Embedding": (layers.Embedding, {"input_dim": 4, "output_dim": 3, "mask_zero": True}, IDS),
    "FeedForward": (layers.FeedForward, {"units": 5, "activation": ["gelu", "linear"]}, X, [MASK]),
    "FirstLastAverage": (layers.FirstLastAverage, {}, [X, X], [MASK, MASK]),
    "FirstPooling1D": (layers.FirstPooling1D, {}, X, [MASK]),
    "GatedAttentionUnit": (
        layers.GatedAttentionUnit, GATED, X, [MASK], {"attention_bias": BIAS, "rotary": ROTARY},
    ),
    "GatedAttentionUnit, cross": (
        layers.GatedAttentionUnit, {**GATED, "self_attention": False}, [X, Y], [MASK, OTHER],
    ),
    "GlobalAveragePooling1D": (layers.GlobalAveragePooling1D, {}, X, [MASK]),
    "GlobalMaxPooling1D": (layers.GlobalMaxPooling1D, {}, X, [MASK]),
    "GlobalPointer": (layers.GlobalPointer, HEADS, X, [MASK]),
    "LayerNormalization": (layers.LayerNormalization, {}, X, [MASK]),
    "LayerNormalization, conditional": (
        layers.LayerNormalization, {"conditional": True}, [X, X[:, 0]], [MASK, None],
    ),
    "Loss": (SquareLoss, {}, [X, X], [MASK, None]),
    "MaskedConv1D": (layers.MaskedConv1D, {"filters": 3, "kernel_size": 3}, X, [MASK]),
    "MaximumEntropyMarkovModel": (layers.MaximumEntropyMarkovModel, {}, X, [MASK]),
    "MultiHeadAttention": (
        layers.MultiHeadAttention, {**HEADS, "return_attention_scores": True}, X, [MASK],
        {"attention_bias": BIAS, "rotary": ROTARY},
    ),
    "MultiHeadAttention, list": (layers.MultiHeadAttention, HEADS, [X, Y], [MASK, OTHER]),
    "MultiHeadAttention, pairs": (
        layers.MultiHeadAttention, {**HEADS, "normalization": "softmax_plus"}, X, [MASK],
        {"relative_embeddings": PAIRS},
    ),
    "MultiHeadAttention, table": (
        layers.MultiHeadAttention, {**HEADS, "normalization": "squared_relu"}, X, [MASK],
        {"relative_embeddings": TABLE[:5, :4]}, ("relative_embeddings",),
    ),
    "PerturbedArgmax": (layers.PerturbedArgmax, {"nodes": 5}, X, [MASK]),
    "PositionEmbedding": (
        layers.PositionEmbedding, {**POSITIONS, "embeddings_initializer": "uniform"}, X, [MASK],
    ),
    "PositionEmbedding, ids": (
        layers.PositionEmbedding,
        {**POSITIONS, "merge_mode": "concat", "custom_position_ids": True}, [X, IDS],
        [MASK, None],
    ),
    "PositionEmbedding, hierarchical": (
        layers.PositionEmbedding,
        {"input_dim": 4, "output_dim": 8, "hierarchical": True, "merge_mode": "mul"}, X, [MASK],
    ),
    "RelativePositionEmbedding": (
        layers.RelativePositionEmbedding,
        {"input_dim": 5, "output_dim": 4, "return_table": True}, [X, Y],
    ),
    "RelativePositionEmbedding, ids": (
        layers.RelativePositionEmbedding, {"input_dim": 5, "output_dim": 4}, X, None,
        {"position_ids": IDS},
    ),
    "RelativePositionEmbeddingT5": (
        layers.RelativePositionEmbeddingT5, {"input_dim": 8, "output_dim": 4}, [X, Y],
    ),
    "RelativePositionTable": (
        layers.RelativePositionTable, {"input_dim": 6, "output_dim": 4}, X,
    ),
    "RotaryEmbedding": (layers.RotaryEmbedding, {"output_dim": 4}, X),
    "RotaryEmbedding, ids": (
        layers.RotaryEmbedding, {"output_dim": 8, "axes": 2}, X, None,
        {"position_ids": np.stack([IDS, IDS], axis=-1)},
    ),
    "ScaleOffset": (layers.ScaleOffset, {}, X, [MASK]),
    "SentencePairFeatures": (layers.SentencePairFeatures, {}, X[:, 0]),
    "SentencePairFeatures, list": (layers.SentencePairFeatures, {}, [X[:, 0], Y[:, 0]]),
    "SinusoidalPositionEmbedding": (
        layers.SinusoidalPositionEmbedding, {"output_dim": 8}, X, [MASK],
    ),
    "SinusoidalPositionEmbedding, concat": (
        layers.SinusoidalPositionEmbedding, {"output_dim": 8, "merge_mode": "concat"}, X, [MASK],
    ),
    "VonMisesFisherSampling": (layers.VonMisesFisherSampling, {}, X, [MASK]),
    "Whitening": (layers.Whitening, {"n_components": 3}, X, [MASK]),
}  # fmt: skip


def test_every_layer_is_here():
    named = {name.split(",")[0] for name in CASES}
    assert named == set(layers.__all__) - {"Layer"}


def built(name):
    cls, config, inputs, *rest = CASES[name]
    example = Example(inputs, *rest)
    layer = cls(**config)
    example.apply(layer, {k: _tensor(x) for k, x in example.arrays.items()})
    for weight in layer.trainable_weights:  # zero-initialised weights hide mistakes
        weight.assign(weight + np.random.default_rng(1).normal(0, 0.1, weight.shape))
    return layer, example


def _tensor(x):
    from keras import ops

    return ops.convert_to_tensor(x)


@pytest.mark.parametrize("name", CASES)
def test_graphs_and_exports(name, tmp_path):
    layer, example = built(name)
    check_open_graph(layer, example)
    check_export(layer, example, tmp_path)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", CASES)
def test_xla(name):
    check_open_graph(*built(name), jit=True)


# Their outputs have no weights in them: they train by their own losses, in test_chain_lengths.
CHAINS = {"ConditionalRandomField", "MaximumEntropyMarkovModel"}


@pytest.mark.exhaustive
@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("name", sorted(CASES.keys() - CHAINS))
def test_fit(name, jit):
    check_fit_of_layer(*built(name), jit=jit)
