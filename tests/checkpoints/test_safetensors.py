"""safetensors: our reader and writer against the library's, and headers that lie."""

import json

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from bert4keras_ext.checkpoints import (
    CheckpointError,
    LazyArray,
    open_checkpoint,
    safetensors_file,
    tf_checkpoint,
)
from bert4keras_ext.checkpoints.safetensors_file import DTYPES

shapes = st.lists(st.integers(0, 4), max_size=4).map(tuple)
names = st.text(st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=8)
tensors = st.dictionaries(
    names.filter(lambda name: name != "__metadata__"),
    st.tuples(shapes, st.sampled_from(sorted(DTYPES))),
    max_size=5,
)


def filled(shape, dtype):
    bits = np.random.default_rng(3).integers(0, 2, size=shape)
    return np.asarray(bits).astype(dtype)


def read_all(path):
    with open_checkpoint(path) as reader:
        reader.verify()
        assert reader.format == "safetensors"
        return {name: reader.read(name) for name in reader.names()}


def assert_same_bits(found, expected):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype and found[name].shape == array.shape
        assert found[name].tobytes() == array.tobytes()


@given(tensors)
@settings(max_examples=60, deadline=None)
def test_round_trip(tmp_path_factory, described):
    arrays = {name: filled(shape, DTYPES[code]) for name, (shape, code) in described.items()}
    path = tmp_path_factory.mktemp("st") / "model.safetensors"
    safetensors_file.write(path, arrays)
    assert_same_bits(read_all(path), arrays)
    if not any(array.dtype.name.startswith(("bfloat", "float8")) for array in arrays.values()):
        assert_same_bits(safetensors.numpy.load_file(path), arrays)


def test_reads_what_the_library_writes(tmp_path):
    arrays = {
        code: filled((3, 2), dtype) for code, dtype in DTYPES.items() if code[:2] in "F3 F1 I6"
    }
    safetensors.numpy.save_file(arrays, tmp_path / "a.safetensors", {"format": "np"})
    assert_same_bits(read_all(tmp_path / "a.safetensors"), arrays)


def test_metadata_and_alignment(tmp_path):
    path = tmp_path / "a.safetensors"
    safetensors_file.write(path, {"a": np.ones(3, "int8"), "b": np.ones(2, "float64")})
    with safetensors.safe_open(path, "numpy") as file:
        assert file.metadata() == {"format": "pt"}
    with open_checkpoint(path) as reader:
        assert reader.metadata == {"format": "pt"}
    length = int.from_bytes(path.read_bytes()[:8], "little")
    header = json.loads(path.read_bytes()[8 : 8 + length])
    assert length % 8 == 0 and header["b"]["data_offsets"] == [0, 16]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_floats_are_stored_as_asked_and_integers_stay(tmp_path, dtype):
    path = tmp_path / "a.safetensors"
    values = np.array([1.0, 0.1, 3e-3])
    arrays = {
        "a": values.astype("float32"),
        "b": values.astype(ml_dtypes.bfloat16),
        "c": np.arange(3),
    }
    safetensors_file.write(path, arrays, dtype=dtype)
    found = read_all(path)
    assert found["a"].dtype.name == found["b"].dtype.name == dtype and found["c"].dtype == np.int64
    np.testing.assert_allclose(found["a"].astype("float64"), values, rtol=4e-3)


def test_lazy_tensors_are_computed_one_by_one(tmp_path):
    alive = []

    def compute(i):
        alive.append(i)
        return np.full((2, 2), i)

    lazy = {
        str(i): LazyArray((2, 2), np.dtype("float32"), lambda i=i: compute(i)) for i in range(3)
    }
    safetensors_file.write(tmp_path / "a.safetensors", lazy)
    assert alive == [0, 1, 2]
    assert read_all(tmp_path / "a.safetensors")["2"].tolist() == [[2, 2], [2, 2]]


def test_unknown_dtype(tmp_path):
    with pytest.raises(ValueError, match="complex64"):
        safetensors_file.write(tmp_path / "a.safetensors", {"a": np.ones(2, "complex64")})
    assert not list(tmp_path.iterdir())


def entry(shape=(2,), offsets=(0, 8), dtype="F32"):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


