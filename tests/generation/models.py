"""Tiny models, and batches for them."""

import keras
import numpy as np

from bert4keras_ext.models import build_transformer_model

CONFIG = dict(
    vocab_size=30, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
    hidden_act="gelu", max_position_embeddings=40,
)  # fmt: skip


def model_of(name="bert", application="unilm", **kwargs):
    """A tiny model, each of whose weights matters."""
    head = {"bert": "with_mlm", "gpt": "with_lm", "t5": "with_lm"}[name]
    builder = build_transformer_model(
        CONFIG, model=name, application=application, return_keras_model=False,
        **{head: "linear", **kwargs},
    )  # fmt: skip
    rng = np.random.default_rng(0)
    for variable in builder.model.trainable_variables:
        variable.assign(variable + rng.normal(0, 0.3, variable.shape))
    return builder


def batch(rows, length, width=30, seed=0):
    return np.random.default_rng(seed).integers(4, width, (rows, length))


def segments_of(ids, source=3):
    return np.tile((np.arange(ids.shape[1]) >= source).astype("int64"), (len(ids), 1))


def counting_model(function):
    """A model of one input through a function that notes each of its traces."""
    traces = []

    class Counting(keras.layers.Layer):
        def call(self, inputs):
            traces.append(tuple(inputs.shape))
            return function(inputs)

    tokens = keras.Input((None,), dtype="int32")
    states = keras.layers.Embedding(30, 4, embeddings_initializer="normal")(tokens)
    model = keras.Model(tokens, Counting()(states))
    traces.clear()
    return model, traces
