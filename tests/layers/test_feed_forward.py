"""FeedForward, plain and gated."""

import copy
import pickle

import numpy as np
import pytest

from bert4keras_ext.backend import set_gelu
from bert4keras_ext.layers import FeedForward
from tests.harness import check_layer
from tests.recorded import recorded_case


@pytest.mark.parametrize("name", ["ffn", "ffn_glu", "ffn_relu_nobias", "ffn_swiglu"])
def test_equals_bert4keras(name):
    case = recorded_case(name)
    layer = FeedForward(**case.config)
    case.check(layer, layer, tolerance=2e-5)


@pytest.mark.parametrize("activation", ["relu", "gelu", ["gelu", "linear"], ["swish", "linear"]])
def test_citizenship(activation):
    x = np.random.default_rng(0).normal(size=(2, 5, 12)).astype("float32")
    mask = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], bool)
    check_layer(FeedForward, dict(units=20, activation=activation), x, masks=[mask],
                expected_shape=x.shape, expected_mask=mask,
                expected_weights=6 if isinstance(activation, list) else 4)  # fmt: skip


def test_the_projections_start_different():
    layer = FeedForward(12, activation=["gelu", "linear"])
    layer.build((None, 12))
    kernels = [w for w in layer.get_weights() if w.ndim == 2]
    assert not np.allclose(kernels[0], kernels[1])


def test_gelu_is_resolved_at_construction_and_kept_in_the_config():
    set_gelu("tanh")
    layer = FeedForward(4, activation="gelu")
    set_gelu("erf")
    assert layer.get_config()["activation"] == ["gelu_tanh"]
    assert FeedForward.from_config(layer.get_config()).activation == layer.activation


def test_the_projections_have_names(tmp_path):
    layer = FeedForward(12, activation=["gelu", "linear"])
    layer.build((None, 4))
    for one in (layer, copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert [one.i0, one.i1] == one.gates and one.o.units == 4
        for name in ("i2", "i", "i00", "gate"):
            with pytest.raises(AttributeError, match=f"no attribute '{name}'"):
                getattr(one, name)
    assert not {"i0", "i1"} & set(dir(layer))  # Keras saves a layer under each attribute's name


def test_a_parent_that_finds_attributes_is_asked():
    """As on PyTorch, where a layer's parent finds its weights and sub-layers in __getattr__."""

    class Parent:
        def __getattr__(self, name):
            if name.startswith("hidden"):
                return f"found {name}"
            raise AttributeError(f"no attribute {name!r}")

    class Both(FeedForward, Parent):
        pass

    layer = Both(4)
    assert layer.hidden_by_parent == "found hidden_by_parent" and layer.i0 is layer.gates[0]
    with pytest.raises(AttributeError, match="no attribute 'i1'"):
        _ = layer.i1
