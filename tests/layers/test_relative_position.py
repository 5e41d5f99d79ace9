"""RelativePositionEmbedding and T5's, against bert4keras' recordings and by their definition."""

import numpy as np
import pytest
from keras import ops

from bert4keras_ext.backend.positions import Sinusoidal
from bert4keras_ext.layers import RelativePositionEmbedding, RelativePositionEmbeddingT5
from tests.harness import check_layer
from tests.recorded import recorded_case

RNG = np.random.default_rng(0)
X = RNG.normal(size=(2, 5, 12)).astype("float32")
Y = RNG.normal(size=(2, 7, 12)).astype("float32")
IDS = np.array([[0, 1, 2, 3, 4], [9, 2, 40, 3, 3]], "int32")


@pytest.mark.parametrize("name", ["rel", "rel_cross", "rel_sinusoidal_init"])
def test_equals_bert4keras(name):
    case = recorded_case(name)
    initializer = Sinusoidal() if "sinusoidal" in name else "zeros"
    layer = RelativePositionEmbedding(
        **case.config, embeddings_initializer=initializer, trainable="sinusoidal" not in name
    )
    if case.weights:
        case.check(layer, layer, tolerance=2e-6, listed=True)
    else:
        np.testing.assert_allclose(layer(case.inputs), case.outputs[0], atol=2e-6)


@pytest.mark.parametrize("name", ["t5rel_bi", "t5rel_uni", "t5rel_cross", "t5rel_dist20"])
def test_t5_equals_bert4keras(name):
    case = recorded_case(name)
    layer = RelativePositionEmbeddingT5(**case.config)

    def run(inputs):  # theirs: (query, key, heads)
        return ops.transpose(layer(inputs)[0], (1, 2, 0))

    # A row's gradient sums the cotangents of all pairs in its bucket, up to 12880 values of size 1
    # to at most 89. Theirs and ours in float32 are both up to 2.1e-4 off the exact sum, which is
    # 2.8e-6 of the largest entry (and equal each other): hence relative to that.
    rows = ops.convert_to_numpy(layer.rows(layer.distances(case.inputs)))
    exact = np.zeros(case.weights[0].shape)
    np.add.at(exact, rows, case.arrays["ct"].astype("float64"))
    case.check(layer, run, tolerance=2e-5, listed=True, exact={"dw_0": exact})


@pytest.mark.parametrize("cls, shapes", [
    (RelativePositionEmbedding, [(5, 5, 4), (5, 7, 4), (2, 5, 5, 4)]),
    (RelativePositionEmbeddingT5, [(1, 4, 5, 5), (1, 4, 5, 7), (2, 4, 5, 5)]),
])  # fmt: skip
def test_citizenship(cls, shapes):
    config = dict(input_dim=9, output_dim=4)
    for inputs, call, shape in zip(
        (X, [X, Y], X), ({}, {}, {"position_ids": IDS}), shapes, strict=True
    ):
        check_layer(cls, config, inputs, call=call, expected_shape=shape, expected_weights=1)


def test_vectors_are_those_of_the_clipped_distance():
    layer = RelativePositionEmbedding(5, 3, embeddings_initializer="normal")
    found, table = layer(ops.ones((1, 6, 1)), key=ops.ones((1, 4, 1))), layer.get_weights()[0]
    for i, j in np.ndindex(6, 4):
        np.testing.assert_array_equal(found[i, j], table[min(max(j - i, -2), 2) + 2])


@pytest.mark.parametrize("cls", [RelativePositionEmbedding, RelativePositionEmbeddingT5])
def test_ids_that_count_are_the_default_and_others_are_looked_up(cls):
    layer = cls(9, 3, embeddings_initializer="normal")
    plain = ops.convert_to_numpy(layer(X))
    by_ids = ops.convert_to_numpy(layer(X, position_ids=IDS))
    np.testing.assert_array_equal(by_ids[0], plain if plain.ndim == 3 else plain[0])
    if cls is RelativePositionEmbedding:
        table = layer.get_weights()[0]
        for i, j in np.ndindex(5, 5):
            distance = int(np.clip(IDS[1, j] - IDS[1, i], -4, 4))
            np.testing.assert_array_equal(by_ids[1, i, j], table[distance + 4])


def test_the_t5_initializer_counts():
    """bert4keras swallowed it."""
    layer = RelativePositionEmbeddingT5(9, 3, embeddings_initializer="ones")
    np.testing.assert_array_equal(layer(X), np.ones((1, 3, 5, 5)))


def test_the_table_beside_the_vectors():
    layer = RelativePositionEmbedding(5, 3, embeddings_initializer="normal", return_table=True)
    vectors, table = layer(X)
    np.testing.assert_array_equal(table, layer.get_weights()[0])
    np.testing.assert_array_equal(vectors[0, 1], table[3])
    assert layer.compute_output_shape(X.shape) == ((5, 5, 3), (5, 3))
    assert RelativePositionEmbedding.from_config(layer.get_config()).return_table
