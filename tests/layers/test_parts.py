"""What is frozen stays frozen in files, clones and copies: layers, their parts, single weights."""

import copy
import pickle

import keras
import numpy as np
import pytest

from bert4keras_ext.layers import (
    Dense,
    DisentangledAttention,
    Embedding,
    FeedForward,
    GatedAttentionUnit,
    GlobalPointer,
    Layer,
    LayerNormalization,
    MaskedConv1D,
    MultiHeadAttention,
    RelativePositionTable,
    ScaleOffset,
)

X = np.random.default_rng(0).normal(size=(2, 3, 8)).astype("float32")
# Every layer that holds others, some of which are made in build().
COMPOSITES = {
    "attention": lambda **kw: MultiHeadAttention(2, 4, attention_dropout=0.1, **kw),
    "disentangled": lambda **kw: DisentangledAttention(
        2, 4, max_distance=4, share_projections=False, **kw
    ),
    "feed_forward": lambda **kw: FeedForward(4, ["gelu", "linear"], **kw),
    "gated_unit": lambda **kw: GatedAttentionUnit(4, key_size=2, **kw),
    "gated_attention": lambda **kw: GatedAttentionUnit(4, key_size=2, self_attention=False, **kw),
    "pointer": lambda **kw: GlobalPointer(2, 4, **kw),
    "norm": lambda **kw: LayerNormalization(conditional=True, hidden_units=3, **kw),
    "block": lambda **kw: Block(**kw),
}


