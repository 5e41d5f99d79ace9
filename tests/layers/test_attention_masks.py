"""Which keys attention layers look at, by whichever way masks come to them."""

import functools

import keras
import numpy as np
import pytest
from keras import ops

from bert4keras_ext.layers import DisentangledAttention, GatedAttentionUnit, MultiHeadAttention
from tests.open_shapes import Masked

HEADS = {"heads": 2, "head_size": 4}
GATED = {"units": 8, "key_size": 4}
LAYERS = {
    "multi-head": lambda: MultiHeadAttention(**HEADS),
    "disentangled": lambda: DisentangledAttention(**HEADS, max_distance=3),
    "gated": lambda: GatedAttentionUnit(**GATED),
    "gated, cross": lambda: GatedAttentionUnit(**GATED, self_attention=False),
}
RNG = np.random.default_rng(0)
DATA = {
    "q": RNG.normal(size=(2, 3, 8)).astype("float32"),
    "k": RNG.normal(size=(2, 5, 8)).astype("float32"),
    "v": RNG.normal(size=(2, 5, 8)).astype("float32"),
    "m": np.array([[1, 1, 0, 1, 0], [0, 1, 1, 1, 1]], bool),
    "n": np.array([[1, 1, 1, 0, 0], [0, 0, 1, 1, 1]], bool),
    "mq": np.array([[1, 1, 0], [1, 0, 1]], bool),
}


def carry(x, mask):
    return Masked()([x, mask])


# What is called: (the call, the same tensors in full, what the keys' mask must be).
CASES = {
    "keys, value_mask": (lambda f, q, k, v, m, **_: f(q, k, value_mask=m), "qkk", "m"),
    "keys, key_mask": (lambda f, q, k, v, m, **_: f(q, k, key_mask=m), "qkk", "m"),
    "value_mask": (lambda f, q, k, v, m, **_: f(q, k, v, value_mask=m), "qkv", "m"),
    "key_mask": (lambda f, q, k, v, m, **_: f(q, k, v, key_mask=m), "qkv", "m"),
    "both": (lambda f, q, k, v, m, n, **_: f(q, k, v, key_mask=m, value_mask=n), "qkv", "mn"),
    "keys, both": (lambda f, q, k, v, m, n, **_: f(q, k, key_mask=m, value_mask=n), "qkk", "mn"),
    "query_mask only": (lambda f, q, k, v, mq, **_: f(q, k, v, query_mask=mq), "qkv", ""),
    "all": (
        lambda f, q, k, v, m, mq, **_: f(q, k, v, query_mask=mq, value_mask=m), "qkv", "m"),
    "carried by keys": (lambda f, q, k, v, m, **_: f(q, carry(k, m), v), "qkv", "m"),
    "carried by keys alone": (lambda f, q, k, v, m, **_: f(q, carry(k, m)), "qkk", "m"),
    "carried by values": (lambda f, q, k, v, m, **_: f(q, k, carry(v, m)), "qkv", "m"),
    "carried by both": (
        lambda f, q, k, v, m, n, **_: f(q, carry(k, m), carry(v, n)), "qkv", "mn"),
    "carried, and value_mask": (
        lambda f, q, k, v, m, n, **_: f(q, carry(k, m), value_mask=n), "qkk", "mn"),
    "carried by queries": (lambda f, q, k, v, m, mq, **_: f(carry(q, mq), k, v), "qkv", ""),
    "list, value_mask": (lambda f, q, k, v, m, **_: f([q, k], value_mask=m), "qkk", "m"),
    "list, key_mask": (lambda f, q, k, v, m, **_: f([q, k, v], key_mask=m), "qkv", "m"),
    "list, masks": (
        lambda f, q, k, v, m, n, **_: f([q, k, v], mask=[None, m, n]), "qkv", "mn"),
    "list, carried": (
        lambda f, q, k, v, m, n, **_: f([q, carry(k, m), carry(v, n)]), "qkv", "mn"),
    "list, carried, and value_mask": (
        lambda f, q, k, v, m, n, **_: f([q, carry(k, m)], value_mask=n), "qkk", "mn"),
    "list, query_mask": (
        lambda f, q, k, v, m, mq, **_: f([q, k, v], query_mask=mq, key_mask=m), "qkv", "m"),
    "self, mask": (lambda f, k, m, **_: f(k, mask=m), "kkk", "m"),
    "self, query_mask": (lambda f, k, m, **_: f(k, query_mask=m), "kkk", "m"),
    "self, key_mask": (lambda f, k, m, **_: f(k, key_mask=m), "kkk", "m"),
    "self, value_mask": (lambda f, k, m, **_: f(k, value_mask=m), "kkk", "m"),
    "self, carried": (lambda f, k, m, **_: f(carry(k, m)), "kkk", "m"),
    "self, carried, and value_mask": (
        lambda f, k, m, n, **_: f(carry(k, m), value_mask=n), "kkk", "mn"),
    "self, carried, and mask": (lambda f, k, m, n, **_: f(carry(k, m), mask=n), "kkk", "n"),
    "self, list, mask": (lambda f, k, m, **_: f([k], mask=[m]), "kkk", "m"),
    "self, values": (lambda f, k, v, m, **_: f(k, value=v, value_mask=m), "kkv", "m"),
}  # fmt: skip


