"""PyTorch's `.bin` files from before version 1.6: pickles and raw storages, one after the other."""

import os

from bert4keras_ext.checkpoints.torch_file import TorchReader
from bert4keras_ext.checkpoints.torch_unpickler import TensorUnpickler

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001


class TorchLegacyReader(TorchReader):
    """Reads a file of `torch.save` in the format before zip, one tensor at a time.

    Five pickles (a magic number, the protocol, the machine, the object, the keys of its storages)
    are followed by the storages: 8 bytes with the number of elements, then the elements. There is
    no checksum, so only missing bytes can be noticed.

    Args:
        path: the file.

    Raises:
        CheckpointError: if it is truncated, hostile, or was written on a big-endian machine.
    """

    format = "PyTorch legacy .bin"

    def __init__(self, path):
        super().__init__(path)
        self._file = open(path, "rb")
        self._size = os.fstat(self._file.fileno()).st_size
        try:
            self._read_parts()
        except BaseException:
            self._file.close()
            raise

    def verify(self, names=None):
        if os.fstat(self._file.fileno()).st_size != self._size:
            self._fail("its size has changed since it was opened")

    def _read_parts(self):
        magic, protocol, machine = (self._next_pickle() for _ in range(3))
        if (magic, protocol) != (MAGIC, PROTOCOL):
            self._fail(f"expected protocol {PROTOCOL}, found another one")
        if not isinstance(machine, dict) or machine.get("little_endian") is not True:
            self._fail("it was written on a big-endian machine")
        unpickler = TensorUnpickler(self._file)
        root = self._unpickled(unpickler)
        keys = self._next_pickle()
        if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
            self._fail("its list of storages is malformed")
        self._extents = self._find_storages(keys, unpickler.storages)
        self._describe(root)

    def _next_pickle(self):
        return self._unpickled(TensorUnpickler(self._file))

    def _find_storages(self, keys, storages):
        """{key: (first byte, number of bytes)} of the storages, which follow the pickles."""
        extents, position = {}, self._file.tell()
        for key in keys:
            if key not in storages:
                self._fail(f"nothing tells the dtype of storage {key!r}")
            self._file.seek(position)
            header = self._file.read(8)
            numel = int.from_bytes(header, "little", signed=True)
            size = numel * storages[key].dtype.itemsize
            if len(header) != 8 or numel < 0 or position + 8 + size > self._size:
                self._fail(f"it ends before storage {key!r} does: it is truncated")
            extents[key] = (position + 8, size)
            position += 8 + size
        return extents

    def _extent(self, storage):
        return self._extents.get(storage.key)
