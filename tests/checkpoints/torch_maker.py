"""Writes PyTorch files, good and bad, without PyTorch: what `torch.save` does."""

import io
import pickle
import zipfile
from dataclasses import dataclass

import ml_dtypes
import numpy as np

STORAGES = {
    "float64": "DoubleStorage",
    "float32": "FloatStorage",
    "float16": "HalfStorage",
    "bfloat16": "BFloat16Storage",
    "int64": "LongStorage",
    "int32": "IntStorage",
    "int16": "ShortStorage",
    "int8": "CharStorage",
    "uint8": "ByteStorage",
    "bool": "BoolStorage",
    "complex64": "ComplexFloatStorage",
}
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)


@dataclass(frozen=True)
class Name:
    """A global of the pickle, whether it exists or not."""

    module: str
    name: str

    def __call__(self):
        raise AssertionError("pickle wants a callable, but nobody calls it")


@dataclass(frozen=True)
class Call:
    """REDUCE: a Name called with arguments, and optionally a state for BUILD."""

    function: Name
    arguments: tuple
    state: object = None

    def __reduce_ex__(self, protocol):
        return (self.function, self.arguments, *([self.state] if self.state is not None else []))


@dataclass(frozen=True)
class Storage:
    array: np.ndarray
    key: str

    def __hash__(self):
        return hash(self.key)

    def identity(self, numel=None):
        kind = Name("torch", STORAGES[self.array.dtype.name])
        return ("storage", kind, self.key, "cpu", self.array.size if numel is None else numel)


@dataclass(frozen=True)
class PersistentId:
    identity: object


class Pickler(pickle._Pickler):
    """A pickler that writes names without looking them up."""

    dispatch = dict(pickle._Pickler.dispatch)
    legacy = False

    def save_name(self, name):
        self.write(b"c" + f"{name.module}\n{name.name}\n".encode())
        self.memoize(name)

    dispatch[Name] = save_name

    def persistent_id(self, obj):
        if isinstance(obj, Storage):
            return obj.identity() + ((None,) if self.legacy else ())
        return obj.identity if isinstance(obj, PersistentId) else None


REBUILD = Name("torch._utils", "_rebuild_tensor_v2")


def tensor(storage, shape, strides, offset=0, function=REBUILD):
    """A tensor as torch pickles it: a window on a storage."""
    empty = Call(Name("collections", "OrderedDict"), ())
    return Call(function, (storage, offset, tuple(shape), tuple(strides), False, empty))


def plain(array, key):
    """A contiguous tensor with a storage of its own."""
    strides = [step // array.itemsize for step in np.ascontiguousarray(array).strides]
    return tensor(Storage(array.reshape(-1), key), array.shape, strides)


def state_dict(arrays):
    return {name: plain(array, str(i)) for i, (name, array) in enumerate(arrays.items())}


def pickled(obj, legacy=False, protocol=2):
    file = io.BytesIO()
    pickler = Pickler(file, protocol)
    pickler.legacy = legacy
    pickler.dump(obj)
    return file.getvalue()


def storages_in(obj):
    """{key: array} of all storages in nested containers."""
    if isinstance(obj, Storage):
        return {obj.key: obj.array}
    found = {}
    parts = obj.values() if isinstance(obj, dict) else obj if isinstance(obj, tuple | list) else ()
    for part in obj.arguments if isinstance(obj, Call) else parts:
        found.update(storages_in(part))
    return found


def write_zip(path, obj, data=None, entries=(), compression=zipfile.ZIP_STORED, storages=None):
    """Writes the zip format; `data` replaces the pickle, `entries` are added, as pairs."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", pickled(obj) if data is None else data)
        archive.writestr("archive/byteorder", "little")
        for key, array in (storages_in(obj) if storages is None else storages).items():
            archive.writestr(f"archive/data/{key}", np.ascontiguousarray(array).tobytes())
        archive.writestr("archive/version", "3\n")
        for name, content in entries:
            archive.writestr(name, content)
    return path


def write_legacy(path, obj, data=None, protocol=2):
    """Writes the format before zip."""
    storages = storages_in(obj)
    machine = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}
    with open(path, "wb") as file:
        for part in (0x1950A86A20F9469CFC6C, 1001, machine):
            file.write(pickle.dumps(part, protocol))
        file.write(pickled(obj, True, protocol) if data is None else data)
        file.write(pickle.dumps(sorted(storages), protocol))
        for key in sorted(storages):
            file.write(storages[key].size.to_bytes(8, "little"))
            file.write(np.ascontiguousarray(storages[key]).tobytes())
    return path
