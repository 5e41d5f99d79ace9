"""PyTorch's `.bin` and `.pt` files without PyTorch: the zip format, and what both formats share."""

import os
import struct
import zipfile

import numpy as np

from bert4keras_ext.checkpoints.arrays import is_too_large, read_raw
from bert4keras_ext.checkpoints.reader import CheckpointError, Reader
from bert4keras_ext.checkpoints.torch_objects import Tensor
from bert4keras_ext.checkpoints.torch_unpickler import TensorUnpickler

# What training scripts wrap a state dict in.
STATE_DICTS = ("state_dict", "model_state_dict", "model")
MAX_DEPTH = 16
MAX_REPEATED = 100_000  # items of containers that are named more than once
CHUNK = 2**20
WITHOUT_CHECKSUMS = ", or was written with torch.serialization.set_crc32_options(False)"
# What zipfile raises for a damaged archive: some where a flag claims encryption, or names in UTF-8.
DAMAGE = (
    zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError, UnicodeDecodeError,
    struct.error,
)  # fmt: skip


class TorchReader(Reader):
    """What the zip and the older format share: a pickle of tensors that look into storages.

    A subclass sets `_file`, calls `_describe` with the unpickled object, and answers `_extent`.
    A file with a fault is closed.
    """

    streams = True

    def _unpickled(self, unpickler):
        try:
            return unpickler.load()
        except CheckpointError as error:
            self._fail(error)

    def _describe(self, root):
        self._tensors = flattened(root)
        if self._tensors is None:
            self._fail("its containers are nested without end, or named over and over")
        if not self._tensors:
            self._fail(f"expected a state dict (name -> tensor), found {type(root).__name__}")
        for name, tensor in self._tensors.items():
            self._check_storage(name, tensor.storage)
            if is_too_large(tensor.shape, tensor.dtype.itemsize):
                self._fail(f"tensor {name!r} of shape {tensor.shape} is larger than any array")

    def _extent(self, storage):
        """(first byte in the file, number of bytes) of a storage, or None if there is none."""
        raise NotImplementedError

    def names(self):
        return list(self._tensors)

    def shape(self, name):
        self.require(name)
        return self._tensors[name].shape

    def dtype(self, name):
        self.require(name)
        return self._tensors[name].dtype

    def read(self, name):
        array = np.empty(self.shape(name), self.dtype(name))
        self.read_into(name, array)
        return array

    def read_into(self, name, out):
        self.require(name)
        tensor = self._tensors[name]
        if 0 in tensor.shape:
            return
        start, _ = self._extent(tensor.storage)
        self._file.seek(start + tensor.offset * tensor.dtype.itemsize)
        try:
            order = _storage_order(tensor)
            if order is not None:
                read_raw(self._file, tensor.dtype, out.transpose(order))
            else:
                out[...] = self._strided(tensor)
        except EOFError:
            self._fail(f"the file ends in the middle of tensor {name!r}")

    def _strided(self, tensor):
        """A view of all elements from the tensor's first to its last, with its strides."""
        last = sum((size - 1) * step for size, step in zip(tensor.shape, tensor.strides))
        run = np.empty(last + 1, tensor.dtype)
        read_raw(self._file, tensor.dtype, run)
        strides = [step * tensor.dtype.itemsize for step in tensor.strides]
        return np.lib.stride_tricks.as_strided(run, tensor.shape, strides)

    def copies(self):
        found, seen = set(), set()
        for name, tensor in self._tensors.items():
            place = (tensor.storage.key, tensor.offset, tensor.shape, tensor.strides)
            found |= {name} if place in seen else set()
            seen.add(place)
        return found

    def close(self):
        self._file.close()

    def __contains__(self, name):
        return name in self._tensors

    def _check_storage(self, name, storage):
        extent = self._extent(storage)
        expected = storage.numel * storage.dtype.itemsize
        if extent is None or extent[1] != expected:
            found = "there is none" if extent is None else f"found {extent[1]}"
            self._fail(
                f"storage {storage.key!r} of tensor {name!r} needs {expected} bytes, {found}"
            )
        if extent[0] + extent[1] > os.fstat(self._file.fileno()).st_size:
            self._fail(f"the file ends before storage {storage.key!r} of tensor {name!r} does")

    def _fail(self, reason):
        self._file.close()
        raise CheckpointError(
            f"Cannot read {self.path!r} as {self.format}: {reason}. Expected a complete file "
            "written by torch.save(model.state_dict(), path)."
        )


