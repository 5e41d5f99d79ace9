import math

import keras
import numpy as np
import pytest
from keras import ops

from bert4keras_ext.layers import DisentangledAttention, RelativePositionTable
from bert4keras_ext.layers.disentangled_attention import shift_rows
from tests.harness import FLOAT32_TOLERANCE, check_layer

RNG = np.random.default_rng(0)
HEADS, SIZE, DIM = 2, 3, 6


def normal(*shape):
    return RNG.normal(size=shape).astype("float32")


def weights_of(layer):
    return {w.path.split("/", 1)[-1]: w.numpy().astype("float64") for w in layer.weights}


def projected(weights, name, x):
    """(length, dim) -> (heads, length, size)."""
    y = x @ weights[f"{name}/kernel"] + weights[f"{name}/bias"]
    return y.reshape(len(x), HEADS, SIZE).transpose(1, 0, 2)


def row(distance, span, bucket):
    return min(max(bucket(distance) + span, 0), 2 * span - 1)


def scores_by_loops(layer, query, key, table, query_ids, key_ids, bucket=lambda d: d):
    """Float64 (heads, query, key) of one text, pair by pair, by the formula of the docstring."""
    weights, terms = weights_of(layer), layer.terms
    query, key = projected(weights, "q", query), projected(weights, "k", key)
    shared = layer.share_projections
    k_rows = projected(weights, "k" if shared else "position_k", table) if "c2p" in terms else None
    q_rows = projected(weights, "q" if shared else "position_q", table) if "p2c" in terms else None
    scores = np.zeros((HEADS, query.shape[1], key.shape[1]))
    for h, i, j in np.ndindex(scores.shape):
        r = row(int(query_ids[i] - key_ids[j]), len(table) // 2, bucket)
        s = query[h, i] @ key[h, j]
        s += query[h, i] @ k_rows[h, r] if "c2p" in terms else 0
        s += key[h, j] @ q_rows[h, r] if "p2c" in terms else 0
        scores[h, i, j] = s / math.sqrt(SIZE * (1 + len(terms)))
    return scores


def deberta_bucket(distance, buckets, max_distance):
    middle = buckets // 2
    if abs(distance) <= middle:
        return distance
    steps = math.log(abs(distance) / middle) / math.log((max_distance - 1) / middle) * (middle - 1)
    return int(math.copysign(math.ceil(steps) + middle, distance))


def scores_of(layer, query, **arguments):
    layer.return_attention_scores = True
    return ops.convert_to_numpy(layer(query, **arguments)[1])


def randomized(**config):
    layer = DisentangledAttention(HEADS, SIZE, **config)
    layer.build((None, None, DIM))
    for weight in layer.weights:
        weight.assign(normal(*weight.shape))
    return layer


# A score sums some 3 * 6 products of size up to about 30.
TOLERANCE = dict(atol=40 * 18 * 2.0**-23, rtol=0)


@pytest.mark.parametrize("terms", [("c2p", "p2c"), ("p2c",), ("c2p",), ()])
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("length", [1, 2, 9])
def test_scores_equal_loops(terms, shared, length):
    layer = randomized(terms=terms, share_projections=shared, max_distance=4)
    x, table = normal(2, length, DIM), normal(8, DIM)
    found = scores_of(layer, x, relative_embeddings=table)
    places = np.arange(length)
    for text, scores in zip(x, found):
        wanted = scores_by_loops(layer, text, text, table, places, places)
        np.testing.assert_allclose(scores, wanted, **TOLERANCE)


@pytest.mark.parametrize("buckets, max_distance, length", [(4, 12, 30), (6, 40, 26), (5, 9, 20)])
def test_buckets(buckets, max_distance, length):
    layer = randomized(buckets=buckets, max_distance=max_distance)
    x, table = normal(1, length, DIM), normal(2 * buckets, DIM)
    places = np.arange(length)
    wanted = scores_by_loops(
        layer, x[0], x[0], table, places, places,
        lambda d: deberta_bucket(d, buckets, max_distance),
    )  # fmt: skip
    np.testing.assert_allclose(
        scores_of(layer, x, relative_embeddings=table)[0], wanted, **TOLERANCE
    )


def test_position_ids():
    layer = randomized(max_distance=5)
    query, key, table = normal(2, 4, DIM), normal(2, 6, DIM), normal(10, DIM)
    ids, key_ids = RNG.integers(0, 9, (2, 4)), RNG.integers(0, 9, (2, 6))
    found = scores_of(
        layer, query, key=key, relative_embeddings=table, position_ids=ids, key_position_ids=key_ids
    )
    for i in range(2):
        wanted = scores_by_loops(layer, query[i], key[i], table, ids[i], key_ids[i])
        np.testing.assert_allclose(found[i], wanted, **TOLERANCE)
    # Consecutive ids are what there is without ids, wherever they begin.
    plain = scores_of(layer, query, relative_embeddings=table)
    same = scores_of(layer, query, relative_embeddings=table, position_ids=np.arange(7, 11)[None])
    np.testing.assert_allclose(plain, same, **TOLERANCE)


@pytest.mark.parametrize("queries, keys", [(1, 5), (3, 5), (5, 2)])
def test_queries_are_the_last_of_the_keys(queries, keys):
    layer = randomized(max_distance=3)
    query, key, table = normal(1, queries, DIM), normal(1, keys, DIM), normal(6, DIM)
    found = scores_of(layer, query, key=key, relative_embeddings=table)
    places = np.arange(queries) + keys - queries
    wanted = scores_by_loops(layer, query[0], key[0], table, places, np.arange(keys))
    np.testing.assert_allclose(found[0], wanted, **TOLERANCE)


def test_terms_count_in_the_scale_without_a_table():
    layer, x = randomized(), normal(1, 4, DIM)
    weights = weights_of(layer)
    q, k = (projected(weights, name, x[0]) for name in "qk")
    wanted = q @ k.transpose(0, 2, 1) / math.sqrt(3 * SIZE)
    np.testing.assert_allclose(scores_of(layer, x)[0], wanted, **TOLERANCE)


def test_output_is_the_average_of_the_values():
    layer, x, table = randomized(max_distance=4), normal(1, 5, DIM), normal(8, DIM)
    scores = scores_by_loops(layer, x[0], x[0], table, np.arange(5), np.arange(5))
    a = np.exp(scores - scores.max(-1, keepdims=True))
    a /= a.sum(-1, keepdims=True)
    weights = weights_of(layer)
    context = (a @ projected(weights, "v", x[0])).transpose(1, 0, 2).reshape(5, -1)
    wanted = context @ weights["o/kernel"] + weights["o/bias"]
    found = ops.convert_to_numpy(layer(x, relative_embeddings=table))[0]
    # The exponential multiplies errors by the scores' size.
    np.testing.assert_allclose(found, wanted, atol=5e-4, rtol=1e-5)


@pytest.mark.parametrize("shared", [True, False])
def test_citizenship(shared):
    layer, _ = check_layer(
        DisentangledAttention,
        dict(heads=2, head_size=4, buckets=4, max_distance=12, share_projections=shared,
             position_dropout=0.1),
        normal(2, 7, 8),
        call=dict(relative_embeddings=normal(8, 8) / 3),
        expected_shape=(2, 7, 8),
        expected_weights=8 if shared else 12,
        zero_gradients=("position_k/bias",) if shared else ("k/bias",),
    )  # fmt: skip
    assert layer.span == 4


def test_masked_keys_have_no_weight():
    layer, x, table = randomized(max_distance=4), normal(1, 6, DIM), normal(8, DIM)
    mask = np.array([[True] * 4 + [False] * 2])
    found = layer(x, relative_embeddings=table, query_mask=ops.convert_to_tensor(mask))
    shorter = layer(x[:, :4], relative_embeddings=table)
    np.testing.assert_allclose(found[:, :4], shorter, atol=100 * FLOAT32_TOLERANCE)


def test_position_dropout_acts_in_training_only():
    layer, x, table = randomized(position_dropout=0.5), normal(1, 6, DIM), normal(1024, DIM)
    layer.return_attention_scores = True
    plain = layer(x, relative_embeddings=table)[1]
    np.testing.assert_array_equal(plain, layer(x, relative_embeddings=table, training=False)[1])
    assert np.abs(plain - layer(x, relative_embeddings=table, training=True)[1]).max() > 0.1


@pytest.mark.parametrize("rows, count", [(1, 1), (1, 4), (4, 1), (3, 5), (5, 3)])
def test_shift_rows(rows, count):
    x = normal(2, 2, rows, rows + count)
    found = ops.convert_to_numpy(shift_rows(ops.convert_to_tensor(x), count))
    wanted = [x[:, :, a, rows - 1 - a : rows - 1 - a + count] for a in range(rows)]
    np.testing.assert_array_equal(found, np.stack(wanted, axis=2))


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="'c2p', 'p2c'.*'p2p'"):
        DisentangledAttention(2, 4, terms=["p2p"])
    with pytest.raises(ValueError, match="at least 2 buckets.*found 1 buckets"):
        DisentangledAttention(2, 4, buckets=1)
    with pytest.raises(ValueError, match=r"\(8, 6\), received \(6, 6\)"):
        randomized(max_distance=4)(normal(1, 3, DIM), relative_embeddings=normal(6, DIM))


def test_the_table_layer():
    layer, output = check_layer(
        RelativePositionTable,
        dict(input_dim=6, output_dim=4, embeddings_initializer="normal"),
        np.array([[5, 6, 0]]),
        expected_shape=(6, 4),
        expected_weights=1,
    )
    np.testing.assert_array_equal(output, layer.embeddings.numpy())
    tokens = keras.Input((None,))
    assert keras.Model(tokens, layer(tokens)).output.shape == (6, 4)