@functools.cache
def layer_of(kind):
    layer = LAYERS[kind]()
    layer(*(DATA[name] for name in "qkv"))
    return layer


def wanted(layer, tensors, masks):
    """The same keys forbidden by a bias, without any mask."""
    query, key, value = (DATA[name] for name in tensors)
    allowed = np.ones((2, 1, key.shape[1]), bool)
    for name in masks:
        allowed = allowed & DATA[name][:, None]
    return layer(query, key, value, attention_bias=np.repeat(allowed, query.shape[1], axis=1))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kind", LAYERS)
def test_keys_that_a_mask_forbids(kind, case):
    call, tensors, masks = CASES[case]
    layer = layer_of(kind)
    if kind == "gated, cross" and case.startswith("self"):
        pytest.skip("the cross form has keys")
    found = call(layer, **{name: ops.convert_to_tensor(x) for name, x in DATA.items()})
    np.testing.assert_allclose(found, wanted(layer, tensors, masks), atol=1e-6)


@pytest.mark.parametrize("kind", LAYERS)
def test_the_same_in_a_functional_model(kind):
    """All ways in one model of open shapes."""
    layer = layer_of(kind)
    cases = {name: case for name, case in CASES.items()
             if not (kind == "gated, cross" and name.startswith("self"))}  # fmt: skip
    inputs = {
        name: keras.Input((None, *x.shape[2:]), dtype=x.dtype, name=name)
        for name, x in DATA.items()
    }
    outputs = {name: call(layer, **inputs) for name, (call, _, _) in cases.items()}
    found = keras.Model(inputs, outputs)(DATA)
    for name, (_, tensors, masks) in cases.items():
        np.testing.assert_allclose(
            found[name], wanted(layer, tensors, masks), atol=1e-6, err_msg=name
        )


@pytest.mark.parametrize(
    "masks",
    [{"value_mask": "m"}, {"key_mask": "m"}, {"key_mask": "m", "value_mask": "n"},
     {"query_mask": "mq", "value_mask": "m"}, {}],
)  # fmt: skip
def test_equals_keras(masks):
    """The same weights in Keras' own layer, which takes (query, value, key)."""
    layer = layer_of("multi-head")
    other = keras.layers.MultiHeadAttention(2, 4)
    q, k, v = (ops.convert_to_tensor(DATA[name]) for name in "qkv")
    other.build(q.shape, v.shape, k.shape)
    names = "query", "key", "value"
    weights = [
        w for name in "qkv" for w in (getattr(layer, name).kernel, getattr(layer, name).bias)
    ]
    theirs = [w for name in names for w in getattr(other, f"{name}_dense").weights]
    for weight, source in zip(theirs, weights):
        weight.assign(ops.reshape(source, weight.shape))
    for weight, source in zip(other.output_dense.weights, layer.o.weights):
        weight.assign(ops.reshape(source, weight.shape))
    masks = {name: ops.convert_to_tensor(DATA[mask]) for name, mask in masks.items()}
    rows = DATA["mq"] if "query_mask" in masks else np.ones((2, 3), bool)
    found, expected = layer(q, k, v, **masks), other(q, v, k, **masks)
    np.testing.assert_allclose(np.asarray(found)[rows], np.asarray(expected)[rows], atol=1e-5)


@pytest.mark.parametrize("kind", LAYERS)
def test_one_mask_for_a_list_of_inputs_is_refused(kind):
    q, k, m = (ops.convert_to_tensor(DATA[name]) for name in ("q", "k", "m"))
    with pytest.raises(ValueError, match=r"mask expects a list beside a list of inputs"):
        layer_of(kind)([q, k, k], mask=m)


@pytest.mark.parametrize("kind", ["multi-head", "gated"])
def test_the_output_carries_the_mask_of_the_queries(kind):
    layer = layer_of(kind)
    q, k, m, mq = (ops.convert_to_tensor(DATA[name]) for name in ("q", "k", "m", "mq"))
    for found in (layer(carry(q, mq), carry(k, m)), layer([carry(q, mq), carry(k, m)])):
        np.testing.assert_array_equal(keras.src.backend.get_keras_mask(found), DATA["mq"])


@pytest.mark.parametrize("scores", [False, True])
@pytest.mark.parametrize("kind", LAYERS)
def test_output_shapes_by_position(kind, scores):
    """Shapes of (query, key, value) one after the other, as they are called, or as one list."""
    layer = type(layer_of(kind)).from_config(
        {**layer_of(kind).get_config(), "return_attention_scores": scores}
    )
    shapes = [DATA[name].shape for name in "qkv"]
    tensors = [ops.convert_to_tensor(DATA[name]) for name in "qkv"]
    for count in (1, 2, 3) if kind != "gated, cross" else (2, 3):
        found = keras.tree.map_structure(lambda x: tuple(x.shape), layer(*tensors[:count]))
        assert layer.compute_output_shape(*shapes[:count]) == found
        assert layer.compute_output_shape(shapes[:count]) == found
