"""CRF and MEMM on batches of varying length: every kind of source, open graphs, exports."""

import keras
import numpy as np
import pytest

from bert4keras_ext.layers import ConditionalRandomField, MaximumEntropyMarkovModel
from bert4keras_ext.snippets import DataGenerator

CHAINS = [ConditionalRandomField, MaximumEntropyMarkovModel]
WORDS, LABELS = 6, 3
# Lengths of 1 to 7, so that no two batches of 3 rows agree.
LENGTHS = [7, 2, 4, 1, 1, 1, 5, 3, 5, 6, 1]


class Texts(DataGenerator):
    """Rows of word ids, each labelled by the word id modulo the number of labels."""

    def __iter__(self, random=False):
        ids = []
        for is_end, row in self.sample(random):
            ids.append(row)
            if len(ids) == self.batch_size or is_end:
                padded = self.pad(ids)
                yield padded, padded % LABELS
                ids = []


def texts():
    rng = np.random.default_rng(0)
    rows = [rng.integers(1, WORDS, length) for length in LENGTHS]
    return Texts(rows, batch_size=3, seed=1, multiple=1)


def python_generator(data):
    return (batch for batch in data.forfit())


def plain_dataset(data):
    import tensorflow as tf

    spec = tf.TensorSpec((None, None), "int64")
    return tf.data.Dataset.from_generator(
        lambda: iter(data), output_signature=(spec, spec)
    ).repeat()


class Batches(keras.utils.PyDataset):
    def __init__(self, data):
        super().__init__()
        self.batches = list(data)

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        return self.batches[index]


SOURCES = {
    "forfit": DataGenerator.forfit,
    "generator": python_generator,
    "to_dataset": DataGenerator.to_dataset,
    "tf.data": plain_dataset,
    "PyDataset": Batches,
}


def tagger(cls):
    tokens = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(WORDS, 4, mask_zero=True)(tokens)
    layer = cls(lr_multiplier=2)
    return keras.Model(tokens, layer(keras.layers.Dense(LABELS)(x))), layer


@pytest.mark.parametrize("cls", CHAINS)
def test_trains_on_batches_of_varying_length(cls):
    model, layer = tagger(cls)
    model.compile(
        keras.optimizers.Adam(0.05), layer.sparse_loss, metrics=[layer.sparse_accuracy]
    )  # fmt: skip
    start = model.get_weights()
    for batches_of in SOURCES.values():  # the graph of the first source serves them all
        model.set_weights(start)
        data = texts()
        history = model.fit(
            batches_of(data), steps_per_epoch=len(data), epochs=2, shuffle=False, verbose=0
        )
        losses = history.history["loss"]
        assert np.all(np.isfinite(losses)) and losses[1] < losses[0]
        assert all(np.any(a != b) for a, b in zip(start, model.get_weights()))


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("cls", CHAINS)
def test_open_graphs_equal_known_shapes(cls, jit):
    """Loss, gradients and paths of one graph, for lengths from 0 on and rows all masked."""
    import tensorflow as tf

    layer = cls(lr_multiplier=3)
    layer.build((None, None, LABELS))
    has_paths = cls is ConditionalRandomField

    def results(x, y):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = layer.sparse_loss(y, layer(x))
        slopes = tape.gradient(loss, [x, layer.weights[0].value])
        labels = layer.decode(layer(x)) if has_paths else y
        return loss, layer.sparse_accuracy(y, x), labels, *map(tf.convert_to_tensor, slopes)

    specs = [tf.TensorSpec((None, None, LABELS)), tf.TensorSpec((None, None), "int32")]
    graph = tf.function(results, input_signature=specs, jit_compile=jit)
    rng = np.random.default_rng(3)
    for batch, length in [(3, 5), (2, 0), (2, 1), (1, 3)][: 2 if jit else 4]:
        x = rng.normal(size=(batch, length, LABELS)).astype("float32")
        x[-1, 1:] = -np.inf  # but for its first place all masked
        x[:-1, length // 2 : length // 2 + 1] = -np.inf
        y = rng.integers(0, LABELS, (batch, length)).astype("int32")
        wanted = results(tf.constant(x), tf.constant(y))
        for found, value in zip(graph(x, y), wanted):
            np.testing.assert_allclose(found, value, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("cls", CHAINS)
def test_rows_of_no_places_cost_nothing(cls):
    layer = cls()
    layer.build((None, None, LABELS))
    empty = np.zeros((2, 0, LABELS), "float32")
    loss = layer.sparse_loss(np.zeros((2, 0), "int32"), layer(empty))
    assert not np.any(np.asarray(loss))
    if cls is ConditionalRandomField:
        assert layer.decode(layer(empty)).shape == (2, 0)


def test_exported_paths(tmp_path):
    """Scores and paths in a SavedModel, for lengths that were never traced."""
    import tensorflow as tf

    model, layer = tagger(ConditionalRandomField)
    layer.set_weights([np.random.default_rng(4).normal(size=(LABELS, LABELS))])
    archive = keras.export.ExportArchive()
    archive.track(model)
    spec = [tf.TensorSpec((None, None), "int32")]
    archive.add_endpoint("scores", model, spec)
    archive.add_endpoint("labels", lambda ids: layer.decode(model(ids)), spec)
    archive.write_out(str(tmp_path), verbose=False)
    served = tf.saved_model.load(str(tmp_path))
    for shape in [(2, 4), (1, 9), (3, 1)]:
        ids = np.random.default_rng(5).integers(0, WORDS, shape).astype("int32")
        scores = model(ids)
        np.testing.assert_allclose(served.scores(ids), scores, rtol=1e-6)
        np.testing.assert_array_equal(served.labels(ids), layer.decode(scores))
