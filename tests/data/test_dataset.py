import warnings

import numpy as np
import pytest
import tensorflow as tf

from bert4keras_ext.data import DataGenerator
from tests.data.test_generator import Pairs, Stream, rows, tiny_model


class Samples(DataGenerator):
    """Single samples, as bert4keras' to_dataset wants them."""

    def __iter__(self, random=False):
        for _, (ids, label) in self.sample(random):
            yield (ids, [0] * len(ids)), label


class Inputs(DataGenerator):
    def __iter__(self, random=False):
        for _, (ids, _) in self.sample(random):
            yield ids, [0] * len(ids)


SAMPLE = {"types": (("int32", "int32"), "int32"), "shapes": (([None], [None]), [])}


def test_batches_with_inferred_shapes():
    train = Pairs(rows([5, 5, 5, 5, 40, 40]), batch_size=2)
    dataset = train.to_dataset(random=False, repeat=False)
    (ids, segments), labels = dataset.element_spec
    assert ids.shape.as_list() == segments.shape.as_list() == [None, None]
    assert labels.shape.as_list() == [None, 1]
    assert [x[0].shape[1] for x, _ in dataset] == [32, 32, 64]
    assert [x[0].shape[1] for x, _ in dataset] == [32, 32, 64]  # a second time
    model = tiny_model()
    history = model.fit(train.to_dataset(), steps_per_epoch=len(train), epochs=2, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    assert model.evaluate(dataset, verbose=0)[0] > 0


def test_looking_at_the_first_batch_loses_nothing():
    data = rows(range(3, 9))
    generator = Pairs(Stream(iter(data)), batch_size=2)
    dataset = generator.to_dataset(random=False, repeat=False)
    assert sum(len(labels) for _, labels in dataset) == 6
    np.random.seed(3)
    expected = next(Pairs(data, 2).forfit())[1]
    np.random.seed(3)
    assert (next(iter(Pairs(data, 2).to_dataset()))[1].numpy() == expected).all()


def test_padded_samples():
    train = Samples(rows([5, 40, 7]), batch_size=2)
    dataset = train.to_dataset(**SAMPLE, padded_batch=True, random=False)
    batches = list(dataset.take(3))
    # Full batches, across the end of an epoch, in rounded lengths.
    assert [x[0].shape for x, _ in batches] == [(2, 64), (2, 32), (2, 64)]
    assert batches[0][0][0].dtype == tf.int32 and batches[0][1].shape == (2,)
    assert batches[1][0][0].numpy()[1, :5].tolist() == train.data[0][0]
    one_pass = train.to_dataset(**SAMPLE, padded_batch=True, repeat=False)
    assert [len(labels) for _, labels in one_pass] == [2, 1]
    history = tiny_model().fit(dataset, steps_per_epoch=2, verbose=0)
    assert np.isfinite(history.history["loss"]).all()


def test_padding_values():
    train = Samples(rows([3, 5]), 2)
    options = dict(SAMPLE, padded_batch=True, random=False)
    for values in (((7, None), None), ((7, 0), 0)):
        (ids, segments), labels = next(iter(train.to_dataset(**options, padding_values=values)))
        assert ids.numpy()[0].tolist() == train.data[0][0] + [7] * 29
        assert segments.numpy()[0, 3:].tolist() == [0] * 29 and labels.shape == (2,)
    (ids, segments), _ = next(iter(train.to_dataset(**options, padding_values=7)))
    assert ids.numpy()[0, 3:].tolist() == segments.numpy()[0, 3:].tolist() == [7] * 29
    with pytest.raises(ValueError, match="padded_batch=True, as padding_values"):
        train.to_dataset(padding_values=7)


def test_fixed_sizes_and_plain_stacking():
    fixed = {"types": "int32", "shapes": (([16], [16]), []), "padded_batch": True}
    dataset = Samples(rows([5, 40]), 2).to_dataset(**fixed, random=False)
    assert next(iter(dataset))[0][0].shape == (2, 16)
    stacked = Samples(rows([5, 5]), 2).to_dataset(types="int32", shapes=(([5], [5]), []))
    assert next(iter(stacked))[0][0].shape == (2, 5)
    with pytest.raises(ValueError, match="padded_batch=True"):
        Samples(rows([5, 40]), 2).to_dataset(types="int32")


def test_names():
    """bert4keras' own example: flat inputs, each with a name."""
    dataset = Inputs(rows([5, 40]), 2).to_dataset(
        types=("float32", "float32"),
        shapes=([None], [None]),
        names=("Input-Token", "Input-Segment"),
        padded_batch=True,
    )
    batch = next(iter(dataset))
    assert {name: part.shape for name, part in batch.items()} == {
        "Input-Token": (2, 64),
        "Input-Segment": (2, 64),
    }
    assert batch["Input-Token"].dtype == tf.float32
    inputs, targets = next(iter(Pairs(rows([5, 9]), 2).to_dataset(names=("ids", "segments"))))
    assert set(inputs) == {"ids", "segments"} and targets.shape == (2, 1)
    nested = Pairs(rows([5, 9]), 2).to_dataset(names=(("ids", "segments"), ("label",)))
    assert set(next(iter(nested))[1]) == {"label"}


def test_features_keep_their_size():
    class Features(DataGenerator):
        def __iter__(self, random=False):
            yield np.zeros((2, 7, 16), "float32"), np.zeros((2, 12, 7, 7), "float32")

    features, table = Features([1]).to_dataset().element_spec
    assert features.shape.as_list() == [None, None, 16]
    assert table.shape.as_list() == [None, None, None, None]


def test_errors():
    with pytest.raises(ValueError, match="shapes="):
        Samples(rows([5]), 1).to_dataset(padded_batch=True)
    with pytest.raises(ValueError, match="nested like the data"):
        Samples(rows([5]), 1).to_dataset(types=("int32", "int32", "int32"))
    with pytest.raises(ValueError, match="no batch|at least one batch"):
        Pairs([], 1).to_dataset()
    with pytest.raises(ValueError, match="at least one batch"):
        Pairs([], 1).to_dataset(repeat=False)
    with pytest.raises(ValueError, match="2 names"):
        Pairs(rows([5]), 1).to_dataset(names=("a", "b", "c"))


def listed(sample):
    """A generator of such samples, made of lists alone, as bert4keras' scripts yield them."""

    class Listed(DataGenerator):
        def __iter__(self, random=False):
            for _, (ids, label) in self.sample(random):
                yield sample(ids, [0] * len(ids), label)

    return Listed(rows([5, 9, 7]), batch_size=2)


IN, ROW = ("Input-Token", "Input-Segment"), [None]


def test_samples_of_lists():
    """The nesting of types tells inputs from rows: task_iflytek_multigpu.py's samples."""
    dataset = listed(lambda ids, zeros, label: [[ids, zeros], [[label]]]).to_dataset(
        types=[("float32", "float32"), ("float32",)],
        shapes=[(ROW, ROW), ([1],)],
        names=[IN, ("Probas",)],
        padded_batch=True,
        random=False,
    )
    inputs, targets = next(iter(dataset))
    assert {name: part.shape for name, part in inputs.items()} == dict.fromkeys(IN, (2, 32))
    assert targets["Probas"].shape == (2, 1)
    assert inputs["Input-Token"].numpy()[0, :5].tolist() == rows([5, 9, 7])[0][0]


FLAT = {"types": ("int32", "int32"), "shapes": (ROW, ROW), "padded_batch": True, "random": False}


@pytest.mark.parametrize(
    "described", [{}, {"types": "int32"}, {"shapes": (ROW, ROW), "types": None}]
)
def test_flat_samples_of_lists(described):
    generator = listed(lambda ids, zeros, label: [ids, zeros])
    ids, zeros = next(iter(generator.to_dataset(**FLAT | described)))
    assert ids.shape == zeros.shape == (2, 32) and not zeros.numpy().any()
    named = next(iter(generator.to_dataset(**FLAT | described, names=IN)))
    assert set(named) == set(IN)


def test_single_rows_and_tables():
    """A list stays one array where the description ends."""
    row = listed(lambda ids, zeros, label: ids)
    for types, shapes in (("int32", ROW), (("int32",), (ROW,))):
        (batch,) = next(iter(row.to_dataset(types=types, shapes=shapes, padded_batch=True)))
        assert batch.shape == (2, 32)
    table = listed(lambda ids, zeros, label: ([ids, zeros], label))
    described = {"types": ("int32", "int32"), "shapes": ([2, None], [])}
    batch, labels = next(iter(table.to_dataset(**described, padded_batch=True)))
    assert batch.shape == (2, 2, 32) and labels.shape == (2,)


def test_a_description_that_is_nested_deeper_than_the_data():
    generator = listed(lambda ids, zeros, label: (np.array(ids), label))
    with pytest.raises(ValueError, match="nested like the data, one array here"):
        generator.to_dataset((("int32", "int32"), "int32"), (ROW, []), padded_batch=True)


def test_one_pass_has_a_known_length():
    """Keras ran into the end of it, and warned each time."""
    model, dev = tiny_model(), Pairs(rows([5, 9, 7]), batch_size=2)
    dataset = dev.to_dataset(random=False, repeat=False)
    assert int(dataset.cardinality()) == len(dev) == 2
    samples = Samples(rows([5, 40, 7]), batch_size=2)
    samples = samples.to_dataset(**SAMPLE, padded_batch=True, repeat=False)
    assert int(samples.cardinality()) == 2 == len(list(samples))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2):
            model.evaluate(dataset, verbose=0)
    stream = Pairs(Stream(rows([5, 9, 7])), batch_size=2).to_dataset(repeat=False)
    assert int(stream.cardinality()) == tf.data.UNKNOWN_CARDINALITY


class Filtered(Pairs):
    """Leaves out short rows, or gives all of them twice."""

    def items(self, random=False):
        kept = (item for item in super(Pairs, self).items(random) for _ in range(self.times))
        return (item for item in kept if len(item[0]) > 6)


@pytest.mark.parametrize("times, found", [(1, "found 1"), (4, "found more")])
def test_a_pass_of_another_length_says_so(times, found):
    dev = Filtered(rows([5, 9, 7]), batch_size=2)
    dev.times = times
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"{found}.*exact=False"):
        list(dev.to_dataset(repeat=False))
    inexact = list(dev.to_dataset(repeat=False, exact=False))
    assert sum(len(labels) for _, labels in inexact) == 2 * times
    assert len(list(dev.to_dataset().take(9))) == 9  # endless: nothing is said of its length
