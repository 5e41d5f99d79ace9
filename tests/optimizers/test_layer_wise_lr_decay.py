"""Layer-wise learning-rate decay: each weight moves by its depth's share of a step."""

import keras
import numpy as np
import pytest

from bert4keras_ext.optimizers import Adam, extend_with_layer_wise_lr_decay

DECAY, RATE = 0.5, 0.1


def moves(paths, **kwargs):
    """How far a step of gradient descent with gradients of 1 takes each weight, in rates."""
    variables = []
    for path in paths:
        scope, name = path.split("/")
        with keras.name_scope(scope):
            variables.append(keras.Variable(np.zeros(3, "float32"), name=name))
    optimizer = extend_with_layer_wise_lr_decay(keras.optimizers.SGD)(
        RATE, layer_lr_decay=DECAY, **kwargs
    )
    optimizer.apply([np.ones(3, "float32")] * len(paths), variables)
    return {path: float(-v.numpy()[0] / RATE) for path, v in zip(paths, variables)}


def test_rates_fall_from_the_head_to_the_embeddings():
    found = moves([
        "Embedding-Token/embeddings", "Embedding-Norm/gamma", "Transformer-0-FeedForward/kernel",
        "Transformer-1-MultiHeadSelfAttention/kernel", "Transformer-2-FeedForward-Norm/gamma",
        "Head/kernel",
    ])  # fmt: skip
    # Three layers: DECAY^(3 + 1 - depth).
    wanted = [0.5**4, 0.5**4, 0.5**3, 0.5**2, 0.5**1, 1]
    np.testing.assert_allclose(list(found.values()), wanted, rtol=1e-6)


def test_stacks_of_different_depth_count_apart():
    """The last layers of an encoder and of a decoder lose one factor each."""
    found = moves([
        "Encoder-Embedding-Token/embeddings",
        "Encoder-Transformer-0-Dense/kernel", "Encoder-Transformer-1-Dense/kernel",
        "Decoder-Transformer-0-Dense/kernel",
    ])  # fmt: skip
    np.testing.assert_allclose(list(found.values()), [0.5**3, 0.5**2, 0.5, 0.5], rtol=1e-6)


def test_patterns_of_another_model():
    found = moves(
        ["wte/embeddings", "block_0_mlp/kernel", "block_10_mlp/kernel"],
        layer_pattern=r"block_(\d+)", include_in_layer_zero=["wte"],
    )  # fmt: skip
    np.testing.assert_allclose(list(found.values()), [0.5**12, 0.5**11, 0.5], rtol=1e-6)


@pytest.mark.parametrize("decay", [1.0, 0.9])
def test_a_model_of_ours(decay):
    """With a decay of 1 it is the base optimizer; otherwise the first layers move less."""
    from bert4keras_ext.models import build_transformer_model

    config = {
        "vocab_size": 20, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 16, "hidden_act": "gelu", "max_position_embeddings": 8,
    }  # fmt: skip
    model = build_transformer_model(config)
    optimizer = extend_with_layer_wise_lr_decay(Adam)(1e-2, layer_lr_decay=decay)
    weights = model.trainable_variables
    before = [w.numpy() for w in weights]
    optimizer.apply([np.ones(w.shape, "float32") for w in weights], weights)
    for weight, old in zip(weights, before):
        layer = next((i for i in (0, 1) if f"Transformer-{i}" in weight.path), -1)
        # Adam's first step is the rate itself, wherever the gradient is.
        np.testing.assert_allclose(old - weight.numpy(), 1e-2 * decay ** (2 - layer), rtol=1e-4)
