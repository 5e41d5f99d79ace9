"""Files of a training: damaged ones, unreadable ones, full disks."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bert4keras_ext.training import StateError
from bert4keras_ext.training.state import check_room, read_state, write_state
from tests.training.limits import small_files

ARRAYS = [np.arange(12.0).reshape(3, 4), np.zeros((), "int64"), np.ones(5, "float16")]
NOTES = {"epoch": 1, "history": {"loss": [0.5]}}


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    path = tmp_path_factory.mktemp("state") / "state.npz"
    write_state(path, ARRAYS, NOTES)
    return path.read_bytes()


def check_refused(path, data):
    path.write_bytes(data)
    with pytest.raises(StateError, match=f"damaged file of {len(data)} bytes") as info:
        read_state(path)
    message = str(info.value)
    assert "delete it and start anew" in message
    for word in ("pickle", "unsafe", "trust"):
        assert word not in message


@pytest.mark.parametrize(
    "data", [b"", b"\0" * 4096, b"not an archive", b"\x80\x04K\x01.", b"PK\x03\x04", b"\x93NUMPY"]
)
def test_a_file_that_is_no_archive(tmp_path, data):
    check_refused(tmp_path / "state.npz", data)


def test_archives_of_something_else(tmp_path):
    path = tmp_path / "state.npz"
    for content in ({"a": np.ones(3)}, {"notes": "{}", "array_1": np.ones(3)}, {"notes": "{"}):
        np.savez(path, **content)
        check_refused(path, path.read_bytes())
    np.save(path.with_suffix(".npy"), ARRAYS[0])
    check_refused(path, path.with_suffix(".npy").read_bytes())
    np.savez(path, notes="{}", array_0=np.array([{}], object))
    check_refused(path, path.read_bytes())


@given(share=st.floats(0, 0.999))
@settings(deadline=None)
def test_a_file_cut_short(tmp_path_factory, stored, share):
    folder = tmp_path_factory.mktemp("cut")
    check_refused(folder / "state.npz", stored[: int(share * len(stored))])


@given(place=st.floats(0, 0.999), byte=st.integers(1, 255))
@settings(deadline=None, max_examples=300)
def test_a_changed_byte_is_found_or_changes_nothing(tmp_path_factory, stored, place, byte):
    data = bytearray(stored)
    data[int(place * len(data))] ^= byte
    path = tmp_path_factory.mktemp("changed") / "state.npz"
    path.write_bytes(data)
    try:
        arrays, notes = read_state(path)
    except StateError:
        return
    assert notes == NOTES
    for found, wanted in zip(arrays, ARRAYS, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_a_file_that_cannot_be_read_is_not_called_damaged(tmp_path):
    (tmp_path / "state.npz").mkdir()
    with pytest.raises(IsADirectoryError):
        read_state(tmp_path / "state.npz")


def test_a_full_disk_leaves_the_former_state_and_no_draft(tmp_path, stored):
    path = tmp_path / "state.npz"
    path.write_bytes(stored)
    with small_files(10_000), pytest.raises(OSError) as info:
        write_state(path, [np.ones(10_000)], NOTES)
    assert info.value.errno == errno.EFBIG
    assert path.read_bytes() == stored and list(tmp_path.iterdir()) == [path]


def test_room_for_a_file(tmp_path, monkeypatch):
    path = tmp_path / "draft"
    check_room(path, 5000)
    with small_files(4000), pytest.raises(OSError):
        check_room(path, 5000)
    monkeypatch.delattr(os, "posix_fallocate", raising=False)  # as on macOS
    check_room(path, 5000)
    with pytest.raises(OSError) as info:
        check_room(path, 2**62)
    assert info.value.errno == errno.ENOSPC
    assert not list(Path(tmp_path).iterdir())
