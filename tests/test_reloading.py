"""Compiled models come back from files, clones and copies, and their training goes on."""

import copy
import pickle
import subprocess
import sys

import keras
import numpy as np
import pytest

from bert4keras_ext import losses
from bert4keras_ext.layers import (
    ConditionalRandomField,
    FirstLastAverage,
    GlobalAveragePooling1D,
    LayerNormalization,
    MaximumEntropyMarkovModel,
)
from bert4keras_ext.models import build_transformer_model
from bert4keras_ext.optimizers import Adam, extend_with_lookahead, extend_with_weight_decay

# What Keras says of things that are done here on purpose.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer"),
]

CONFIG = dict(vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
              intermediate_size=16, hidden_act="gelu", max_position=8)  # fmt: skip
RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 4, 5)).astype("float32")
Y = RNG.integers(0, 3, (6, 4))
TOKENS = RNG.integers(1, 20, (6, 4))


def functional(head=lambda x: x, mask=False):
    inputs = keras.Input((None, 5))
    x = keras.layers.Masking()(inputs) if mask else inputs
    return keras.Model(inputs, head(keras.layers.Dense(3)(x)))


def chain(cls, kind="sparse", optimizer=None, **kwargs):
    layer = cls(**kwargs)
    model = functional(layer, mask=True)
    model.compile(
        optimizer or keras.optimizers.Adam(0.1),
        getattr(layer, f"{kind}_loss"),
        metrics=[getattr(layer, f"{kind}_accuracy")],
        weighted_metrics=[],
    )
    return model, X, Y if kind == "sparse" else np.eye(3)[Y]


def two_chains():
    """Unmasked logits shared by two layers, losses by name."""
    inputs = keras.Input((None, 5))
    logits = keras.layers.Dense(3)(inputs)
    layers = [ConditionalRandomField(name="a"), MaximumEntropyMarkovModel(name="b")]
    model = keras.Model(inputs, {layer.name: layer(logits) for layer in layers})
    model.compile("adam", {layer.name: layer.sparse_loss for layer in layers}, {"a": 1.0, "b": 0.5})
    return model, X, {"a": Y, "b": Y}


def plain(loss, y=Y):
    model = functional()
    model.compile("adam", loss, metrics=[loss])
    return model, X, y


def encoder(adapt):
    model = build_transformer_model(CONFIG)
    adapt(model)
    x = FirstLastAverage()([model.get_layer("Embedding-Norm").output, model.output])
    model = keras.Model(model.inputs, keras.layers.Dense(3)(x))
    optimizer = extend_with_lookahead(extend_with_weight_decay(Adam))(0.01, weight_decay_rate=0.1)
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model, [TOKENS, 0 * TOKENS], Y[:, 0]


def frozen(model):
    for layer in model.layers:
        layer.trainable = "FeedForward" in layer.name


def lora(model):
    model.trainable = False
    attention = model.get_layer("Transformer-0-MultiHeadSelfAttention")
    for dense in (attention.q, attention.v):
        dense.trainable = True
        dense.enable_lora(2, lora_alpha=3)


CRF, MEMM = ConditionalRandomField, MaximumEntropyMarkovModel
MODELS = {
    "crf": lambda: chain(CRF, lr_multiplier=10),
    "memm_dense": lambda: chain(MEMM, "dense", hidden_dim=2),
    "two_chains": two_chains,
    "token": lambda: plain(losses.token_crossentropy),
    "multilabel": lambda: plain(losses.multilabel_categorical_crossentropy, np.eye(3)[Y]),
    "frozen": lambda: encoder(frozen),
    "lora": lambda: encoder(lora),
}


def go_on(model, x, y):
    model.fit(x, y, batch_size=3, shuffle=False, epochs=2, verbose=0)
    return {w.path: keras.ops.convert_to_numpy(w) for w in model.weights}


def flat(name, y):
    return {f"{name}/y/{k}": v for k, v in (y.items() if isinstance(y, dict) else [("", y)])}


AFRESH = """
import sys, warnings, numpy as np, keras
from bert4keras_ext.checkpoints import save_checkpoint
folder, names = sys.argv[1], sys.argv[2:]
warnings.filterwarnings("error", "(?!.*__array__)")
data = np.load(folder + "/data.npz")
for name in names:
    model = keras.models.load_model(f"{folder}/{name}.keras")
    assert model.compiled, name
    if name == "frozen":  # what built it is known here too
        written = save_checkpoint(model, f"{folder}/m.ckpt")
        assert len(written) == len(data["published"]), written
    inputs = [data[k] for k in sorted(data) if k.startswith(f"{name}/x/")]
    inputs = inputs if len(inputs) > 1 else inputs[0]
    labels = {k.split("/")[-1]: data[k] for k in data if k.startswith(f"{name}/y/")}
    labels = labels[""] if "" in labels else labels
    model.fit(inputs, labels, batch_size=3, shuffle=False, epochs=2, verbose=0)
    trainable = {w.path for w in model.trainable_weights}
    assert trainable == set(data[f"{name}/trainable"].tolist()), name
    for w in model.weights:
        w_now = keras.ops.convert_to_numpy(w)
        np.testing.assert_array_equal(w_now, data[f"{name}/w/{w.path}"], f"{name} {w.path}")
"""


