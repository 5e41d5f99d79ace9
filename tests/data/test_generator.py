import json
import warnings

import keras
import numpy as np
import pytest

from bert4keras_ext.data import DataGenerator, as_keras_batch, sequence_padding
from tests.shared import oracle


class Lists(DataGenerator):
    """Batches that are lists of items, as the oracle's."""

    def __iter__(self, random=False):
        batch = []
        for is_end, item in self.sample(random):
            batch.append(item)
            if len(batch) == self.batch_size or is_end:
                yield batch
                batch = []


class Pairs(DataGenerator):
    """The generator of a bert4keras script: lists of inputs."""

    def __iter__(self, random=False):
        ids, labels = [], []
        for is_end, (row, label) in self.sample(random):
            ids.append(row)
            labels.append([label])
            if len(ids) == self.batch_size or is_end:
                ids = self.pad(ids)
                yield [ids, np.zeros_like(ids)], np.array(labels)
                ids, labels = [], []


class Stream:
    def __init__(self, items):
        self.items = items

    def __iter__(self):
        return iter(self.items)


def rows(lengths):
    rng = np.random.default_rng(0)
    return [(rng.integers(1, 10, n).tolist(), int(n % 2)) for n in lengths]


def tiny_model():
    ids = keras.Input((None,), dtype="int32", name="ids")
    segments = keras.Input((None,), dtype="int32", name="segments")
    x = keras.layers.Embedding(10, 4)(ids) + keras.layers.Embedding(2, 4)(segments)
    x = keras.layers.Dense(2, activation="softmax")(keras.layers.GlobalAveragePooling1D()(x))
    model = keras.Model([ids, segments], x)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def take(stream, count):
    return [next(stream) for _ in range(count)]


def test_as_bert4keras():
    recorded = json.loads((oracle("bert4keras") / "snippets.json").read_text())["data_generator"]
    generator = Lists(list(range(11)), batch_size=4)
    assert len(generator) == recorded["len"]
    assert list(generator) == recorded["plain"]
    assert list(Lists(iter(range(11)), 4, buffer_size=5)) == recorded["iter_buffer"]
    np.random.seed(3)
    batches = take(generator.forfit(), 6)
    assert [batch[0].tolist() for batch in batches] == recorded["forfit_seed3"]


def test_epochs_are_shuffled_anew_and_reproducible():
    def epochs(seed, initial_epoch=0, data=range(20)):
        stream = Lists(data, batch_size=20, seed=seed).forfit(initial_epoch=initial_epoch)
        return [batch[0].tolist() for batch in take(stream, 3)]

    first, second, third = epochs(1)
    assert sorted(first) == sorted(second) == list(range(20))
    assert len({tuple(order) for order in (first, second, third)}) == 3
    assert epochs(1) == [first, second, third] != epochs(2)
    assert epochs(1, initial_epoch=1)[:2] == [second, third]
    assert epochs(1, data=Stream(range(20))) == epochs(1, data=Stream(range(20)))


def test_streams():
    generator = Lists(Stream(range(50)), batch_size=8, buffer_size=10)
    assert generator.steps is None and generator
    with pytest.raises(TypeError, match="steps_per_epoch"):
        len(generator)
    first = [batch[0].tolist() for batch in take(generator.forfit(), 7)]
    assert sorted(sum(first, [])) == list(range(50)) != sum(first, [])
    second = take(generator.forfit(), 8)[7][0]
    assert len(second) == 8  # the next epoch starts


def test_used_up_or_empty_data():
    stream = Lists(iter(range(3)), batch_size=2).forfit()
    take(stream, 2)
    with pytest.raises(ValueError, match="iterated again"):
        next(stream)
    with pytest.raises(ValueError, match="no batch"):
        next(Lists([], batch_size=2).forfit())
    assert list(Lists([], batch_size=2)) == []


def test_sample_marks_the_end_only():
    generator = Lists("abc")
    assert list(generator.sample()) == [(False, "a"), (False, "b"), (True, "c")]
    with pytest.raises(NotImplementedError, match="__iter__"):
        iter(DataGenerator([1]))
    with pytest.raises(ValueError, match="batch_size"):
        Lists([1], batch_size=0)


def test_pad():
    generator = DataGenerator([], multiple=8)
    assert generator.pad([[1] * 9, [2]]).shape == (2, 16)
    assert generator.pad([[1] * 9], maxlen=12).shape == (1, 12)
    assert generator.pad([[1] * 20], maxlen=12).shape == (1, 12)
    assert generator.pad([[1]], value=-1)[0, -1] == -1
    assert DataGenerator([], buckets=[10, 50]).pad([[1] * 11]).shape == (1, 50)


