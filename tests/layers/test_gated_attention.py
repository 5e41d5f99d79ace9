"""GatedAttentionUnit against bert4keras' recordings, a NumPy loop, and what Keras expects."""

import keras
import numpy as np
import pytest
from keras import ops

from bert4keras_ext.layers import GatedAttentionUnit, RotaryEmbedding
from tests.harness import check_layer
from tests.recorded import recorded_case

# What Keras says of things that are done here on purpose.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize`"),
]

# case -> the call argument its inputs after the tensors stand for
RECORDED = {
    "gau": [],
    "gau_nomask": [],
    "gau_softmax_plus": [],
    "gau_causal": ["attention_bias"],
    "gau_rotary": ["rotary"],
    "gau_cross": [],
}


@pytest.mark.parametrize("name", RECORDED)
def test_equals_bert4keras(name):
    case = recorded_case(name)
    layer = GatedAttentionUnit(**case.config)

    def run(*tensors, **extra):
        return layer(*tensors, mask=case.masks.get(0), **extra)

    case.check(layer, run, tolerance=2e-5, names=RECORDED[name])


@pytest.mark.parametrize("name", ["gau_nomask", "gau_cross"])
def test_list_inputs(name):
    case = recorded_case(name)
    layer = GatedAttentionUnit(**case.config)
    case.check(layer, layer, tolerance=2e-5, listed=True)


def swish(x):
    return x / (1 + np.exp(-x))


def softmax(x):
    e = np.exp(x - x.max())
    return e / e.sum()


def turned(x, places, base=10000.0):
    """Float64, each pair of channels as a complex number."""
    w = base ** (-np.arange(0, x.shape[-1], 2) / x.shape[-1])
    z = (x[:, 0::2] + 1j * x[:, 1::2]) * np.exp(1j * places[:, None] * w)
    return np.stack([z.real, z.imag], -1).reshape(x.shape)


def numpy_unit(layer, x, mask, bias):
    """Float64, one row and one query at a time; the self-attention form with rotary positions."""
    wi, bi, beta_q, gamma_q, beta_k, gamma_k, wo, bo = (
        np.asarray(w, "float64") for w in layer.get_weights()
    )
    n, size = layer.units, layer.key_size
    out = np.zeros_like(x)
    for b in range(len(x)):
        h = swish(x[b] @ wi + bi)
        u, v, z = h[:, :n], h[:, n : 2 * n], h[:, 2 * n :]
        places = np.arange(len(z))
        q, k = turned(z * gamma_q + beta_q, places), turned(z * gamma_k + beta_k, places)
        for i in range(len(z)):
            keys = [j for j in range(len(z)) if mask[b, j] and bias[i, j]]
            scores = np.array([q[i] @ k[j] for j in keys]) / np.sqrt(size)
            if layer.normalization == "squared_relu":
                weights = np.maximum(scores, 0) ** 2 / len(keys)
            elif layer.normalization == "softmax":
                weights = softmax(scores)
            else:
                weights = softmax(scores * np.log(max(len(keys), 16)) / np.log(512))
            out[b, i] = (u[i] * (weights @ v[keys])) @ wo + bo
    return out


