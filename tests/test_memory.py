"""A model that was built, trained, used and dropped leaves nothing behind.

Keras' own optimizers keep the graph of a training step for good where no gradient is sparse
(TensorFlow's ``all_reduce`` registers a gradient for each call); ours do not, so ours train here.
"""

import gc

import keras
import numpy as np
import pytest
from tensorflow.python.framework.func_graph import FuncGraph

from bert4keras_ext import optimizers
from bert4keras_ext.backend import set_precision, set_recompute
from bert4keras_ext.layers import (
    ConditionalRandomField,
    Dense,
    Dropout,
    FirstPooling1D,
    GlobalPointer,
)
from bert4keras_ext.losses import ContrastiveLoss, GlobalPointerCrossentropy
from bert4keras_ext.models import build_transformer_model
from bert4keras_ext.training import ContrastiveAccumulationModel
from tests.sweeps import some_of

TOKENS = np.ones((4, 6), "int32")
CONFIG = dict(
    vocab_size=30, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
    hidden_act="gelu", hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1,
    max_position_embeddings=16,
)  # fmt: skip


def graphs_alive():
    keras.utils.clear_session()
    gc.collect()
    return sum(isinstance(x, FuncGraph) for x in gc.get_objects())


def use(inputs, outputs, loss, labels, optimizer=None, model=keras.Model, **kwargs):
    model = model(inputs, outputs, **kwargs)
    model.compile(optimizer or optimizers.Adam(1e-3), loss)
    x = [TOKENS] * len(model.inputs) if len(model.inputs) > 1 else TOKENS
    model.fit(x, labels, verbose=0)
    model.evaluate(x, labels, verbose=0)
    model.predict(x, verbose=0)


def encoder(optimizer=None):
    model = build_transformer_model(CONFIG)
    label = Dense(2, "softmax")(FirstPooling1D()(model.output))
    use(model.inputs, label, "sparse_categorical_crossentropy", np.ones(4), optimizer)


def recomputed():
    set_recompute(True)
    try:
        encoder()
    finally:
        set_recompute(False)


def in_bfloat16():
    set_precision("mixed_bfloat16")
    encoder()


def extended():
    cls = optimizers.Adam
    for extend in (
        optimizers.extend_with_weight_decay,
        optimizers.extend_with_layer_adaptation,
        optimizers.extend_with_gradient_accumulation,
        optimizers.extend_with_lookahead,
        optimizers.extend_with_exponential_moving_average,
    ):
        cls = extend(cls)
    encoder(cls(1e-3))


def embedded():
    tokens = keras.Input((None,), dtype="int32")
    return tokens, Dropout(0.1)(keras.layers.Embedding(30, 8)(tokens))


def crf():
    tokens, x = embedded()
    layer = ConditionalRandomField()
    use(tokens, layer(Dense(3)(x)), layer.sparse_loss, TOKENS)


def global_pointer():
    tokens, x = embedded()
    labels = np.zeros((4, 2, 6, 6))
    use(tokens, GlobalPointer(2, 4)(x), GlobalPointerCrossentropy(), labels)


def chunks():
    tokens, x = embedded()
    vectors = keras.layers.GlobalAveragePooling1D()(x)
    model = ContrastiveAccumulationModel
    use(tokens, vectors, ContrastiveLoss(), np.zeros((4, 1)), model=model, chunk_size=2)


@pytest.mark.parametrize(
    "task",
    some_of(
        [encoder, recomputed, in_bfloat16, extended, crf, global_pointer, chunks],
        recomputed, extended, crf, chunks,
    ),
)  # fmt: skip
def test_nothing_is_left(task):
    before = graphs_alive()
    task()
    assert graphs_alive() <= before