class TorchZipReader(TorchReader):
    """Reads a zip file of `torch.save` (PyTorch 1.6 and later), one tensor at a time.

    The pickle inside is read by `TensorUnpickler`, so a hostile file raises and runs nothing;
    nothing is unpacked to disk. Zip keeps a checksum of every storage, which `verify` compares.

    Args:
        path: the file.

    Raises:
        CheckpointError: if it is damaged, compressed, hostile, or another kind of zip file.
    """

    format = "PyTorch zip .bin"

    def __init__(self, path):
        super().__init__(path)
        self._file = open(path, "rb")
        try:
            self._open_archive()
            with self._archive.open(self._pickle) as file:
                root = self._unpickled(TensorUnpickler(file))
            self._describe(root)
        except DAMAGE as error:
            self._fail(f"it is truncated or damaged ({error}){WITHOUT_CHECKSUMS}")
        except BaseException:
            self._file.close()
            raise

    def verify(self, names=None):
        names = self._tensors if names is None else names
        for key in sorted({self._tensors[name].storage.key for name in names}):
            try:
                with self._archive.open(self._entries[f"{self._root}data/{key}"]) as file:
                    while file.read(CHUNK):  # zipfile compares the checksum at the end
                        pass
            except DAMAGE as error:
                self._fail(f"storage {key!r} is corrupt ({error}){WITHOUT_CHECKSUMS}")

    def _open_archive(self):
        self._archive = zipfile.ZipFile(self._file)
        infos = self._archive.infolist()
        self._entries = {info.filename: info for info in infos}
        if len(self._entries) != len(infos):
            self._fail("two of its entries have the same name")
        if "config.json" in self._entries and "model.weights.h5" in self._entries:
            raise CheckpointError(
                f"Cannot load {self.path!r}: it is a whole Keras model (.keras), expected a file "
                "of weights only. Use keras.models.load_model after `import bert4keras_ext`."
            )
        pickles = [name for name in self._entries if name.split("/")[1:] == ["data.pkl"]]
        if len(pickles) != 1:
            self._fail(
                f"expected one entry <name>/data.pkl, found {pickles or list(self._entries)[:5]}"
            )
        self._pickle = self._entries[pickles[0]]
        self._root = pickles[0].removesuffix("data.pkl")
        self._check_entries(infos)

    def _check_entries(self, infos):
        for info in infos:
            # PyTorch never compresses; without that, no entry can be larger than the file.
            if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
                self._fail(f"its entry {info.filename!r} is compressed")
        order = self._entries.get(f"{self._root}byteorder")
        if order is not None and self._archive.read(order) != b"little":
            self._fail("it was written on a big-endian machine")

    def _extent(self, storage):
        info = self._entries.get(f"{self._root}data/{storage.key}")
        if info is None:
            return None
        # zipfile does not tell where the data begin: behind the entry's own header, whose name and
        # extra field may have other lengths than in the directory.
        self._file.seek(info.header_offset)
        header = self._file.read(30)
        if len(header) != 30 or header[:4] != b"PK\x03\x04":
            self._fail(f"the zip header of storage {storage.key!r} is damaged")
        lengths = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
        return info.header_offset + 30 + lengths, info.file_size


def _storage_order(tensor):
    """Its axes in the order in which the elements follow each other in the storage, without gaps.

    None where there is none (strides that leave something out, or repeat it).
    """
    axes = range(len(tensor.shape))
    order = sorted(axes, key=lambda axis: (-tensor.strides[axis], -tensor.shape[axis], axis))
    expected = 1
    for axis in reversed(order):
        if tensor.shape[axis] != 1 and tensor.strides[axis] != expected:
            return None
        expected *= tensor.shape[axis]
    return order


def flattened(root):
    """{name: Tensor} of all tensors in nested containers, with keys joined by ".".

    A wrapper such as {"state_dict": {...}, "epoch": 3} is taken off; what is no tensor is left
    out. None stands for containers that are nested without end, or named over and over.
    """
    if isinstance(root, dict) and not any(isinstance(value, Tensor) for value in root.values()):
        wrapped = [root[key] for key in STATE_DICTS if isinstance(root.get(key), dict)]
        root = wrapped[0] if wrapped else root
    walk = _Walk()
    try:
        walk.into("", root, 0)
    except RecursionError:
        return None
    return walk.tensors


class _Walk:
    """A walk through nested containers in search of tensors.

    A file of a kilobyte can name one container in millions of places. So a container without
    tensors is walked once, and what is walked again in the others is counted.

    Attributes:
        tensors: {name: Tensor} of those found so far.
    """

    def __init__(self):
        self.tensors = {}
        self._found = self._repeated = 0
        # By id: all live as long as the root that holds them.
        self._seen, self._barren = set(), set()

    def into(self, name, value, depth):
        """Adds the tensors in a value; RecursionError where there is no end of containers."""
        if depth > MAX_DEPTH:
            raise RecursionError
        if isinstance(value, Tensor) and name:
            self.tensors[name] = value
            self._found += 1
        elif isinstance(value, dict | list | tuple) and id(value) not in self._barren:
            self._into_container(name, value, depth)

    def _into_container(self, name, container, depth):
        self._repeated += len(container) if id(container) in self._seen else 0
        if self._repeated > MAX_REPEATED:
            raise RecursionError
        self._seen.add(id(container))
        before = self._found
        pairs = container.items() if isinstance(container, dict) else enumerate(container)
        for key, item in pairs:
            self.into(f"{name}.{key}" if name else str(key), item, depth + 1)
        if self._found == before:
            self._barren.add(id(container))