def test_in_a_fresh_process_training_goes_on_as_if_not_interrupted(tmp_path):
    data = {}
    for name, make in MODELS.items():
        model, x, y = make()
        go_on(model, x, y)
        model.save(tmp_path / f"{name}.keras")
        inputs = x if isinstance(x, list) else [x]
        data |= {f"{name}/x/{i}": each for i, each in enumerate(inputs)} | flat(name, y)
        data |= {f"{name}/w/{path}": value for path, value in go_on(model, x, y).items()}
        data[f"{name}/trainable"] = np.array([w.path for w in model.trainable_weights])
    encoder_alone = build_transformer_model(CONFIG, return_keras_model=False)
    data["published"] = np.array(list(encoder_alone.named_weights()))
    np.savez(tmp_path / "data.npz", **data)
    run = subprocess.run(
        [sys.executable, "-c", AFRESH, str(tmp_path), *MODELS], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr[-2000:]


COPIES = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "clone": keras.models.clone_model,
}


@pytest.mark.parametrize("name, way", [("crf", "deepcopy"), ("crf", "pickle"),
                                       ("two_chains", "clone")])  # fmt: skip
def test_a_copy_trains_its_own_transitions(name, way):
    model, x, y = MODELS[name]()
    go_on(model, x, y)
    other = COPIES[way](model)
    again = COPIES[way](other)
    kept = model.get_weights()
    for each in (other, again):
        each.set_weights(kept)
    after = list(go_on(other, x, y).values())
    assert all(np.abs(a - b).max() > 0 for a, b in zip(kept, after))
    for value, weight in zip(kept, model.get_weights()):
        np.testing.assert_array_equal(value, weight)
    for value, found in zip(after, go_on(again, x, y).values()):
        np.testing.assert_array_equal(value, found)


def test_chains_reload_in_mixed_precision():
    """Keras' losses cast outputs to float32 before a function sees them."""
    keras.config.set_dtype_policy("mixed_bfloat16")
    model, x, y = chain(CRF)
    other = copy.deepcopy(model)
    for value, found in zip(go_on(model, x, y).values(), go_on(other, x, y).values()):
        np.testing.assert_array_equal(value, found)


def test_chains_reload_with_sample_weights():
    model, x, y = chain(CRF)
    other, weights = copy.deepcopy(model), np.arange(6.0)
    losses = [m.evaluate(x, y, sample_weight=weights, verbose=0)[0] for m in (model, other)]
    layer = model.layers[-1]
    values = np.array(layer.sparse_loss(y, model(x)))
    np.testing.assert_allclose(losses, [np.mean(values * weights)] * 2, rtol=1e-5)


@keras.saving.register_keras_serializable("tests")
class Tagger(keras.Model):
    """A subclassed model; its layers get other names each time it is made."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense, self.zz_crf = keras.layers.Dense(3), SquaredLoss()

    def call(self, x):
        return self.zz_crf(self.dense(x))


@keras.saving.register_keras_serializable("tests")
class SquaredLoss(ConditionalRandomField):
    """A user's own loss and metric, by name."""

    def sparse_loss(self, y_true, y_pred):
        return super().sparse_loss(y_true, y_pred) ** 2

    def double_accuracy(self, y_true, y_pred):
        return 2 * self.sparse_accuracy(y_true, y_pred)


def test_a_subclass_in_a_subclassed_model(tmp_path):
    model = Tagger()
    model(X)
    model.compile("adam", model.zz_crf.sparse_loss, metrics=[model.zz_crf.double_accuracy])
    go_on(model, X, Y)
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    assert model.evaluate(X, Y, verbose=0) == loaded.evaluate(X, Y, verbose=0)
    values = zip(go_on(model, X, Y).values(), go_on(loaded, X, Y).values())
    assert all(np.array_equal(a, b) for a, b in values)


def test_the_methods_are_methods_still():
    layer = ConditionalRandomField()
    logits = layer(X[..., :3])
    assert layer.sparse_loss(Y, logits).shape == (6,)
    assert ConditionalRandomField.sparse_loss(layer, Y, logits).shape == (6,)
    assert layer.sparse_loss.__name__ == "sparse_loss"
    mean = layer.sparse_loss(Y, logits, sample_weight=None)
    np.testing.assert_allclose(mean, np.mean(layer.sparse_loss(Y, logits)), rtol=1e-6)
    other = pickle.loads(pickle.dumps(layer.sparse_loss))
    assert other.layer_name == layer.name


def test_a_loaded_method_knows_no_other_layer():
    layer = ConditionalRandomField(name="mine")
    loaded = keras.losses.deserialize(keras.losses.serialize(layer.sparse_loss))
    logits = layer(X[..., :3])
    np.testing.assert_array_equal(loaded(Y, logits), layer.sparse_loss(Y, logits))
    with pytest.raises(ValueError, match="'mine', loaded .*straight from that layer.*get_layer"):
        loaded(Y, logits * 1.0)


@pytest.mark.parametrize("name", losses.__all__)
def test_every_loss_is_found_by_keras(name):
    found = getattr(losses, name)
    if name != "Loss":  # the base of a user's own
        again = keras.saving.get_registered_object(keras.saving.get_registered_name(found))
        assert again is found


def test_nothing_of_ours_warns_when_it_is_loaded(tmp_path, recwarn):
    inputs = keras.Input((4, 5))
    x = FirstLastAverage()([inputs, LayerNormalization()(inputs)])
    model = keras.Model(inputs, [x, GlobalAveragePooling1D()(inputs)])
    model.save(tmp_path / "m.keras")
    keras.models.load_model(tmp_path / "m.keras")
    assert not [w for w in recwarn if "__array__" not in str(w.message)]
