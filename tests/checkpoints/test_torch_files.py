"""PyTorch files of both formats: every dtype, every layout, wrappers, and files that lie."""

import os
import zipfile

import numpy as np
import pytest

from bert4keras_ext.checkpoints import CheckpointError, open_checkpoint
from bert4keras_ext.checkpoints.arrays import dtype_of
from tests.checkpoints import torch_maker as maker

WRITERS = {"zip": maker.write_zip, "legacy": maker.write_legacy}
FLOATS = np.arange(24, dtype=np.float32)
STORAGE = maker.Storage(FLOATS, "0")


@pytest.fixture(params=WRITERS)
def write(request, tmp_path):
    return lambda obj, **options: WRITERS[request.param](tmp_path / "model.bin", obj, **options)


def read_all(path):
    with open_checkpoint(path) as reader:
        reader.verify()
        return {name: reader.read(name) for name in reader.names()}


@pytest.mark.parametrize("dtype", maker.STORAGES)
def test_dtypes(write, dtype):
    dtype = dtype_of(dtype)
    array = np.arange(-4, 8).reshape(3, 4).astype(dtype)
    found = read_all(write(maker.state_dict({"a": array, "b": array[0]})))
    assert found["a"].dtype == dtype
    np.testing.assert_array_equal(found["a"], array)
    np.testing.assert_array_equal(found["b"], array[0])


LAYOUTS = {
    "plain": ((4, 6), (6, 1), 0, FLOATS.reshape(4, 6)),
    "transposed": ((6, 4), (1, 6), 0, FLOATS.reshape(4, 6).T),
    "slice": ((2, 3), (6, 2), 6, FLOATS.reshape(4, 6)[1:3, ::2]),
    "tail": ((5,), (1,), 19, FLOATS[19:]),
    "permuted": ((2, 4, 3), (3, 6, 1), 0, FLOATS.reshape(4, 2, 3).transpose(1, 0, 2)),
    "permuted with a single": ((1, 3, 8), (5, 1, 3), 0, FLOATS.reshape(8, 3).T[None]),
    "transposed tail": ((2, 2), (1, 2), 20, FLOATS[20:].reshape(2, 2).T),
    "expanded": ((3, 4), (0, 1), 2, np.broadcast_to(FLOATS[2:6], (3, 4))),
    "scalar": ((), (), 7, FLOATS[7]),
    "empty": ((0, 3), (3, 1), 0, np.zeros((0, 3), np.float32)),
}


def test_layouts_share_a_storage(write):
    obj = {name: maker.tensor(STORAGE, *layout[:3]) for name, layout in LAYOUTS.items()}
    found = read_all(write(obj))
    for name, (shape, _, _, expected) in LAYOUTS.items():
        assert found[name].shape == shape and found[name].dtype == np.float32
        np.testing.assert_array_equal(found[name], expected, err_msg=name)


def test_reading_gives_arrays_of_the_callers_own(write):
    with open_checkpoint(write({"a": maker.plain(FLOATS, "0")})) as reader:
        reader.read("a")[:] = -1
        np.testing.assert_array_equal(reader.read("a"), FLOATS)


@pytest.mark.parametrize("wrapper", ["state_dict", "model_state_dict", "model"])
def test_wrappers_are_taken_off(write, wrapper):
    obj = {wrapper: {"a.b": maker.plain(FLOATS, "0")}, "epoch": 3, "optimizer": None}
    assert list(read_all(write(obj))) == ["a.b"]


def test_nested_names_are_joined_and_the_rest_is_left_out(write):
    obj = {
        "encoder": {"w": maker.plain(FLOATS, "0"), "name": "x", 3: maker.plain(FLOATS, "1")},
        "list": [maker.plain(FLOATS, "2"), "text", (None, maker.plain(FLOATS, "3"))],
        "steps": 7,
    }
    assert list(read_all(write(obj))) == ["encoder.w", "encoder.3", "list.0", "list.2.1"]


@pytest.mark.parametrize("obj", [{}, [], "text", {"epoch": 3}, maker.plain(FLOATS, "0")])
def test_no_state_dict(write, obj):
    with pytest.raises(CheckpointError, match="expected a state dict"):
        open_checkpoint(write(obj))


@pytest.mark.parametrize("size", [0, 23, 25, 10**12])
def test_storage_sizes_that_lie(write, size):
    identity = STORAGE.identity(size)
    lying = maker.PersistentId(identity)
    obj = {"a": maker.tensor(lying, (min(size, 2),), (1,))}
    with pytest.raises(CheckpointError, match=r"storage '0'|truncated"):
        open_checkpoint(write(obj, **_with_storage(write, obj)))


def _with_storage(write, obj):
    """The zip writer is told about the storage that hides behind the lying identity."""
    return {"storages": {"0": FLOATS}} if "zip" in str(write.__closure__[0].cell_contents) else {}


def test_legacy_storage_sizes_that_lie(tmp_path):
    path = maker.write_legacy(tmp_path / "a.bin", {"a": maker.plain(FLOATS, "0")})
    data = path.read_bytes()
    position = data.rindex((24).to_bytes(8, "little"))
    for size in (23, 25, 2**61, -1):
        header = size.to_bytes(8, "little", signed=True)
        path.write_bytes(data[:position] + header + data[position + 8 :])
        with pytest.raises(CheckpointError):
            open_checkpoint(path)


