"""Every public layer and loss inside a compiled function of JAX: shapes, gradients, training.

A traced value has no number that could be asked for. ``test_layers`` and ``test_losses`` compare
numbers with recordings and formulas; here nothing is left out.
"""

import jax
import keras
import numpy as np
import pytest
from keras import ops, tree

from bert4keras_ext import layers, losses
from tests.recorded import RecordedCase, recorded_names

RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.normal(size=shape).astype("float32")


X, Y, IDS = normal(2, 6, 8), normal(2, 6, 8), np.tile(np.arange(6), (2, 1))
TABLE, SIN = normal(5, 4), normal(1, 6, 4)
BIAS = np.tril(np.ones((6, 6), bool))
POSITIONS = {"position_ids": IDS}
# (class, arguments of the constructor, inputs, further tensors of the call)
CASES = [
    ("Add", {}, [X, Y], {}),
    ("BatchSplit", {"parts": 2}, X, {}),
    ("CascadingRejection", {"n": 3}, X[:, 0], {}),
    ("CosineDense", {"units": 3}, X, {}),
    ("ConditionalRandomField", {}, X, {}),
    ("Dense", {"units": 3}, X, {}),
    ("DisentangledAttention", {"heads": 2, "head_size": 4, "buckets": 4, "max_distance": 12},
     X, {"relative_embeddings": normal(8, 8)}),
    ("DisentangledAttention", {"heads": 2, "head_size": 4, "max_distance": 4},
     X, {"relative_embeddings": normal(8, 8), **POSITIONS}),
    ("Dropout", {"rate": 0.3}, X, {}),
    ("EfficientGlobalPointer", {"heads": 2, "head_size": 4}, X, {}),
    ("Embedding", {"input_dim": 7, "output_dim": 4, "mask_zero": True}, IDS, {}),
    ("FeedForward", {"units": 4, "activation": ["gelu", "linear"]}, X, {}),
    ("FirstLastAverage", {}, [X, Y], {}),
    ("FirstPooling1D", {}, X, {}),
    ("GatedAttentionUnit", {"units": 4, "key_size": 4}, X,
     {"attention_bias": BIAS, "rotary": SIN}),
    ("GatedAttentionUnit", {"units": 4, "key_size": 4, "normalization": "softmax_plus"}, X, {}),
    ("GatedAttentionUnit", {"units": 4, "key_size": 4, "self_attention": False}, [X, Y, Y], {}),
    ("GlobalAveragePooling1D", {}, X, {}),
    ("GlobalMaxPooling1D", {}, X, {}),
    ("GlobalPointer", {"heads": 2, "head_size": 4}, X, {}),
    ("LayerNormalization", {"conditional": True}, X, {"condition": Y[:, 0]}),
    ("MaskedConv1D", {"filters": 4, "kernel_size": 3}, X, {}),
    ("MaximumEntropyMarkovModel", {}, X, {}),
    ("MultiHeadAttention", {"heads": 2, "head_size": 4, "attention_dropout": 0.1}, X,
     {"attention_bias": BIAS, "rotary": SIN}),
    ("MultiHeadAttention", {"heads": 2, "head_size": 4}, X, {"relative_embeddings": TABLE}),
    ("MultiHeadAttention", {"heads": 2, "head_size": 4, "normalization": "softmax_plus"}, X,
     {"relative_embeddings": normal(6, 6, 4)}),
    ("MultiHeadAttention", {"heads": 2, "head_size": 4, "normalization": "squared_relu"},
     [X[:, :3], Y, Y], {"position_bias": normal(1, 2, 3, 6)}),
    ("PerturbedArgmax", {}, X, {}),
    ("PositionEmbedding", {"input_dim": 4, "output_dim": 8, "hierarchical": True}, X, {}),
    ("PositionEmbedding", {"input_dim": 6, "output_dim": 8, "merge_mode": "mul"}, X, {}),
    ("RelativePositionEmbedding", {"input_dim": 5, "output_dim": 4, "return_table": True}, X, {}),
    ("RelativePositionEmbedding", {"input_dim": 5, "output_dim": 4}, X, POSITIONS),
    ("RelativePositionEmbeddingT5", {"input_dim": 8, "output_dim": 2}, X, POSITIONS),
    ("RelativePositionTable", {"input_dim": 8, "output_dim": 4}, IDS, {}),
    ("RotaryEmbedding", {"output_dim": 4}, X, {}),
    ("RotaryEmbedding", {"output_dim": 4, "scaling": {"type": "linear", "factor": 2.0}}, X,
     POSITIONS),
    ("ScaleOffset", {}, X, {}),
    ("SentencePairFeatures", {}, X[:, 0], {}),
    ("SinusoidalPositionEmbedding", {"output_dim": 8}, X, {}),
    ("VonMisesFisherSampling", {"kappa": 5.0, "seed": 1}, X, {}),
    ("Whitening", {}, X[:, 0], {}),
]  # fmt: skip
# Not layers to be called: base classes, and what takes a layer's place in a model of its own.
ELSEWHERE = {"Layer", "Loss", "BatchConcat"}


