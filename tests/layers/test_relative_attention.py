"""Relative vectors in attention: the table gives what the vectors of all pairs give."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from bert4keras_ext.layers import MultiHeadAttention, RelativePositionEmbedding
from bert4keras_ext.layers.relative_attention import relative_scores, vectors_of_pairs


def by_definition(query, table, keys):
    """One pair at a time, in float64."""
    reach = (len(table) - 1) // 2
    scores = np.zeros((*query.shape[:3], keys))
    for i, j in np.ndindex(query.shape[2], keys):
        scores[:, :, i, j] = query[:, :, i] @ table[min(max(j - i, -reach), reach) + reach]
    return scores


@given(
    reach=st.integers(0, 6), keys=st.integers(1, 20), missing=st.integers(0, 19),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_scores_by_table(reach, keys, missing, seed):
    """Tables shorter, as long as and longer than the texts; fewer queries than keys."""
    rng = np.random.default_rng(seed)
    queries = max(1, keys - missing)
    query, table = rng.normal(size=(2, 3, queries, 4)), rng.normal(size=(2 * reach + 1, 4))
    found = relative_scores(ops.convert_to_tensor(query), ops.convert_to_tensor(table), keys)
    np.testing.assert_allclose(found, by_definition(query, table, keys), atol=1e-12)


@pytest.mark.parametrize("jit", [False, True])
def test_scores_by_table_where_lengths_are_unknown(jit):
    rng = np.random.default_rng(0)
    table = rng.normal(size=(7, 4)).astype("float32")
    shape = [None, 3, None, 4]

    @tf.function(input_signature=[tf.TensorSpec(shape)], jit_compile=jit)
    def scores(query):
        return relative_scores(query, tf.constant(table), tf.shape(query)[2])

    for length in (2, 5, 9):
        query = rng.normal(size=(2, 3, length, 4)).astype("float32")
        np.testing.assert_allclose(
            scores(tf.constant(query)), by_definition(query, table, length), atol=2e-6
        )


@pytest.mark.parametrize("length", [3, 7, 12])
def test_attention_with_the_table_equals_attention_with_vectors(length):
    """Outputs and gradients, of the layer's weights and of the table."""
    x = np.random.default_rng(1).normal(size=(2, length, 8)).astype("float32")
    embedding = RelativePositionEmbedding(7, 4, "normal", return_table=True)
    layer = MultiHeadAttention(2, 4)
    layer(x)
    embedding(x)

    def outputs_and_gradients(both):
        with tf.GradientTape() as tape:
            vectors, table = embedding(x)
            outputs = layer(x, relative_embeddings=table if both else vectors,
                            relative_values=vectors)  # fmt: skip
            loss = ops.mean(outputs * outputs)
        variables = [*layer.trainable_variables, *embedding.trainable_variables]
        gradients = tape.gradient(loss, [v.value for v in variables])
        return [outputs, *(tf.convert_to_tensor(g) for g in gradients)]

    for found, wanted in zip(outputs_and_gradients(True), outputs_and_gradients(False)):
        np.testing.assert_allclose(found, wanted, atol=2e-6)


def test_a_table_alone_serves_keys_and_values():
    x = np.random.default_rng(2).normal(size=(2, 6, 8)).astype("float32")
    vectors, table = RelativePositionEmbedding(5, 4, "normal", return_table=True)(x)
    layer = MultiHeadAttention(2, 4)
    wanted = layer(x, relative_embeddings=vectors)
    np.testing.assert_allclose(layer(x, relative_embeddings=table), wanted, atol=2e-6)


def test_vectors_of_pairs():
    table = ops.convert_to_tensor(np.arange(5.0)[:, None])
    found = vectors_of_pairs(table, np.array([[3, 4]]), np.arange(6)[None])[..., 0]
    np.testing.assert_array_equal(found, [[[0, 0, 1, 2, 3, 4], [0, 0, 0, 1, 2, 3]]])


def test_more_queries_than_keys_is_an_error():
    layer = MultiHeadAttention(2, 4)
    table = keras.random.normal((5, 4))
    with pytest.raises(ValueError, match="no more queries than keys, received 3 queries and 2"):
        layer(ops.ones((1, 3, 8)), ops.ones((1, 2, 8)), relative_embeddings=table)