def test_an_empty_shape_beyond_numpy(write):
    with pytest.raises(CheckpointError, match="tensor 'a'.*larger than any array"):
        open_checkpoint(write({"a": maker.tensor(STORAGE, (0, 2**61, 8), (1, 1, 1))}))


def test_a_zip_without_the_storage(tmp_path):
    path = maker.write_zip(tmp_path / "a.bin", {"a": maker.plain(FLOATS, "0")}, storages={})
    with pytest.raises(CheckpointError, match="needs 96 bytes, there is none"):
        open_checkpoint(path)


def test_compressed_entries_are_refused(tmp_path):
    """A zip bomb is a small compressed entry; PyTorch never compresses."""
    bomb = maker.plain(np.zeros(10**6, np.float32), "0")
    path = maker.write_zip(tmp_path / "a.bin", {"a": bomb}, compression=zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 10**5
    with pytest.raises(CheckpointError, match="compressed"):
        open_checkpoint(path)


@pytest.mark.parametrize("name", ["../evil", "/tmp/evil", "archive/../../evil", "C:\\evil", "a\nb"])
def test_odd_entry_names_are_never_written(tmp_path, name):
    inside = tmp_path / "inside" / "deep"
    inside.mkdir(parents=True)
    obj = {"a": maker.plain(FLOATS, "../../evil")}
    path = maker.write_zip(inside / "a.bin", obj, entries=[(name, "x")])
    before = sorted(tmp_path.rglob("*"))
    np.testing.assert_array_equal(read_all(path)["a"], FLOATS)
    assert sorted(tmp_path.rglob("*")) == before and not os.path.exists("/tmp/evil")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_entries_with_the_same_name(tmp_path):
    obj = {"a": maker.plain(FLOATS, "0")}
    path = maker.write_zip(tmp_path / "a.bin", obj, entries=[("archive/data/0", b"\0" * 96)])
    with pytest.raises(CheckpointError, match="same name"):
        open_checkpoint(path)


def test_two_pickles(tmp_path):
    obj = {"a": maker.plain(FLOATS, "0")}
    path = maker.write_zip(tmp_path / "a.bin", obj, entries=[("other/data.pkl", b"N.")])
    with pytest.raises(CheckpointError, match="expected one entry"):
        open_checkpoint(path)


def test_big_endian(tmp_path):
    path = tmp_path / "a.bin"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", maker.pickled({"a": maker.plain(FLOATS, "0")}))
        archive.writestr("archive/byteorder", "big")
        archive.writestr("archive/data/0", FLOATS.tobytes())
    with pytest.raises(CheckpointError, match="big-endian"):
        open_checkpoint(path)


def test_a_whole_keras_model_is_told_apart(tmp_path):
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("model.weights.h5", b"")
    with pytest.raises(CheckpointError, match=r"keras\.models\.load_model"):
        open_checkpoint(tmp_path / "m.keras")


def test_another_zip(tmp_path):
    with zipfile.ZipFile(tmp_path / "m.bin", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(CheckpointError, match="expected one entry <name>/data.pkl"):
        open_checkpoint(tmp_path / "m.bin")


@pytest.mark.parametrize("flag", [0x01, 0x20, 0x40])  # encrypted, patched, strongly encrypted
def test_entries_that_zipfile_cannot_read(tmp_path, flag):
    path = maker.write_zip(tmp_path / "a.bin", {"a": maker.plain(FLOATS, "0")})
    data = bytearray(path.read_bytes())
    entry = data.rindex(b"archive/data/0") - 46  # where its record in the directory begins
    data[entry + 8] |= flag
    path.write_bytes(data)
    with open_checkpoint(path) as reader, pytest.raises(CheckpointError, match="storage '0' is"):
        reader.verify()


def test_names_of_entries_that_are_no_text(tmp_path):
    path = maker.write_zip(tmp_path / "a.bin", {"a": maker.plain(FLOATS, "0")})
    data = bytearray(path.read_bytes())
    name = data.rindex(b"archive/data/0")
    data[name - 46 + 9] |= 0x08  # the flag that says UTF-8
    data[name] = 0xF4
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match="a.bin.*truncated or damaged"):
        open_checkpoint(path)


def test_only_the_tensor_asked_for_is_read(tmp_path):
    """Reading lazily: damage in one storage does not hinder another, before verify finds it."""
    arrays = {"a": FLOATS, "b": FLOATS + 100}
    path = maker.write_zip(tmp_path / "a.bin", maker.state_dict(arrays))
    data = path.read_bytes()
    path.write_bytes(data.replace(FLOATS.tobytes(), b"\1" * FLOATS.nbytes))
    with open_checkpoint(path) as reader:
        np.testing.assert_array_equal(reader.read("b"), arrays["b"])
        reader.verify(["b"])
        with pytest.raises(CheckpointError, match="storage '0' is corrupt"):
            reader.verify(["a"])
        with pytest.raises(CheckpointError, match="no tensor named 'c'"):
            reader.read("c")


@pytest.mark.parametrize("protocol", range(1, 6))
def test_legacy_files_of_every_protocol(tmp_path, protocol):
    path = tmp_path / "a.bin"
    maker.write_legacy(path, maker.state_dict({"a": FLOATS}), protocol=protocol)
    with open_checkpoint(path) as reader:
        assert reader.format == "PyTorch legacy .bin"
        np.testing.assert_array_equal(reader.read("a"), FLOATS)
