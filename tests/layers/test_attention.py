"""MultiHeadAttention against bert4keras' recordings, a NumPy loop, and everything Keras expects."""

import keras
import numpy as np
import pytest
from keras import ops

from bert4keras_ext.layers import MultiHeadAttention, SinusoidalPositionEmbedding
from tests.harness import check_layer
from tests.recorded import recorded_case

RECORDED = [
    "mha",
    "mha_cross",
    "mha_mask",
    "mha_nobias_noscale",
    "mha_out_key",
    "mha_squared_relu",
    "mha_softmax_plus",
    "mha_float_bias",
    "mha_causal",
]


@pytest.mark.parametrize("name", RECORDED)
def test_equals_bert4keras(name):
    case = recorded_case(name)
    layer = MultiHeadAttention(**case.config)
    extra = {"attention_bias": case.inputs[3]} if len(case.inputs) > 3 else {}

    def run(q, k, v, **extra):
        return layer(q, k, v, value_mask=case.masks.get(2), **extra)

    case.check(layer, run, tolerance=2e-5, names=["attention_bias"] if extra else [])


# What bert4keras calls the kind of position, and our argument for its last input.
POSITIONS = {
    "rotary": "rotary",
    "typical_relative": "relative_embeddings",
    "t5_relative": "position_bias",
}


@pytest.mark.parametrize("name", [f"mha_{kind}" for kind in POSITIONS] + ["mha_rotary_causal"])
def test_positions_equal_bert4keras(name):
    """Outputs, and gradients by everything, the position tensors included."""
    case = recorded_case(name)
    layer = MultiHeadAttention(**case.config)
    argument = POSITIONS[case.call["p_bias"]]
    names = ["attention_bias", argument] if case.call.get("a_bias") else [argument]

    def run(q, k, v, **extra):
        if "position_bias" in extra:  # theirs: (query, key, heads)
            extra["position_bias"] = ops.transpose(extra["position_bias"], (2, 0, 1))[None]
        return layer(q, k, v, value_mask=case.masks.get(2), **extra)

    case.check(layer, run, tolerance=2e-5, names=names)


def test_returned_scores_equal_bert4keras():
    case = recorded_case("mha_scores")
    layer = MultiHeadAttention(**case.config)
    case.load(layer, lambda: layer(*case.inputs))
    outputs, scores = layer(*case.inputs, value_mask=case.masks.get(2))
    np.testing.assert_allclose(outputs, case.outputs[0], atol=2e-5)
    np.testing.assert_allclose(scores, case.outputs[1], atol=2e-5)


def numpy_attention(layer, x, mask):
    """Float64, one query of one head of one row at a time."""
    w = [np.asarray(v, "float64") for v in layer.get_weights()]
    q, k, v = (x @ w[2 * i] + w[2 * i + 1] for i in range(3))
    out = np.zeros((*x.shape[:2], layer.heads * layer.head_size))
    for b, i, h in np.ndindex(x.shape[0], x.shape[1], layer.heads):
        at = slice(h * layer.head_size, (h + 1) * layer.head_size)
        logits = np.array([q[b, i, at] @ k[b, j, at] for j in range(x.shape[1])])
        logits = logits / np.sqrt(layer.head_size)
        weights = np.exp(logits - logits.max()) * mask[b]
        out[b, i, at] = (weights[:, None] * v[b, :, at]).sum(0) / weights.sum()
    return out @ w[6] + w[7]


def test_equals_a_float64_loop():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 5, 8))
    mask = np.array([[1, 1, 1, 1, 1], [1, 1, 0, 1, 0]], bool)
    layer = MultiHeadAttention(2, 4)
    layer(ops.convert_to_tensor(x, "float32"))
    found = layer(ops.convert_to_tensor(x, "float32"), mask=mask)
    np.testing.assert_allclose(found, numpy_attention(layer, x, mask), atol=5e-6)


@pytest.mark.parametrize("normalization", ["softmax", "squared_relu", "softmax_plus"])
@pytest.mark.parametrize("scores", [False, True])
def test_citizenship(normalization, scores):
    x = np.random.default_rng(1).normal(size=(2, 5, 12)).astype("float32")
    mask = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], bool)
    check_layer(
        MultiHeadAttention,
        dict(heads=3, head_size=4, out_dim=10, key_size=6, normalization=normalization,
             return_attention_scores=scores),
        x, masks=[mask],
        expected_shape=[(2, 5, 10), (2, 3, 5, 5)] if scores else (2, 5, 10),
        expected_weights=8, expected_mask=mask,
        # A softmax row does not change when the key's bias adds the same to all its scores.
        zero_gradients=() if scores or normalization == "squared_relu" else ("k/bias",),
    )  # fmt: skip


