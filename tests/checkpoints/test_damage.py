"""Truncated and corrupted files of every format raise, and leave the model as it was."""

import h5py
import keras
import numpy as np
import pytest

from bert4keras_ext.checkpoints import (
    CheckpointError,
    load_checkpoint,
    safetensors_file,
    tf_checkpoint,
)
from tests.checkpoints import torch_maker as maker
from tests.checkpoints.fake import FakeBuilder, assert_same, published
from tests.checkpoints.test_keras_h5 import ModelBuilder, randomised, small_model, write_keras2

CUTS = [0, 1, 7, 64, 0.02, 0.1, 0.5, 0.9, 0.99, -1]


def tensorflow(folder, part):
    tf_checkpoint.write(folder / "model.ckpt", published(FakeBuilder(seed=1)))
    return folder / "model.ckpt", folder / f"model.ckpt.{part}"


def safetensors(folder):
    path = folder / "model.safetensors"
    safetensors_file.write(path, published(FakeBuilder(seed=1), "huggingface"))
    return path, path


def torch(folder, write):
    state = maker.state_dict(published(FakeBuilder(seed=1), "huggingface"))
    return (write(folder / "pytorch_model.bin", state),) * 2


def keras2(folder):
    write_keras2(folder / "best.h5", FakeBuilder(seed=1))
    return folder / "best.h5", folder / "best.h5"


FORMATS = {
    "tensorflow data": lambda folder: tensorflow(folder, "data-00000-of-00001"),
    "tensorflow index": lambda folder: tensorflow(folder, "index"),
    "safetensors": safetensors,
    "torch zip": lambda folder: torch(folder, maker.write_zip),
    "torch legacy": lambda folder: torch(folder, maker.write_legacy),
    "keras 2": keras2,
}
WITH_CHECKSUMS = ["tensorflow data", "tensorflow index", "torch zip"]


def still(builder, path):
    before = builder.values()
    with pytest.raises(CheckpointError):
        load_checkpoint(builder, path)
    assert_same(builder.values(), before)


@pytest.mark.parametrize("format", FORMATS)
def test_undamaged_files_load(tmp_path, format):
    builder = FakeBuilder(seed=2)
    path, _ = FORMATS[format](tmp_path)
    load_checkpoint(builder, path)
    assert_same(builder.values(), FakeBuilder(seed=1).values())


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("format", FORMATS)
def test_truncated(tmp_path, format, cut):
    path, file = FORMATS[format](tmp_path)
    data = file.read_bytes()
    file.write_bytes(data[: int(cut * len(data)) if isinstance(cut, float) else cut])
    still(FakeBuilder(seed=2), path)


@pytest.mark.parametrize("place", np.linspace(0, 0.999, 12))
@pytest.mark.parametrize("format", WITH_CHECKSUMS)
def test_flipped_bytes(tmp_path, format, place):
    """Wherever a byte changes, loading fails or the weights are right (it was in a gap)."""
    path, file = FORMATS[format](tmp_path)
    data = bytearray(file.read_bytes())
    data[int(place * len(data))] ^= 0x55
    file.write_bytes(data)
    builder = FakeBuilder(seed=2)
    before = builder.values()
    try:
        load_checkpoint(builder, path)
    except CheckpointError:
        assert_same(builder.values(), before)
    else:
        assert_same(builder.values(), FakeBuilder(seed=1).values())


@pytest.mark.parametrize("format", ["tensorflow data", "torch zip"])
def test_a_changed_weight_is_noticed(tmp_path, format):
    path, file = FORMATS[format](tmp_path)
    weight = FakeBuilder(seed=1).values()["Embedding-Token/embeddings"].tobytes()
    data = file.read_bytes()
    assert data.count(weight) == 1
    file.write_bytes(data.replace(weight, weight[:-1] + bytes([weight[-1] ^ 1])))
    still(FakeBuilder(seed=2), path)


@pytest.mark.parametrize("cut", CUTS)
def test_truncated_weights_h5(tmp_path, cut):
    path = tmp_path / "best.weights.h5"
    randomised(small_model(), 1).save_weights(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(cut * len(data)) if isinstance(cut, float) else cut])
    model = randomised(small_model(), 2)
    before = [keras.ops.convert_to_numpy(weight) for weight in model.weights]
    with pytest.raises(CheckpointError):
        load_checkpoint(ModelBuilder(model), path)
    for weight, value in zip(model.weights, before):
        np.testing.assert_array_equal(weight, value)


def test_h5_of_something_else(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = np.ones(3)
        file.attrs["layer_names"] = [b"gone"]
    still(FakeBuilder(), tmp_path / "a.h5")