def finite(tensors):
    return [ops.where(ops.isfinite(x), x, 0.0) for x in tree.flatten(tensors)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_layer(case):
    name, config, inputs, call = case
    layer = getattr(layers, name)(**config)
    mask = BIAS[2:4] if name not in ("Add", "BatchSplit") and inputs is X else None
    mask = {"mask": mask} if mask is not None and "mask" in layer._call_signature.parameters else {}
    training = {"training": True} if layer._call_has_training_arg else {}
    arguments = tree.map_structure(ops.convert_to_tensor, (inputs, {**call, **mask}))
    symbols = tree.map_structure(lambda x: keras.KerasTensor(x.shape, dtype=x.dtype), arguments)
    wanted = layer(symbols[0], **symbols[1])  # builds it

    def total(weights, inputs, call):
        state = list(zip(layer.trainable_variables, weights))
        with keras.StatelessScope(state_mapping=state):
            outputs = tree.flatten([layer(inputs, **call), layer(inputs, **call, **training)])
        return sum(ops.sum(ops.cos(x)) for x in finite(outputs)), outputs

    weights = [v.value for v in layer.trainable_variables]
    compiled = jax.jit(jax.value_and_grad(total, has_aux=True))
    (value, outputs), gradients = compiled(weights, *arguments)
    assert [x.shape for x in tree.flatten([wanted, wanted])] == [x.shape for x in outputs]
    assert all(np.all(np.isfinite(x)) for x in (value, *gradients))


def test_no_layer_is_forgotten():
    recorded = {RecordedCase(name).cls for name in recorded_names()}
    assert set(layers.__all__) <= {case[0] for case in CASES} | recorded | ELSEWHERE


S, LABELS, DENSE = normal(4, 5), np.array([0, 3, 1, 4]), np.eye(5, dtype="float32")[[0, 3, 1, 4]]
SPANS = np.array([[[[1, 2], [0, 0]]]])
SQUARE = np.eye(3, dtype="float32") + 0.1
GAUSSIANS = normal(3), SQUARE @ SQUARE.T, normal(3), np.eye(3, dtype="float32")
DIAGONALS = [normal(4, 3) for _ in range(4)]
# name -> what it is called with; of a class, after its own arguments
LOSSES = {
    "AMSoftmax": ({}, LABELS, S),
    "CoSENTLoss": ({}, np.arange(4) % 2, S),
    "ContrastiveLoss": ({}, np.zeros((4, 1), "int32"), S),
    "GlobalPointerCrossentropy": ({"sparse": True}, SPANS, normal(1, 1, 5, 5)),
    "MultiTaskCrossentropy": ({"tasks": (2, 3)}, LABELS, S),
    "MultilabelCategoricalCrossentropy": ({}, DENSE, S),
    "RDropLoss": ({}, LABELS, S),
    "SimplerASoftmax": ({}, LABELS, S),
    "SparseMultilabelCategoricalCrossentropy": ({}, LABELS[:, None], S),
    "am_softmax": (DENSE, S),
    "contrastive_crossentropy": (LABELS, S),
    "cosent": (LABELS, S[:, 0]),
    "full_bhattacharyya": GAUSSIANS,
    "full_kl": GAUSSIANS,
    "full_wasserstein": GAUSSIANS,
    "diagonal_bhattacharyya": DIAGONALS,
    "diagonal_kl": DIAGONALS,
    "diagonal_wasserstein": DIAGONALS,
    "global_pointer_crossentropy": (np.ones((1, 1, 5, 5), "float32"), normal(1, 1, 5, 5)),
    "kl_to_standard_normal": DIAGONALS[:2],
    "log_gap": (LABELS, S),
    "multi_task_crossentropy": (LABELS, S, (2, 3)),
    "multilabel_categorical_crossentropy": (DENSE, S),
    "multilabel_probabilities": (S,),
    "pair_cosines": (S,),
    "pair_similarities": (S, S[::-1].copy()),
    "r_drop": (LABELS, S),
    "seq2seq_crossentropy": (LABELS[None], S[None]),
    "simcse_similarities": (S,),
    "similarity_distillation": (S, S[::-1].copy()),
    "simpler_a_softmax": (DENSE, S),
    "sparse_am_softmax": (LABELS, S),
    "sparse_global_pointer_crossentropy": (SPANS, normal(1, 1, 5, 5)),
    "sparse_multilabel_categorical_crossentropy": (LABELS[:, None], S),
    "sparse_simpler_a_softmax": (LABELS, S),
    "symmetric_kl": (S, S[::-1].copy()),
    "token_crossentropy": (LABELS, S),
}


@pytest.mark.parametrize("name", LOSSES)
def test_loss(name):
    function, arguments = getattr(losses, name), LOSSES[name]
    if isinstance(function, type):
        config, *arguments = arguments
        function = function(**config)
    arrays = [x for x in arguments if isinstance(x, np.ndarray)]
    rest = [x for x in arguments if not isinstance(x, np.ndarray)]
    floats = tuple(i for i, x in enumerate(arrays) if x.dtype.kind == "f")

    def total(*tensors):
        return sum(ops.sum(x) for x in finite(function(*tensors, *rest)))

    value, gradients = jax.jit(jax.value_and_grad(total, argnums=floats))(*arrays)
    assert all(np.all(np.isfinite(x)) for x in (value, *gradients))


def test_no_loss_is_forgotten():
    trained_in_test_models = {"Loss", "Seq2SeqLoss", "SimBERTLoss"}
    assert set(losses.__all__) <= {*LOSSES, *trained_in_test_models}