def test_one_list_of_inputs_is_the_same_as_three_inputs(tmp_path):
    """bert4keras' way to call the layer, masks of an Embedding included, also in a saved model."""
    queries, keys = keras.Input((4,), dtype="int32"), keras.Input((5,), dtype="int32")
    embed = keras.layers.Embedding(9, 8, mask_zero=True)
    layer = MultiHeadAttention(2, 4, return_attention_scores=True)
    q, k = embed(queries), embed(keys)
    pairs = [layer([q, k, k]), layer(q, k, k), layer([q, k]), layer([q]), layer(q)]
    model = keras.Model([queries, keys], pairs)
    model.save(tmp_path / "model.keras")
    inputs = [np.array([[1, 2, 3, 0]]), np.array([[4, 5, 6, 0, 0]])]
    for found in (model(inputs), keras.models.load_model(tmp_path / "model.keras")(inputs)):
        for (outputs, scores), (expected, same) in zip(found, (found[1],) * 3 + (found[4],) * 2):
            np.testing.assert_array_equal(outputs, expected)
            np.testing.assert_array_equal(scores, same)
    other_padding = [inputs[0], np.array([[4, 5, 6, 7, 8]])]
    assert np.abs(model(other_padding)[0][0] - model(inputs)[0][0]).max() > 1e-3
    assert pairs[0][0]._keras_mask is not None and pairs[0][1].shape == (None, 2, 4, 5)
    with pytest.raises(ValueError, match="received 4 tensors.*attention_bias="):
        layer([q, k, k, k])


def test_the_keras_mask_of_the_keys_is_used():
    """What stands in masked positions does not reach unmasked ones."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=(1, 4, 8)).astype("float32")
    y = x.copy()
    y[:, 3] = 100.0
    mask = np.array([[True, True, True, False]])
    layer = MultiHeadAttention(2, 4)
    masking = keras.layers.Masking(mask_value=7.0)
    out_x, out_y = (layer(ops.convert_to_tensor(v), mask=ops.convert_to_tensor(mask))
                    for v in (x, y))  # fmt: skip
    np.testing.assert_allclose(out_x[:, :3], out_y[:, :3], atol=1e-6)
    y[:, 3] = 7.0
    np.testing.assert_allclose(layer(masking(y))[:, :3], out_x[:, :3], atol=1e-6)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("normalization", ["softmax", "squared_relu", "softmax_plus"])
def test_a_row_without_any_key_is_finite(policy, normalization):
    import tensorflow as tf

    layer = MultiHeadAttention(2, 4, normalization=normalization, dtype=policy)
    x = tf.constant(np.random.default_rng(3).normal(size=(2, 3, 8)), "float32")
    mask = tf.constant([[False, False, False], [True, False, False]])
    bias = tf.constant(np.full((3, 3), -np.inf), "float32")
    for extra in ({}, {"attention_bias": bias}):
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = layer(x, mask=mask, **extra)
            total = tf.reduce_sum(tf.cast(outputs, "float32") ** 2)
        grads = tape.gradient(total, [x, *[w.value for w in layer.trainable_weights]])
        assert np.all(np.isfinite(outputs))
        assert all(np.all(np.isfinite(g)) for g in grads)


@pytest.mark.parametrize("shape", [(5, 5), (1, 5, 5), (2, 5, 5), (2, 1, 5, 5), (2, 2, 5, 5)])
def test_bias_shapes_and_kinds_agree(shape):
    """A bool bias equals the float bias of 0 and -inf, in every accepted shape."""
    rng = np.random.default_rng(4)
    allowed = rng.random(shape) < 0.6
    allowed[..., 0] = True
    x = ops.convert_to_tensor(rng.normal(size=(2, 5, 8)), "float32")
    layer = MultiHeadAttention(2, 4)
    by_bool = layer(x, attention_bias=ops.convert_to_tensor(allowed))
    by_float = layer(x, attention_bias=np.where(allowed, 0, -np.inf).astype("float32"))
    np.testing.assert_allclose(by_bool, by_float, atol=1e-6)


def test_residual_scores_are_added_to_the_scores():
    rng = np.random.default_rng(5)
    x = ops.convert_to_tensor(rng.normal(size=(1, 4, 8)), "float32")
    extra = rng.normal(size=(1, 2, 4, 4)).astype("float32")
    layer = MultiHeadAttention(2, 4)
    np.testing.assert_allclose(
        layer(x, residual_scores=extra), layer(x, attention_bias=extra), atol=1e-6
    )


def test_unknown_normalization_names_the_known_ones():
    with pytest.raises(ValueError, match="softmax_plus.*received 'soft'"):
        MultiHeadAttention(2, 4, normalization="soft")(ops.ones((1, 2, 8)))


X = np.random.default_rng(6).normal(size=(2, 5, 12)).astype("float32")
MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], bool)


def sinusoids(positions, dim):
    return SinusoidalPositionEmbedding(dim, "zero", custom_position_ids=True)(
        [ops.ones((*np.shape(positions), 1)), ops.convert_to_tensor(positions)]
    )


@pytest.mark.parametrize("extra", [
    {"rotary": (1, 5, 6)},
    {"rotary": (2, 5, 4), "value_rotary": (2, 5, 2)},
    {"rotary": (1, 5, 2), "key_rotary": (1, 5, 2)},
    {"relative_embeddings": (5, 5, 6), "relative_values": (5, 5, 4)},
    {"relative_embeddings": (2, 5, 5, 6), "relative_values": (2, 5, 5, 4)},
    {"position_bias": (1, 3, 5, 5)},
    {"position_bias": (2, 1, 5, 5), "rotary": (1, 5, 6)},
])  # fmt: skip
def test_citizenship_with_positions(extra):
    rng = np.random.default_rng(7)
    call = {k: rng.normal(size=shape).astype("float32") for k, shape in extra.items()}
    check_layer(
        MultiHeadAttention, dict(heads=3, head_size=4, key_size=6, attention_dropout=0.1), X,
        masks=[MASK], call=call, expected_shape=(2, 5, 12), expected_mask=MASK,
        zero_gradients=() if "rotary" in extra else ("k/bias",),
    )  # fmt: skip


def float64_attention(layer, x, rotate, relative=None, relative_values=None, turn_values=False):
    """One query of one head at a time; ``rotate(vector, place)`` turns a head's vector."""
    w = [np.asarray(v, "float64") for v in layer.get_weights()]
    q, k, v = (
        (x @ w[2 * i] + w[2 * i + 1]).reshape(*x.shape[:2], layer.heads, -1) for i in range(3)
    )
    out = np.zeros((*x.shape[:2], layer.heads, layer.head_size))
    places = range(x.shape[1])
    for b, h, i in np.ndindex(x.shape[0], layer.heads, x.shape[1]):
        keys = [rotate(k[b, j, h], j) + (0 if relative is None else relative[i, j]) for j in places]
        values = [rotate(v[b, j, h], j) if turn_values else v[b, j, h] for j in places]
        logits = np.array([rotate(q[b, i, h], i) @ key for key in keys]) / np.sqrt(layer.key_size)
        weights = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
        for j in places:
            more = 0 if relative_values is None else relative_values[i, j]
            out[b, i, h] += weights[j] * (values[j] + more)
    return out.reshape(*x.shape[:2], -1) @ w[6] + w[7]