def test_batches_become_tuples():
    a, b = np.zeros((2, 3)), np.ones(2)
    inputs, targets = as_keras_batch([[a, [b, b]], {"y": [b]}])
    assert isinstance(inputs, tuple) and inputs[0] is a
    assert isinstance(inputs[1], tuple) and inputs[1][1] is b
    assert isinstance(targets["y"], tuple) and targets["y"][0] is b
    assert as_keras_batch(([a], None)) == ((a,), None)
    assert as_keras_batch(a) == (a,)
    assert len(as_keras_batch((a, b, b))) == 3
    assert as_keras_batch((a, [0, 1]))[1].tolist() == [0, 1]
    assert as_keras_batch({"x": a}) == ({"x": a},)
    with pytest.raises(ValueError, match="sequence_padding"):
        as_keras_batch(([[1, 2], [3]], b))


def test_first_batch_still_is_an_ordinary_array():
    (ids, _), labels = next(Pairs(rows([5, 7]), 2).forfit())
    assert isinstance(ids, np.ndarray) and ids.shape == (2, 32)
    assert ids.shape[1] == 32 and ids.sum(axis=1).shape == (2,)
    assert np.zeros(ids.shape).shape == (2, 32) and range(ids.shape[1]) == range(32)
    assert {labels.shape[1], 1} == {1}


@pytest.mark.parametrize("lengths", [[5] * 8 + [40] * 8, [40] * 8 + [5] * 8])
def test_fit_when_only_later_batches_have_another_length(lengths):
    train = Pairs(rows(lengths), batch_size=4)
    model = tiny_model()
    history = model.fit(
        train.forfit(random=False),
        steps_per_epoch=len(train),
        epochs=2,
        verbose=0,
        validation_data=train.to_dataset(random=False, repeat=False),
    )
    assert len(history.history["val_loss"]) == 2
    # Every validation ran over the same, whole data.
    loss = model.evaluate(train.fortest(), steps=len(train), verbose=0)[0]
    assert loss == pytest.approx(history.history["val_loss"][-1], abs=1e-5)


def test_predict_keeps_the_order():
    data = rows([3, 40, 7, 70, 9])
    test, model = Pairs(data, batch_size=2), tiny_model()
    result = model.predict(test.fortest(), steps=len(test), verbose=0)
    single = [
        model.predict(Pairs([row], 1, multiple=32).fortest(), steps=1, verbose=0) for row in data
    ]
    assert result.shape == (5, 2)
    # Pooling without masks sees the padding, so compare batch by batch of equal padding.
    assert np.allclose(result[-1], single[-1], atol=1e-6)


class LossAsLayer(keras.layers.Layer):
    def call(self, x):
        self.add_loss(keras.ops.mean(x**2))
        return x


def test_models_without_targets_and_with_weights():
    class NoTargets(Pairs):
        def __iter__(self, random=False):
            for inputs, _ in super().__iter__(random):
                yield inputs, None

    class Weighted(Pairs):
        def __iter__(self, random=False):
            for inputs, labels in super().__iter__(random):
                yield inputs, labels, np.ones(len(labels))

    class Named(Pairs):
        def __iter__(self, random=False):
            for (ids, segments), labels in super().__iter__(random):
                yield {"ids": ids, "segments": segments}, labels

    data = rows([5, 5, 40, 40])
    for kind in (Weighted, Named):
        train = kind(data, 2)
        history = tiny_model().fit(train.forfit(), steps_per_epoch=2, verbose=0)
        assert np.isfinite(history.history["loss"]).all()
    base = tiny_model()
    model = keras.Model(base.inputs, LossAsLayer()(base.output))
    model.compile("adam")
    train = NoTargets(data, 2)
    for batches in (train.forfit(), train.to_dataset()):
        assert model.fit(batches, steps_per_epoch=2, verbose=0).history["loss"][0] > 0


def test_sequence_padding_and_pad_agree():
    assert (DataGenerator([]).pad([[1], [2, 3]])[:, :2] == sequence_padding([[1], [2, 3]])).all()


def test_keras_does_not_warn_that_it_will_not_shuffle():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model, train = tiny_model(), Pairs(rows([5, 9, 7]), batch_size=2)
        model.fit(train.forfit(), steps_per_epoch=2, verbose=0)
        model.fit(train.to_dataset(), steps_per_epoch=2, verbose=0)
