"""Batches from flat arrays beside those that generators with loops over rows make."""

import threading

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bert4keras_ext.data import (
    BucketedGenerator,
    TokenBatches,
    TokenCache,
    TokenRows,
    sequence_padding,
)
from bert4keras_ext.training import resumable_fit


class Loops(BucketedGenerator):
    """The oracle: the generator of a script, which goes through the rows one by one."""

    maxlen = None

    def __iter__(self, random=False):
        ids, labels = [], []
        for is_end, (row, label) in self.sample(random):
            ids.append(row)
            labels.append(label)
            if len(ids) == self.batch_size or is_end:
                ids = self.pad(ids, self.maxlen)
                yield [ids, np.zeros_like(ids)], np.array(labels)
                ids, labels = [], []


def make_rows(lengths, seed=0):
    rng = np.random.default_rng(seed)
    return [(rng.integers(1, 10, n).tolist(), int(rng.integers(2))) for n in lengths]


def row_length(row):
    return len(row[0])


def listed(batches):
    return [([part.tolist() for part in inputs], labels.tolist()) for inputs, labels in batches]


def take(stream, count):
    return [next(stream) for _ in range(count)]


@settings(max_examples=60)
@given(
    st.lists(st.integers(0, 40), min_size=1, max_size=60),
    st.integers(1, 9),
    st.integers(1, 4),
    st.sampled_from([{"multiple": 1}, {"multiple": 8}, {"buckets": [50, 16]}]),
    st.sampled_from([None, 20]),
    st.integers(0, 3),
)
def test_the_batches_of_a_generator_with_loops(lengths, size, window, rounding, maxlen, epoch):
    rows = make_rows(lengths)
    oracle = Loops(rows, size, length=row_length, window=window, seed=7, **rounding)
    oracle.maxlen = maxlen
    ours = TokenBatches(rows, size, window=window, seed=7, maxlen=maxlen, **rounding)
    count = 2 * len(oracle)
    for random in (False, True):
        expected = listed(take(oracle.forfit(random, epoch), count))
        assert listed(take(ours.forfit(random, epoch), count)) == expected
        ours.epoch = oracle.epoch = epoch  # what is made ahead may be of a later one
        assert listed(ours.__iter__(random)) == listed(oracle.__iter__(random))


def test_without_a_seed_numpys_global_state_decides():
    rows, batches = make_rows(range(1, 30)), []
    for generator in (Loops(rows, 4, length=row_length, window=3), TokenBatches(rows, 4, window=3)):
        np.random.seed(3)
        batches.append(listed(take(generator.forfit(), 20)))
    assert batches[0] == batches[1]


def test_sample_gives_the_rows_in_the_order_of_the_batches():
    train = TokenBatches(make_rows(range(1, 30)), 4, seed=1, window=3)
    rows = [row for batch in train.places(random=True) for row in batch]
    assert [len(ids) for _, (ids, _) in train.sample(random=True)] == [row + 1 for row in rows]


@pytest.mark.parametrize("prefetch", [0, 1, 3])
def test_prefetching_changes_nothing_and_works_ahead(prefetch):
    rows = make_rows(range(1, 30))
    train = TokenBatches(rows, 4, seed=1, prefetch=prefetch)
    assert listed(take(train.forfit(), 20)) == listed(
        take(TokenBatches(rows, 4, seed=1, prefetch=0).forfit(), 20)
    )
    stream, thread = train.forfit(random=False), []
    train.assemble = lambda *fields: thread.append(threading.current_thread()) or fields
    next(stream)
    assert (thread[0] is threading.main_thread()) == (prefetch == 0)


def test_errors_of_the_thread_reach_the_consumer():
    train = TokenBatches(make_rows([50]), buckets=[16], seed=1)
    with pytest.raises(ValueError, match="at most 16"):
        next(train.forfit())
    with pytest.raises(ValueError, match="yielded no batch"):
        next(TokenBatches([], seed=1).forfit())


def test_the_fields_of_a_batch():
    rows = [([2, 5, 3], [0, 0, 1], 1, 0.5), ([2, 3], [0, 1], 0, 2.0)]
    (ids, segments), labels, weights = next(TokenBatches(rows, value=9, multiple=4).forfit(False))
    assert ids.tolist() == [[2, 5, 3, 9], [2, 3, 9, 9]]
    assert segments.tolist() == [[0, 0, 1, 0], [0, 1, 0, 0]]
    assert (labels.tolist(), weights.tolist()) == ([1, 0], [0.5, 2.0])
    assert labels.dtype == np.int32 and weights.dtype == np.float32
    (batch,) = next(TokenBatches([[2, 3]], multiple=2).forfit(False))
    assert [part.tolist() for part in batch] == [[[2, 3]], [[0, 0]]]
    values = TokenBatches(rows, value=(9, 8, 0, 0), multiple=4)
    assert next(values.forfit(False))[0][1].tolist() == [[0, 0, 1, 8], [0, 1, 8, 8]]


@pytest.mark.parametrize("rows", [[(1, [2])], [([2], 1, 1.0, 1)], [(1,)]])
def test_other_fields_need_a_subclass(rows):
    with pytest.raises(ValueError, match="fix: a subclass with assemble"):
        next(TokenBatches(rows).forfit(False))