BROKEN = {
    "not JSON": "{",
    "a list": "[]",
    "nested without end": '{"a":' * 50_000,
    "a name twice": '{"a":' + json.dumps(entry()) + ',"a":' + json.dumps(entry()) + "}",
    "an entry that is a number": {"a": 3},
    "no dtype": {"a": {"shape": [2], "data_offsets": [0, 8]}},
    "dtype of a list": {"a": entry(dtype=["F32"])},
    "negative size": {"a": entry(shape=(-2,))},
    "two negative sizes": {"a": entry(shape=(-2, -1))},
    "size true": {"a": entry(shape=(True, 2))},
    "fractional size": {"a": entry(shape=(2.0,))},
    "three offsets": {"a": entry(offsets=(0, 8, 16))},
    "negative offset": {"a": entry(offsets=(-8, 0))},
    "backwards": {"a": entry(offsets=(8, 0))},
    "too short for its shape": {"a": entry(shape=(3,))},
    "too long for its shape": {"a": entry(shape=(1,))},
    "giant shape": {"a": entry(shape=(2**40, 2**40))},
    "an empty shape beyond NumPy": {"a": entry(), "b": entry((0, 2**63), (8, 8))},
    "an empty shape whose strides are": {"a": entry(), "b": entry((0, 2**60, 8), (8, 8))},
    "too many axes": {"a": entry(shape=(1,) * 40 + (2,))},
    "backwards in an unknown dtype": {
        "a": entry((4,), (0, 16)),
        "b": entry(offsets=(16, 8), dtype="F4"),
    },
    "a hole after an unknown dtype": {"a": entry(offsets=(0, 4), dtype="F4")},
    "an overlap": {"a": entry(), "b": entry()},
    "a hole": {"a": entry(offsets=(8, 16))},
    "outside the file": {"a": entry((20,), (0, 80))},
    "not all of the file": {"a": entry((1,), (0, 4))},
}


def write_raw(path, header, size=8):
    text = (header if isinstance(header, str) else json.dumps(header)).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"\0" * size)
    return path


@pytest.mark.parametrize("what", BROKEN)
def test_broken_headers(tmp_path, what):
    path = write_raw(tmp_path / "a.safetensors", BROKEN[what])
    with pytest.raises(CheckpointError, match="Cannot read .*a.safetensors"):
        open_checkpoint(path)


@pytest.mark.parametrize("code", ["F4", "F8_E8M0", "F8_E4M3FNUZ", "C64"])
def test_an_unknown_dtype_hinders_only_its_own_tensor(tmp_path, code):
    if code in DTYPES:
        pytest.skip(f"{code} is known by now")
    header = {"a": entry(), "b": entry((4, 2), (8, 12), dtype=code)}
    with open_checkpoint(write_raw(tmp_path / "a.safetensors", header, 12)) as reader:
        reader.verify()
        assert reader.names() == ["a", "b"] and reader.shape("b") == (4, 2)
        assert reader.read("a").tolist() == [0, 0]
        for use in (reader.read, reader.dtype, lambda name: reader.read_into(name, np.empty(8))):
            with pytest.raises(CheckpointError, match=f"'{code}' of tensor 'b'.*float32") as error:
                use("b")
        assert "again" not in str(error.value)


@pytest.mark.parametrize("length", [2**63, 10**9, 100])
def test_header_lengths_that_lie(tmp_path, length):
    path = tmp_path / "a.safetensors"
    path.write_bytes(length.to_bytes(8, "little") + b"{}")
    with pytest.raises(CheckpointError, match="truncated"):
        open_checkpoint(path)


def test_a_file_cut_after_opening_is_noticed(tmp_path):
    path = tmp_path / "a.safetensors"
    safetensors_file.write(path, {"a": np.ones(1000, "float32")})
    with open_checkpoint(path) as reader:
        with open(path, "r+b") as file:
            file.truncate(2000)
        with pytest.raises(CheckpointError, match="truncated"):
            reader.verify()
        with pytest.raises(
            CheckpointError, match="ends in the middle of tensor 'a': it is truncated"
        ):
            reader.read("a")


@pytest.mark.parametrize("write, name", [(safetensors_file.write, "m.safetensors"),
                                         (tf_checkpoint.write, "m.ckpt")])  # fmt: skip
def test_arrays_of_the_other_byte_order(tmp_path, write, name):
    arrays = {kind: np.arange(5).astype(f">{kind}") for kind in ("f4", "f8", "i4", "i8")}
    write(tmp_path / name, arrays)
    with open_checkpoint(tmp_path / name) as reader:
        for kind, array in arrays.items():
            np.testing.assert_array_equal(reader.read(kind), array)
            assert reader.dtype(kind).isnative
