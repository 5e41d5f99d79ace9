"""Resized weights: exactly bert4keras' arrays and factors."""

import numpy as np
import pytest

from bert4keras_ext.checkpoints import load_checkpoint, orthogonally_resize
from bert4keras_ext.checkpoints.resize import resize_scale
from tests.checkpoints.fake import FakeBuilder, bert_shapes, published
from tests.shared import oracle


@pytest.mark.parametrize("case", range(5))
def test_recorded(case):
    recorded = np.load(oracle("bert4keras", "snippets.npz"))
    array, expected = recorded[f"orth/{case}/in"], recorded[f"orth/{case}/out"]
    np.testing.assert_array_equal(orthogonally_resize(array, expected.shape), expected)


def test_shape_norm_and_angles():
    array = np.random.default_rng(0).normal(size=(4, 6))
    found = orthogonally_resize(array, (4, 18))
    assert np.isclose(np.linalg.norm(found), np.linalg.norm(array))
    np.testing.assert_allclose(found @ found.T, array @ array.T)
    np.testing.assert_array_equal(orthogonally_resize(np.zeros(4), (6,)), np.zeros(6))


def test_errors():
    with pytest.raises(ValueError, match="divisible by the window 2"):
        orthogonally_resize(np.ones(3), (6,))
    with pytest.raises(ValueError, match="2 axes"):
        orthogonally_resize(np.ones((3, 3)), (6,))


Q = "Transformer-0-MultiHeadSelfAttention/q/kernel"
FEED_FORWARD = "Transformer-0-FeedForward/"


@pytest.mark.parametrize(
    "name, old, new, options, expected",
    [
        (Q, (8, 8), (16, 32), {}, 4**0.25),
        (Q.replace("/q/", "/k/"), (8, 8), (16, 32), {}, 4**0.25),
        (Q.replace("/q/kernel", "/q/bias"), (8,), (32,), {}, 4**0.25),
        (Q.replace("/q/", "/v/"), (8, 8), (16, 32), {}, 1),
        (Q, (8, 8), (16, 32), {"attention_scale": False}, 1),
        (FEED_FORWARD + "i0/kernel", (8, 8), (24, 32), {"hidden_act": "gelu"}, 2),
        (FEED_FORWARD + "i0/bias", (8,), (32,), {"hidden_act": "gelu"}, 2),
        (FEED_FORWARD + "i0/kernel", (8, 8), (32, 24), {"hidden_act": "relu"}, 0.5),
        (FEED_FORWARD + "i0/bias", (8,), (32,), {"hidden_act": "leaky_relu"}, 0.5),
        (FEED_FORWARD + "o/kernel", (8, 8), (32, 24), {"hidden_act": "gelu"}, 0.5),
        (FEED_FORWARD + "o/bias", (8,), (32,), {"hidden_act": "gelu"}, 0.5),
        (FEED_FORWARD + "i1/kernel", (8, 8), (32, 24), {"hidden_act": ["gelu", "linear"]}, 0.5),
        (FEED_FORWARD[:-1] + "-Norm/gamma", (8,), (32,), {}, 1),
        ("Embedding-Token/embeddings", (8, 8), (8, 32), {}, 1),
    ],
)
def test_factors(name, old, new, options, expected):
    assert np.isclose(resize_scale(name, old, new, **options), expected)


def test_loading_with_autoresize():
    small, large = bert_shapes(), bert_shapes(hidden=16, inner=48)
    checkpoint = published(FakeBuilder(small, seed=1))
    builder = FakeBuilder(large, seed=2, autoresize_weights=True)
    report = load_checkpoint(builder, checkpoint)
    assert report.resized[Q] == ((8, 8), (16, 16)) and "MLM-Bias/beta" not in report.resized
    kernel = checkpoint["bert/encoder/layer_0/attention/self/query/kernel"]
    expected = orthogonally_resize(kernel, (16, 16)) * 2**0.25
    np.testing.assert_allclose(builder.values()[Q], expected, rtol=1e-5)
    kernel = checkpoint["bert/encoder/layer_1/intermediate/dense/kernel"]
    found = builder.values()["Transformer-1-FeedForward/i0/kernel"]
    np.testing.assert_allclose(found, orthogonally_resize(kernel, (16, 48)) * 2, rtol=1e-5)


def test_attention_without_scale_is_asked_of_the_layer():
    class Unscaled:
        attention_scale = False

    builder = FakeBuilder(bert_shapes(hidden=16), autoresize_weights=True, prefix="A-")
    builder.layers = {"A-Transformer-0-MultiHeadSelfAttention": Unscaled()}
    checkpoint = published(FakeBuilder(seed=1))
    load_checkpoint(builder, checkpoint)
    for i, factor in ((0, 1), (1, 2**0.25)):
        kernel = checkpoint[f"bert/encoder/layer_{i}/attention/self/query/kernel"]
        expected = orthogonally_resize(kernel, (16, 16)) * factor
        np.testing.assert_allclose(builder.values()[Q.replace("0", str(i))], expected, rtol=1e-5)