@keras.saving.register_keras_serializable("tests")
class Block(Layer):
    """A user's: parts in lists and dicts, without names, built when they are called."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.many = [FeedForward(3), FeedForward(3)]
        self.more = {"a": keras.layers.Dense(8)}
        self.keras = keras.layers.MultiHeadAttention(2, 4)

    def build(self, input_shape):
        self.late = []
        self.late.append(ScaleOffset())

    def call(self, x):
        for layer in [*self.many, *self.more.values(), *self.late]:
            x = layer(x)
        return self.keras(x, x)


def model_of(layer):
    inputs = keras.Input((3, 8))
    if getattr(layer, "conditional", False):
        return keras.Model(inputs, layer(inputs, condition=inputs[:, 0]))
    if isinstance(layer, DisentangledAttention):
        table = RelativePositionTable(8, 8, trainable=False)(inputs)
        return keras.Model(inputs, layer(inputs, relative_embeddings=table))
    return keras.Model(inputs, layer(inputs))


def from_file(model, folder):
    model.save(folder / "m.keras")
    return keras.models.load_model(folder / "m.keras")


WAYS = {
    "file": from_file,
    "clone": lambda model, _: keras.models.clone_model(model),
    "config": lambda model, _: keras.Model.from_config(model.get_config()),
    "deepcopy": lambda model, _: copy.deepcopy(model),
    "pickle": lambda model, _: pickle.loads(pickle.dumps(model)),
}


def flags(model):
    return [(w.name, tuple(w.shape), w.trainable) for w in model.weights]


def check_all_ways(model, folder):
    wanted = flags(model)
    number = len(model.trainable_weights)
    for way, make in WAYS.items():
        found = make(model, folder)
        assert flags(found) == wanted, way
        assert len(found.trainable_weights) == number, way


@pytest.mark.parametrize("name", COMPOSITES)
def test_a_layer_frozen_before_or_after_build_or_by_its_constructor(name, tmp_path):
    by_constructor, before, after = (
        COMPOSITES[name](**kw) for kw in ({"trainable": False}, {}, {})
    )
    before.trainable = False
    models = [model_of(layer) for layer in (by_constructor, before, after)]
    assert after.trainable_weights
    after.trainable = False
    for model in models:
        assert model.weights and not model.trainable_weights
    check_all_ways(models[0], tmp_path)
    check_all_ways(models[2], tmp_path)


@pytest.mark.parametrize("name", COMPOSITES)
@pytest.mark.parametrize("outer", [True, False])
def test_parts_that_differ_from_the_layer_around_them(name, outer, tmp_path):
    layer = COMPOSITES[name]()
    model = model_of(layer)
    layer.trainable = outer
    parts = [part for part in layer._flatten_layers(include_self=False) if part.weights]
    for part in parts[::3]:
        part.trainable = not outer
    for weight in layer.weights[::3]:
        weight.trainable = not weight.trainable
    found = {w.trainable for w in model.weights}
    assert found == {True, False}
    check_all_ways(model, tmp_path)


ALONE = {
    "dense": lambda: Dense(8),
    "lora": lambda: Dense(8, lora_rank=2),
    "convolution": lambda: MaskedConv1D(8, 2),
    "embedding": lambda: Embedding(5, 8),
}


@pytest.mark.parametrize("name", ALONE)
def test_single_weights_of_layers_that_are_keras_own_with_a_change(name, tmp_path):
    layer = ALONE[name]()
    inputs = keras.Input((3,) if name == "embedding" else (3, 8))
    model = keras.Model(inputs, Dense(2)(layer(inputs)))
    assert "frozen_weights" not in layer.get_config()
    layer.trainable_weights[-1].trainable = False
    model.layers[-1].kernel.trainable = False
    check_all_ways(model, tmp_path)
    copied = copy.deepcopy(model)
    assert all(each.get_config() == again.get_config()
               for each, again in zip(model.layers, copied.layers))  # fmt: skip
    copied.layers[-1].kernel.trainable = True
    assert "frozen_weights" not in copied.layers[-1].get_config()


def test_parts_frozen_before_build():
    layer = FeedForward(4)
    layer.gates[0].trainable = False
    again = FeedForward.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    for each in (layer, again):
        each(X)
        assert [w.trainable for w in each.weights] == [False, False, True, True]


def test_what_was_thawed_in_a_frozen_layer_stays_so():
    layer = FeedForward(4, trainable=False)
    layer.gates[0].trainable = True
    layer(X)
    assert [w.trainable for w in layer.weights] == [True, True, False, False]


def test_layers_without_anything_special_have_plain_configs():
    for make in COMPOSITES.values():
        layer = make()
        assert "part_states" not in layer.get_config()
        layer.trainable = False
        assert "part_states" not in layer.get_config()


def test_nested_models(tmp_path):
    inner = model_of(FeedForward(4))
    inner.trainable = False
    inputs = keras.Input((3, 8))
    model = keras.Model(inputs, FeedForward(4)(inner(inputs)))
    assert len(model.trainable_weights) == 4
    check_all_ways(model, tmp_path)


def test_training_moves_what_is_not_frozen_only(tmp_path):
    layer = MultiHeadAttention(2, 4)
    model = model_of(layer)
    layer.trainable = False
    layer.v.trainable = True
    model.compile("sgd", "mse")
    loaded = from_file(model, tmp_path)
    before = [np.array(w.value) for w in loaded.weights]
    loaded.fit(X, X, verbose=0)
    moved = [not np.array_equal(a, w.value) for a, w in zip(before, loaded.weights)]
    assert moved == [w.trainable for w in model.weights] and sum(moved) == 2


# ---- LoRA ---------------------------------------------------------------------------------


def adapted(layer):
    """A model of a layer whose parts have LoRA, trained a little."""
    inputs = keras.Input((3,), dtype="int32")
    table = Embedding(9, 8)
    model = keras.Model(inputs, Dense(8)(layer(table(inputs))))
    for part in model._flatten_layers():
        if isinstance(part, (Dense, Embedding)):
            part.enable_lora(2, lora_alpha=3)
    model.compile("adam", "mse")
    return model


def train(model):
    model.fit(np.arange(6).reshape(2, 3), X, shuffle=False, epochs=2, verbose=0)
    return [np.array(w.value) for w in model.weights]


@pytest.mark.parametrize("name", ["attention", "feed_forward", "block"])
def test_lora_goes_on_as_if_not_interrupted(name, tmp_path):
    layer = MultiHeadAttention(2, 4) if name == "attention" else COMPOSITES[name]()
    model = adapted(layer)
    train(model)
    loaded = from_file(model, tmp_path)
    assert flags(loaded) == flags(model)
    for part, again in zip(model._flatten_layers(), loaded._flatten_layers()):
        assert getattr(part, "lora_alpha", None) == getattr(again, "lora_alpha", None)
    for a, b in zip(train(model), train(loaded)):
        np.testing.assert_array_equal(a, b)
    check_all_ways(model, tmp_path)


def test_weights_with_and_without_lora_fit_each_other(tmp_path):
    def fresh():
        inputs = keras.Input((3, 8))
        return keras.Model(inputs, FeedForward(4)(inputs))

    plain, with_lora = fresh(), fresh()
    plain.save_weights(tmp_path / "plain.weights.h5")
    for part in with_lora._flatten_layers():
        if isinstance(part, Dense):
            part.enable_lora(2)
    with_lora.load_weights(tmp_path / "plain.weights.h5")
    np.testing.assert_allclose(with_lora(X), plain(X), atol=1e-6)
    with_lora.compile("sgd", "mse")
    before = [np.array(w.value) for w in with_lora.trainable_weights]
    with_lora.fit(X, X, epochs=2, verbose=0)
    after = with_lora.trainable_weights
    assert all(not np.array_equal(a, w.value) for a, w in zip(before, after))  # none is stuck at 0
    with_lora.save_weights(tmp_path / "lora.weights.h5")
    plain.load_weights(tmp_path / "lora.weights.h5")
    np.testing.assert_allclose(plain(X), with_lora(X), atol=1e-6)