class Choices(TokenBatches):
    def assemble(self, ids, label):
        return [ids, np.zeros_like(ids)], label


@given(st.lists(st.lists(st.integers(0, 9), min_size=2, max_size=4), min_size=1, max_size=14))
@settings(max_examples=30)
def test_groups_stand_together(lengths):
    rng = np.random.default_rng(0)
    rows = [([rng.integers(1, 9, n).tolist() for n in group], i) for i, group in enumerate(lengths)]
    choices = Choices(rows, 3, seed=5, multiple=4, window=2)
    seen = []
    for (ids, _), labels in choices.__iter__(random=True):
        groups = [rows[label][0] for label in labels]
        longest = max(len(choice) for group in groups for choice in group)
        size = [max(map(len, groups)), max(-(-longest // 4), 1) * 4]
        np.testing.assert_array_equal(ids, sequence_padding(groups, size, seq_dims=2))
        seen += labels.tolist()
    assert sorted(seen) == list(range(len(rows)))
    order = [label for _, (_, label) in choices.sample(random=True)]
    assert order == seen


def test_folds_of_cached_rows(tmp_path):
    (tmp_path / "data").write_text("一二三\n四五\n六\n七八九十\n", encoding="utf-8")

    def encode(line):
        return [ord(c) for c in line], len(line)

    rows = TokenCache(tmp_path / "cache").rows(tmp_path / "data", encode, {})
    fold = TokenBatches(rows[np.array([3, 0])], 2, multiple=4)
    (ids, _), lengths = next(fold.forfit(False))
    assert lengths.tolist() == [4, 3]
    assert ids.tolist() == [[ord(c) for c in "七八九十"], [*map(ord, "一二三"), 0]]


def test_mapped_rows_give_the_batches_of_rows_in_memory(tmp_path):
    path = tmp_path / "data"
    path.write_text("".join("字" * n + "\n" for n in (5, 1, 9, 3, 7)), encoding="utf-8")
    rows = [([ord(c) for c in line], len(line)) for line in path.read_text("utf-8").split()]
    mapped = TokenCache(tmp_path / "cache").rows(
        path, lambda line: ([ord(c) for c in line], len(line)), {}
    )
    assert isinstance(mapped, TokenRows)
    streams = [TokenBatches(data, 2, seed=1).forfit() for data in (rows, mapped)]
    assert listed(take(streams[0], 7)) == listed(take(streams[1], 7))


# ---- with Keras -----------------------------------------------------------------------------


def make_model():
    keras.utils.set_random_seed(0)
    ids, segments = keras.Input((None,), dtype="int32"), keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(10, 4)(ids) + keras.layers.Embedding(2, 4)(segments)
    x = keras.layers.Dropout(0.3)(keras.layers.GlobalAveragePooling1D()(x))
    model = keras.Model([ids, segments], keras.layers.Dense(2, "softmax")(x))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def test_fit_predict_and_datasets():
    rows = make_rows(range(1, 40))
    train, dev = (TokenBatches(rows, 4, seed=1, multiple=16) for _ in range(2))
    model = make_model()
    validation = dev.to_dataset(random=False, repeat=False)
    model.fit(train.forfit(), steps_per_epoch=len(train), verbose=0, validation_data=validation)
    model.fit(train.to_dataset(), steps_per_epoch=len(train), verbose=0)
    scores = model.predict(dev.fortest(), steps=len(dev), verbose=0)
    assert scores.shape == (39, 2)
    padded = sequence_padding([rows[20][0]], length=32)  # as in its batch
    alone = model.predict([padded, np.zeros_like(padded)], verbose=0)
    np.testing.assert_allclose(scores[20], alone[0], rtol=1e-5)


class StopAt(keras.callbacks.Callback):
    def __init__(self, step):
        super().__init__()
        self.step = step

    def on_train_batch_end(self, batch, logs=None):
        self.step -= 1
        if self.step < 0:
            raise InterruptedError


def test_an_interrupted_training_goes_on_exactly(tmp_path):
    """At a random step, in one of two epochs; the batches in between were made ahead already."""
    path = tmp_path / "data"
    path.write_text("".join("123456789"[: 1 + n % 9] * 3 + "\n" for n in range(26)))

    def fit(name, *callbacks):
        rows = TokenCache(tmp_path / "cache").rows(
            path, lambda line: ([int(c) for c in line], len(line) % 2), {}
        )
        train = TokenBatches(rows, batch_size=4, seed=3, multiple=8)
        model = make_model()
        history = resumable_fit(
            model, train, 2, tmp_path / name, callbacks=callbacks, save_steps=3, verbose=0,
            settings={"rows": rows.fingerprint},
        )  # fmt: skip
        history.pop("seconds")
        return model.get_weights(), history

    weights, history = fit("whole")
    step = int(np.random.default_rng().integers(1, 14))
    with pytest.raises(InterruptedError):
        fit("interrupted", StopAt(step))
    resumed, resumed_history = fit("interrupted")
    assert resumed_history == history, step
    for a, b in zip(weights, resumed):
        np.testing.assert_array_equal(a, b, f"interrupted at {step}")
