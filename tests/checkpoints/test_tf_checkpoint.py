"""TensorFlow checkpoints: written without a session, read by TensorFlow, and found by any file."""

import os
import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from bert4keras_ext.checkpoints import CheckpointError, LazyArray, open_checkpoint, tf_checkpoint
from bert4keras_ext.checkpoints.arrays import dtype_of

DTYPES = ["float32", "float64", "float16", "bfloat16", "int32", "int64", "bool", "uint8"]
shapes = st.lists(st.integers(0, 4), max_size=4).map(tuple)


@given(
    st.dictionaries(
        st.from_regex(r"[a-z]+(/[a-z_0-9]+)*", fullmatch=True),
        st.tuples(shapes, st.sampled_from(DTYPES)),
        min_size=1,
        max_size=4,
    )
)
@settings(max_examples=25, deadline=None)
def test_round_trip(tmp_path_factory, described):
    random = np.random.default_rng(0)
    arrays = {
        name: np.asarray(random.integers(0, 2, shape)).astype(dtype_of(dtype))
        for name, (shape, dtype) in described.items()
    }
    path = tmp_path_factory.mktemp("tf") / "model.ckpt"
    tf_checkpoint.write(path, arrays)
    original = tf.train.load_checkpoint(str(path))
    with open_checkpoint(path) as reader:
        reader.verify()
        assert set(reader.names()) == set(arrays)
        for name, array in arrays.items():
            assert reader.shape(name) == array.shape and reader.dtype(name) == array.dtype
            np.testing.assert_array_equal(reader.read(name), array)
            np.testing.assert_array_equal(original.get_tensor(name), array)


def test_variables_lazy_arrays_and_dtype(tmp_path):
    path = tmp_path / "new" / "model.ckpt"
    tensors = {
        "variable": keras.Variable(np.array([1.5, 2.5])),
        "lazy": LazyArray((2,), np.dtype("float32"), lambda: [3, 4]),
        "steps": np.int64(7),
    }
    tf_checkpoint.write(path, tensors, dtype="float16")
    with open_checkpoint(path) as reader:
        dtypes = {name: reader.dtype(name).name for name in reader.names()}
        assert dtypes == {"variable": "float16", "lazy": "float16", "steps": "int64"}
        assert reader.read("variable").tolist() == [1.5, 2.5]
        assert reader.read("lazy").tolist() == [3, 4] and reader.read("steps") == 7
    assert sorted(file.name for file in path.parent.iterdir()) == [
        "model.ckpt.data-00000-of-00001",
        "model.ckpt.index",
    ]


def test_every_file_of_a_checkpoint_leads_to_it(tmp_path):
    tf_checkpoint.write(tmp_path / "bert_model.ckpt", {"a": np.ones(2)})
    (tmp_path / "bert_model.ckpt.meta").write_bytes(b"graph")
    for ending in ("", ".index", ".meta", ".data-00000-of-00001"):
        with open_checkpoint(tmp_path / f"bert_model.ckpt{ending}") as reader:
            assert reader.names() == ["a"]
    with open_checkpoint(tmp_path) as reader:  # Google's folders have nothing else
        assert reader.names() == ["a"]


@pytest.mark.parametrize("name", ["run[1]", "run*", "what?"])
def test_a_path_is_no_pattern(tmp_path, name):
    """TensorFlow would look for run1, and find it."""
    tf_checkpoint.write(tmp_path / "run1" / "m.ckpt", {"a": np.zeros(2)})
    tf_checkpoint.write(tmp_path / name / "m.ckpt", {"a": np.ones(2)})
    with open_checkpoint(tmp_path / name / "m.ckpt") as reader:
        reader.verify()
        assert reader.read("a").tolist() == [1, 1]
        folder = reader._folder.name
    assert not os.path.exists(folder)
    (tmp_path / name / "m.ckpt.data-00000-of-00001").unlink()
    with pytest.raises(CheckpointError, match=re.escape(name)):
        open_checkpoint(tmp_path / name / "m.ckpt").verify()


def test_missing_files_are_named(tmp_path):
    path = tmp_path / "model.ckpt"
    tf_checkpoint.write(path, {"a": np.ones(2)})
    data = tmp_path / "model.ckpt.data-00000-of-00001"
    data.rename(tmp_path / "away")
    with pytest.raises(CheckpointError, match=r"\.data"):
        open_checkpoint(path).verify()
    (tmp_path / "away").rename(data)
    (tmp_path / "model.ckpt.index").unlink()
    with pytest.raises(CheckpointError, match=r"no model.ckpt.index"):
        open_checkpoint(path)


def test_overwriting(tmp_path):
    path = tmp_path / "model.ckpt"
    tf_checkpoint.write(path, {"a": np.ones(2), "b": np.ones(3)})
    tf_checkpoint.write(path, {"a": np.zeros(4)})
    with open_checkpoint(path) as reader:
        assert reader.names() == ["a"] and reader.read("a").tolist() == [0] * 4


def test_object_based_checkpoints_say_what_they_are(tmp_path):
    tf.train.Checkpoint(v=tf.Variable([1.0, 2.0])).write(str(tmp_path / "weights"))
    with open_checkpoint(tmp_path / "weights") as reader:
        assert "model.save_weights" in reader.advice and "load_weights" in reader.advice
        assert reader.names() and not any("GRAPH" in name for name in reader.names())
        assert tf_checkpoint.OBJECT_GRAPH not in reader