def turned(vector, place, channels):
    """Turns the first channels of a vector, as complex numbers."""
    rate = 10000.0 ** (-np.arange(0, channels, 2) / channels)
    z = (vector[0:channels:2] + 1j * vector[1:channels:2]) * np.exp(1j * place * rate)
    return np.concatenate([np.stack([z.real, z.imag], -1).reshape(-1), vector[channels:]])


@pytest.mark.parametrize("channels, value", [(6, False), (4, False), (6, True)])
def test_rotary_equals_a_float64_loop(channels, value):
    layer = MultiHeadAttention(3, 6)
    angles = sinusoids(np.arange(5)[None], channels)
    extra = {"value_rotary": angles} if value else {}
    found = layer(ops.convert_to_tensor(X), rotary=angles, **extra)
    wanted = float64_attention(
        layer, X, lambda vector, place: turned(vector, place, channels), turn_values=value
    )
    np.testing.assert_allclose(found, wanted, atol=5e-6)


def test_relative_vectors_equal_a_float64_loop():
    rng = np.random.default_rng(8)
    for_keys, for_values = rng.normal(size=(5, 5, 6)), rng.normal(size=(5, 5, 4))
    layer = MultiHeadAttention(3, 4, key_size=6)
    found = layer(
        ops.convert_to_tensor(X),
        relative_embeddings=ops.convert_to_tensor(for_keys, "float32"),
        relative_values=ops.convert_to_tensor(for_values, "float32"),
    )
    wanted = float64_attention(layer, X, lambda vector, place: vector, for_keys, for_values)
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_only_the_distance_of_rotary_positions_counts():
    layer = MultiHeadAttention(3, 4)
    x = ops.convert_to_tensor(X)
    near = layer(x, rotary=sinusoids(np.arange(5)[None], 4))
    far = layer(x, rotary=sinusoids(np.arange(5)[None] + 100, 4))
    # Angles of 100 are rounded to 100 * 2^-24.
    np.testing.assert_allclose(near, far, atol=2e-4)
    keys = layer(x, rotary=sinusoids(np.arange(5)[None], 4),
                 key_rotary=sinusoids(np.arange(5)[None] + 1, 4))  # fmt: skip
    assert np.abs(keys - near).max() > 1e-3
