"""A built model is a Keras model like any other."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from bert4keras_ext.data import DataGenerator
from bert4keras_ext.layers import GlobalAveragePooling1D, LayerNormalization
from bert4keras_ext.models import build_transformer_model
from tests.sweeps import some_of

# What Keras says of things that are done here on purpose.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize`"),
    pytest.mark.filterwarnings("ignore:`shuffle=True` was passed"),
]

CONFIG = dict(vocab_size=40, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
              intermediate_size=32, hidden_act="gelu", dropout_rate=0.1,
              attention_dropout_rate=0.1, max_position=64)  # fmt: skip
RNG = np.random.default_rng(0)
TOKENS = RNG.integers(1, 40, (32, 8))
TOKENS[::3, 5:] = 0
INPUTS = [TOKENS, np.zeros_like(TOKENS)]
LABELS = (TOKENS[:, 1] > 20).astype("int32")


def classifier(**kwargs):
    encoder = build_transformer_model(CONFIG, **kwargs)
    x = GlobalAveragePooling1D()(encoder.output)
    model = keras.Model(encoder.inputs, keras.layers.Dense(2, "softmax", dtype="float32")(x))
    model.compile(keras.optimizers.Adam(5e-3), "sparse_categorical_crossentropy")
    return model


RELOAD = """
import sys, numpy as np, keras
import bert4keras_ext
model = keras.models.load_model(sys.argv[1] + "/m.keras")
data = np.load(sys.argv[1] + "/io.npz")
found = model.predict([data["a"], data["b"]], verbose=0)
np.testing.assert_array_equal(found, data["y"])
for w in model.weights: w.assign(np.zeros(w.shape))
model.load_weights(sys.argv[1] + "/m.weights.h5")
np.testing.assert_array_equal(model.predict([data["a"], data["b"]], verbose=0), data["y"])
"""


@pytest.mark.parametrize("kwargs", some_of(
    [{}, {"application": "unilm"}, {"with_nsp": True}, {"hierarchical_position": True}],
    {"application": "unilm"},
))  # fmt: skip
def test_reloaded_in_a_fresh_process(tmp_path, kwargs):
    model = build_transformer_model(CONFIG, **kwargs)
    model.save(tmp_path / "m.keras")
    model.save_weights(tmp_path / "m.weights.h5")
    outputs = model.predict(INPUTS, verbose=0)
    np.savez(tmp_path / "io.npz", a=INPUTS[0], b=INPUTS[1], y=outputs)
    run = subprocess.run(
        [sys.executable, "-c", RELOAD, str(tmp_path)], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr[-2000:]


class Rows(DataGenerator):
    def __iter__(self, random=False):
        rows, labels = [], []
        for is_end, i in self.sample(random):
            rows.append(TOKENS[i]), labels.append(LABELS[i])
            if len(rows) == self.batch_size or is_end:
                yield [np.array(rows), np.zeros_like(rows)], np.array(labels)
                rows, labels = [], []


def as_arrays(model):
    return model.fit(INPUTS, LABELS, batch_size=8, epochs=12, verbose=0)


def as_dataset(model):
    data = tf.data.Dataset.from_tensor_slices((tuple(INPUTS), LABELS)).batch(8)
    return model.fit(data, epochs=12, verbose=0)


def as_generator(model):
    rows = Rows(list(range(32)), 8)
    return model.fit(rows.forfit(), steps_per_epoch=len(rows), epochs=12, verbose=0)


@pytest.mark.parametrize("fit", [as_arrays, as_dataset, as_generator])
def test_fit(fit):
    losses = fit(classifier()).history["loss"]
    assert losses[-1] < 0.8 * losses[0]


def test_the_padding_has_no_influence():
    model = classifier()
    short = [x[:, :5] for x in INPUTS]
    rows = TOKENS[:, 5] == 0
    long = model.predict(INPUTS, verbose=0)[rows]
    np.testing.assert_allclose(model.predict(short, verbose=0)[rows], long, atol=1e-5)


def test_masks_reach_stock_layers():
    encoder = build_transformer_model(CONFIG)
    pooled = keras.layers.GlobalAveragePooling1D()(encoder.output)
    recurrent = keras.layers.LSTM(4)(encoder.output)
    model = keras.Model(encoder.inputs, [pooled, recurrent])
    short = model.predict([x[::3, :5] for x in INPUTS], verbose=0)
    long = model.predict([x[::3] for x in INPUTS], verbose=0)
    for a, b in zip(short, long):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_no_warning_about_masks(recwarn):
    classifier()
    assert not [w for w in recwarn if "mask" in str(w.message)]


def test_multi_output_training():
    model = build_transformer_model(CONFIG, with_nsp=True, with_mlm=True)
    model.compile("adam", ["sparse_categorical_crossentropy", "sparse_categorical_crossentropy"])
    history = model.fit(INPUTS, [LABELS, TOKENS], epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()


def test_summary_names_the_layers(capsys):
    classifier().summary(line_length=140)
    text = capsys.readouterr().out
    assert "Embedding-Token-Segment" in text and "Transformer-1-FeedForward-Norm" in text


def test_lora_on_the_projections():
    model = classifier()
    before = model.predict(INPUTS, verbose=0)
    for layer in model.layers:
        layer.trainable = "MultiHeadSelfAttention" in layer.name and not layer.name.endswith("Norm")
    for index in range(2):
        attention = model.get_layer(f"Transformer-{index}-MultiHeadSelfAttention")
        for dense in (attention.q, attention.v):
            dense.enable_lora(2)
        for dense in (attention.k, attention.o):
            dense.trainable = False
    np.testing.assert_allclose(model.predict(INPUTS, verbose=0), before, atol=1e-6)
    names = {w.path.rsplit("/", 1)[1] for w in model.trainable_weights}
    assert {"lora_kernel_a", "lora_kernel_b"} <= names and len(model.trainable_weights) == 12
    kernels = [attention.q._kernel, attention.k.kernel]
    start = [np.array(k) for k in kernels]
    model.compile(keras.optimizers.Adam(1e-2), "sparse_categorical_crossentropy")
    losses = model.fit(INPUTS, LABELS, epochs=10, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    for kernel, value in zip(kernels, start):
        np.testing.assert_array_equal(kernel, value)


def test_int8():
    model = build_transformer_model(CONFIG, with_mlm="linear")
    before = model.predict(INPUTS, verbose=0)
    model.quantize("int8")
    after = model.predict(INPUTS, verbose=0)
    assert model.get_layer("Transformer-0-FeedForward").o._kernel.dtype == "int8"
    assert np.abs(after - before).max() < 0.1 * np.abs(before).max()


@keras.saving.register_keras_serializable("tests")
class Doubled(LayerNormalization):
    """What a user would write: a subclass of a layer of ours in a model of theirs."""

    def __init__(self, factor=2.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, inputs, condition=None, training=None):
        return self.factor * super().call(inputs, condition, training=training)

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


def test_subclassing_a_layer_in_a_model_without_the_builder(tmp_path):
    inputs = keras.Input((8,))
    model = keras.Model(inputs, keras.layers.Dense(1)(Doubled(3.0)(inputs)))
    model.compile("adam", "mse")
    x = RNG.normal(size=(16, 8))
    model.fit(x, x[:, :1], verbose=0)
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))
