"""The right reader for a path, and a helpful error for anything else."""

import numpy as np
import pytest

from bert4keras_ext.checkpoints import (
    CheckpointError,
    Reader,
    find_checkpoint,
    open_checkpoint,
    safetensors_file,
)
from tests.checkpoints import torch_maker as maker


def test_dicts_and_readers():
    array = np.ones(3)
    with open_checkpoint({"a": array, "b": [1, 2]}) as reader:
        assert isinstance(reader, Reader) and open_checkpoint(reader) is reader
        assert (reader.names(), reader.shape("b"), "a" in reader) == (["a", "b"], (2,), True)
        reader.read("a")[0] = 7
        assert array[0] == 1
        with pytest.raises(CheckpointError, match="no tensor named 'c'"):
            reader.shape("c")


def test_contents_count_more_than_suffixes(tmp_path):
    safetensors_file.write(tmp_path / "weights", {"a": np.ones(2)})
    maker.write_zip(tmp_path / "weights.pth", maker.state_dict({"a": np.ones(2)}))
    maker.write_legacy(tmp_path / "weights.pt", maker.state_dict({"a": np.ones(2)}))
    formats = [open_checkpoint(tmp_path / f"weights{end}").format for end in ("", ".pth", ".pt")]
    assert formats == ["safetensors", "PyTorch zip .bin", "PyTorch legacy .bin"]


def test_folders_prefer_safetensors(tmp_path):
    maker.write_zip(tmp_path / "pytorch_model.bin", maker.state_dict({"a": np.ones(2)}))
    maker.write_zip(tmp_path / "training_args.bin", {})
    assert find_checkpoint(tmp_path).name == "pytorch_model.bin"
    safetensors_file.write(tmp_path / "model.safetensors", {"a": np.ones(2)})
    assert find_checkpoint(str(tmp_path)).name == "model.safetensors"


def test_folders_with_one_other_checkpoint(tmp_path):
    (tmp_path / "vocab.txt").write_text("[PAD]\n")
    safetensors_file.write(tmp_path / "epoch3.safetensors", {"a": np.ones(2)})
    assert find_checkpoint(tmp_path).name == "epoch3.safetensors"
    safetensors_file.write(tmp_path / "epoch4.safetensors", {"a": np.ones(2)})
    with pytest.raises(CheckpointError, match="several.*epoch3.safetensors, epoch4.safetensors"):
        find_checkpoint(tmp_path)


def test_folders_without_any(tmp_path):
    with pytest.raises(CheckpointError, match="it is empty"):
        open_checkpoint(tmp_path)
    (tmp_path / "vocab.txt").write_text("[PAD]\n")
    with pytest.raises(
        CheckpointError, match=r"no checkpoint in the folder .*: vocab.txt\. Expected"
    ):
        open_checkpoint(tmp_path)


def test_no_such_file(tmp_path):
    with pytest.raises(CheckpointError, match="no such file. Expected a TensorFlow checkpoint"):
        open_checkpoint(tmp_path / "model.ckpt")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n",
        b"<html>",
        b"\x80\x04.",
    ],
)
def test_unknown_contents(tmp_path, content):
    path = tmp_path / "pytorch_model.bin"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=f"it has {len(content)} bytes.*git lfs pull"):
        open_checkpoint(path)
