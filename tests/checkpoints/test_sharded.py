"""Checkpoints in several files, and indexes that must not be trusted."""

import json

import numpy as np
import pytest

from bert4keras_ext.checkpoints import CheckpointError, open_checkpoint, safetensors_file
from tests.checkpoints import torch_maker as maker

ARRAYS = {name: np.full((2, i + 1), i, "float32") for i, name in enumerate("abc")}


def write_index(folder, weight_map, name="model.safetensors.index.json"):
    (folder / name).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return folder / name


@pytest.fixture
def folder(tmp_path):
    safetensors_file.write(tmp_path / "x.safetensors", {"a": ARRAYS["a"], "b": ARRAYS["b"]})
    safetensors_file.write(tmp_path / "y.safetensors", {"c": ARRAYS["c"]})
    return tmp_path


def test_safetensors(folder):
    write_index(folder, {"a": "x.safetensors", "b": "x.safetensors", "c": "y.safetensors"})
    with open_checkpoint(folder) as reader:
        assert reader.format == "sharded safetensors (2 files)"
        assert reader.names() == ["a", "b", "c"]
        reader.verify()
        reader.verify(["c"])
        for name, array in ARRAYS.items():
            assert reader.shape(name) == array.shape and reader.dtype(name) == array.dtype
            np.testing.assert_array_equal(reader.read(name), array)
        with pytest.raises(CheckpointError, match="no tensor named 'd'"):
            reader.read("d")


def test_pytorch(tmp_path):
    maker.write_zip(tmp_path / "x.bin", maker.state_dict({"a": ARRAYS["a"]}))
    maker.write_legacy(tmp_path / "y.bin", maker.state_dict({"b": ARRAYS["b"]}))
    write_index(tmp_path, {"a": "x.bin", "b": "y.bin"}, "pytorch_model.bin.index.json")
    with open_checkpoint(tmp_path) as reader:
        assert reader.format == "sharded PyTorch legacy .bin and PyTorch zip .bin (2 files)"
        for name in "ab":
            np.testing.assert_array_equal(reader.read(name), ARRAYS[name])


def test_only_the_files_of_the_names_asked_for_are_verified(tmp_path):
    damaged = maker.write_zip(tmp_path / "x.bin", maker.state_dict({"a": ARRAYS["b"]}))
    maker.write_zip(tmp_path / "y.bin", maker.state_dict({"b": ARRAYS["c"]}))
    data = damaged.read_bytes()
    damaged.write_bytes(data.replace(ARRAYS["b"].tobytes(), b"\1" * ARRAYS["b"].nbytes))
    with open_checkpoint(write_index(tmp_path, {"a": "x.bin", "b": "y.bin"})) as reader:
        reader.verify(["b"])
        reader.verify([])
        with pytest.raises(CheckpointError, match="storage '0' is corrupt"):
            reader.verify(["a"])


@pytest.mark.parametrize(
    "file",
    ["../x.safetensors", "/etc/passwd", "sub/x.safetensors", "..", ".", "", "C:x", "a\0b", 3],
)
def test_files_outside_the_folder(folder, file):
    inside = folder / "inside"
    inside.mkdir()
    with pytest.raises(CheckpointError, match="only a file in the same folder"):
        open_checkpoint(write_index(inside, {"a": file}))


def test_absent_files_are_listed(folder):
    index = write_index(folder, {"a": "x.safetensors", "c": "z.safetensors"})
    with pytest.raises(CheckpointError, match=r"1 of its 2 files are absent: \['z.safetensors'\]"):
        open_checkpoint(index)


def test_broken_promises(folder):
    index = write_index(folder, {"a": "y.safetensors"})
    with pytest.raises(CheckpointError, match=r"not in the files they should be in: \['a'\]"):
        open_checkpoint(index)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"weight_map": [1]}', "[" * 100_000, '"x"'])
def test_malformed_indexes(tmp_path, text):
    (tmp_path / "model.safetensors.index.json").write_text(text)
    with pytest.raises(CheckpointError, match="weight_map"):
        open_checkpoint(tmp_path)


def test_a_damaged_shard(folder):
    index = write_index(folder, {"a": "x.safetensors", "c": "y.safetensors"})
    shard = folder / "y.safetensors"
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match="y.safetensors.*truncated"):
        open_checkpoint(index)