@pytest.mark.parametrize("normalization", ["squared_relu", "softmax", "softmax_plus"])
def test_equals_a_float64_loop(normalization):
    """Longer than 16 tokens, from where on softmax_plus depends on the number of keys."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 23, 6))
    mask = np.arange(23)[None] < np.array([[23], [19]])
    bias = np.tril(np.ones((23, 23), bool))
    layer = GatedAttentionUnit(units=10, key_size=4, normalization=normalization)
    layer.build(x.shape)
    layer.set_weights([rng.normal(0, 0.7, w.shape) for w in layer.weights])
    found = layer(
        ops.convert_to_tensor(x, "float32"), mask=mask, rotary=RotaryEmbedding(4)(x),
        attention_bias=ops.convert_to_tensor(bias),
    )  # fmt: skip
    wanted = numpy_unit(layer, x, mask, bias)
    # float32 eps times about 100 accumulations, on values up to the largest
    np.testing.assert_allclose(found, wanted, atol=1e-5 * np.abs(wanted).max())


@pytest.mark.parametrize("normalization", ["softmax", "squared_relu", "softmax_plus"])
@pytest.mark.parametrize("scores", [False, True])
@pytest.mark.parametrize("use_bias", [False, True])
def test_citizenship(normalization, scores, use_bias):
    x = np.random.default_rng(1).normal(size=(2, 5, 12)).astype("float32")
    mask = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], bool)
    check_layer(
        GatedAttentionUnit,
        dict(units=10, key_size=6, use_bias=use_bias, normalization=normalization,
             return_attention_scores=scores),
        x, masks=[mask],
        expected_shape=[(2, 5, 12), (2, 1, 5, 5)] if scores else (2, 5, 12),
        expected_weights=8 if use_bias else 4, expected_mask=mask,
    )  # fmt: skip


def test_citizenship_of_the_cross_form():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(2, 5, 12)).astype("float32")
    y = rng.normal(size=(2, 7, 9)).astype("float32")
    masks = [rng.random(size=(2, n)) < 0.7 for n in (5, 7, 7)]
    check_layer(
        GatedAttentionUnit,
        dict(units=10, key_size=6, self_attention=False, activation="gelu"),
        [x, y, y], masks=masks, expected_shape=(2, 5, 12), expected_weights=8,
        expected_mask=masks[0],
    )  # fmt: skip


def test_the_cross_form_needs_keys():
    with pytest.raises(ValueError, match="self_attention=False.*no keys.*layer\\(query, key"):
        GatedAttentionUnit(4, 4, self_attention=False)(ops.ones((1, 2, 8)))


@pytest.mark.parametrize("cross", [False, True])
def test_masked_keys_are_without_effect(cross):
    rng = np.random.default_rng(3)
    x, y = (rng.normal(size=(1, n, 8)).astype("float32") for n in (3, 5))
    changed = y.copy()
    changed[:, 3:] += 10
    mask = ops.convert_to_tensor([[True, True, True, False, False]])
    layer = GatedAttentionUnit(6, 4, self_attention=not cross)
    a, b = (layer(x, ops.convert_to_tensor(v), key_mask=mask) for v in (y, changed))
    np.testing.assert_allclose(a, b, atol=1e-6)
    assert np.abs(np.asarray(a) - np.asarray(layer(x, y))).max() > 1e-4


def test_keys_may_be_a_longer_sequence():
    """The last two queries with the whole sequence as keys give the last two outputs."""
    x = np.random.default_rng(4).normal(size=(2, 6, 8)).astype("float32")
    layer, rotary = GatedAttentionUnit(6, 4), RotaryEmbedding(4)(np.zeros((1, 6, 8)))
    whole = layer(x, rotary=rotary)
    last = layer(x[:, 4:], x, rotary=rotary[:, 4:], key_rotary=rotary)
    np.testing.assert_allclose(last, whole[:, 4:], atol=1e-6)
    values = layer(x, x, x[:, ::-1])
    assert np.abs(np.asarray(values) - np.asarray(layer(x))).max() > 1e-4


@pytest.mark.parametrize("shape", [(5, 5), (1, 5, 5), (2, 5, 5), (2, 1, 5, 5)])
def test_bias_shapes_and_kinds_agree(shape):
    rng = np.random.default_rng(5)
    allowed = rng.random(shape) < 0.6
    allowed[..., 0] = True
    x = ops.convert_to_tensor(rng.normal(size=(2, 5, 8)), "float32")
    layer = GatedAttentionUnit(6, 4, normalization="softmax")
    by_bool = layer(x, attention_bias=ops.convert_to_tensor(allowed))
    by_float = layer(x, attention_bias=np.where(allowed, 0, -np.inf).astype("float32"))
    np.testing.assert_allclose(by_bool, by_float, atol=1e-6)


def test_scores_and_biases_are_added_where_they_should():
    rng = np.random.default_rng(6)
    x = rng.normal(size=(2, 4, 8)).astype("float32")
    extra = rng.normal(size=(2, 1, 4, 4)).astype("float32")
    layer = GatedAttentionUnit(6, 16, normalization="softmax", return_attention_scores=True)
    plain, scores = layer(x)
    residual, same = layer(x, residual_scores=extra)
    np.testing.assert_array_equal(scores, same)
    np.testing.assert_allclose(layer(x, attention_bias=extra)[0], residual, atol=1e-6)
    _, shifted = layer(x, position_bias=extra)  # before the scale, which is 1/4
    np.testing.assert_allclose(shifted, scores + extra / 4, atol=1e-6)
    assert np.abs(np.asarray(plain - residual)).max() > 1e-4


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("normalization", ["softmax", "squared_relu", "softmax_plus"])
def test_a_row_without_any_key_is_finite(policy, normalization):
    import tensorflow as tf

    layer = GatedAttentionUnit(6, 4, normalization=normalization, dtype=policy)
    x = tf.constant(np.random.default_rng(7).normal(size=(2, 3, 8)), "float32")
    mask = tf.constant([[False, False, False], [True, False, False]])
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = layer(x, mask=mask)
        total = tf.reduce_sum(tf.cast(outputs, "float32") ** 2)
    grads = tape.gradient(total, [x, *[w.value for w in layer.trainable_weights]])
    assert np.all(np.isfinite(outputs))
    assert all(np.all(np.isfinite(g)) for g in grads)


def test_recomputation_replays_dropout():
    import tensorflow as tf

    x = tf.constant(np.random.default_rng(8).normal(size=(2, 5, 8)), "float32")
    found = []
    for recompute in (False, True):
        keras.utils.set_random_seed(1)
        layer = GatedAttentionUnit(6, 4, attention_dropout=0.5, recompute=recompute)
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(layer(x, training=True) ** 2)
        found.append([total, *tape.gradient(total, [w.value for w in layer.trainable_weights])])
    for a, b in zip(*found):
        np.testing.assert_allclose(a, b, atol=1e-6, rtol=1e-6)


def test_lora_and_int8_in_a_model_of_ones_own():
    inputs = keras.Input((7, 16))
    model = keras.Model(inputs, GatedAttentionUnit(32, 8, name="unit")(inputs))
    x = np.random.default_rng(9).normal(size=(2, 7, 16)).astype("float32")
    before = model.predict_on_batch(x)
    model.get_layer("unit").i_dense.enable_lora(2)
    np.testing.assert_allclose(model.predict_on_batch(x), before, atol=1e-6)
    fresh = keras.Model(inputs, GatedAttentionUnit(32, 8)(inputs))
    before = fresh.predict_on_batch(x)
    fresh.quantize("int8")
    difference = np.abs(fresh.predict_on_batch(x) - before).max()
    assert 0 < difference < 0.1 * np.abs(before).max()  # 8 bits in two products


@pytest.mark.parametrize(
    "change, message",
    [
        ({"normalization": "soft"}, "softmax_plus.*received 'soft'"),
        ({"activation": "swosh"}, "unknown activation 'swosh'"),
    ],
)
def test_bad_arguments(change, message):
    with pytest.raises(ValueError, match=message):
        GatedAttentionUnit(4, 4, **change)
