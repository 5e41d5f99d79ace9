"""safetensors files: reading and writing, without the library.

The `safetensors` package's NumPy side cannot read bfloat16 (KeyError 'BF16') and does not stream
when writing; the format is a JSON header before raw bytes, so both fit here, with every check in
the open.
"""

import json
import math
import os

import ml_dtypes
import numpy as np

from bert4keras_ext.checkpoints.arrays import MAX_AXES, is_too_large, read_raw
from bert4keras_ext.checkpoints.reader import CheckpointError, Reader
from bert4keras_ext.checkpoints.writing import as_lazy, replaced_when_done

DTYPES = {
    "BOOL": np.bool_,
    "U8": np.uint8,
    "I8": np.int8,
    "U16": np.uint16,
    "I16": np.int16,
    "U32": np.uint32,
    "I32": np.int32,
    "U64": np.uint64,
    "I64": np.int64,
    "F16": np.float16,
    "BF16": ml_dtypes.bfloat16,
    "F32": np.float32,
    "F64": np.float64,
    "F8_E4M3": ml_dtypes.float8_e4m3fn,
    "F8_E5M2": ml_dtypes.float8_e5m2,
}
DTYPES = {code: np.dtype(dtype) for code, dtype in DTYPES.items()}
CODES = {dtype: code for code, dtype in DTYPES.items()}
HEADER_LIMIT = 100_000_000  # bytes; the format's own limit


class SafetensorsReader(Reader):
    """Reads one .safetensors file.

    The whole header is checked on opening: every tensor's extent against its shape and dtype,
    against its neighbours (no gap, no overlap) and against the size of the file. The format has
    no checksum, so a changed byte inside a tensor cannot be noticed.

    Args:
        path: the file.

    Raises:
        CheckpointError: if the file is truncated or its header is not a valid one.

    Reference: https://github.com/huggingface/safetensors (the format's description in its README).
    """

    format = "safetensors"
    streams = True

    def __init__(self, path):
        super().__init__(path)
        self._file = open(path, "rb")
        try:
            self._start, header = self._read_header()
            self.metadata = header.pop("__metadata__", None) or {}
            self._tensors = {name: self._checked(name, entry) for name, entry in header.items()}
            self._check_extents()
        except BaseException:
            self._file.close()
            raise

    def names(self):
        return list(self._tensors)

    def shape(self, name):
        self.require(name)
        return self._tensors[name][1]

    def dtype(self, name):
        self.require(name)
        dtype = self._tensors[name][0]
        if isinstance(dtype, str):
            raise CheckpointError(
                f"Cannot read {self.path!r} as {self.format}: the dtype {dtype[:50]!r} of tensor "
                f"{name!r} is not known to this version, expected one of {', '.join(DTYPES)}. "
                "Convert the tensor to float32 or bfloat16 with the program that wrote the file."
            )
        return dtype

    def read(self, name):
        array = np.empty(self.shape(name), self.dtype(name))
        self.read_into(name, array)
        return array

    def read_into(self, name, out):
        dtype = self.dtype(name)
        self._file.seek(self._start + self._tensors[name][2])
        try:
            read_raw(self._file, dtype, out)
        except EOFError:
            self._fail(f"it ends in the middle of tensor {name!r}: it is truncated")

    def verify(self, names=None):
        # The header was checked on opening; the file may have been cut since then.
        self._check_extents()

    def close(self):
        self._file.close()

    def __contains__(self, name):
        return name in self._tensors

    def _size(self):
        return os.fstat(self._file.fileno()).st_size

    def _read_header(self):
        length = int.from_bytes(self._file.read(8), "little")
        size = self._size()
        if size < 8 or length > HEADER_LIMIT or 8 + length > size:
            self._fail(
                f"its header should end at byte {8 + length}, but the file has {size} bytes: "
                "it is truncated, or not a safetensors file"
            )
        try:
            header = json.loads(self._file.read(length), object_pairs_hook=_without_duplicates)
        except (ValueError, RecursionError) as error:
            self._fail(f"its header is not valid JSON ({error})")
        if not isinstance(header, dict):
            self._fail(f"its header should be a JSON object, found {type(header).__name__}")
        return 8 + length, header

    def _checked(self, name, entry):
        """Returns (dtype, shape, begin, end) of a header entry after checking it in itself.

        An unknown dtype stays text: no weight may need it, and `dtype` tells where one does.
        """
        try:
            dtype, shape = DTYPES.get(entry["dtype"], entry["dtype"]), tuple(entry["shape"])
            begin, end = entry["data_offsets"]
        except (KeyError, TypeError, ValueError):
            dtype = None
        if not isinstance(dtype, np.dtype | str):
            self._fail(f"the header's entry of tensor {name!r} is malformed: {str(entry)[:200]}")
        if not all(type(number) is int and number >= 0 for number in (*shape, begin, end)):
            self._fail(f"tensor {name!r} has a size or offset that is no natural number")
        if len(shape) > MAX_AXES:
            self._fail(f"tensor {name!r} has {len(shape)} axes, expected at most {MAX_AXES}")
        self._check_size(name, dtype, shape, end - begin)
        return dtype, shape, begin, end

    def _check_size(self, name, dtype, shape, given):
        itemsize = 1 if isinstance(dtype, str) else dtype.itemsize
        if is_too_large(shape, itemsize):
            self._fail(f"tensor {name!r} of shape {shape} is larger than any array can be")
        expected = itemsize * math.prod(shape)
        # Of an unknown dtype only the order of the two offsets can be checked.
        if given < 0 if isinstance(dtype, str) else given != expected:
            self._fail(
                f"tensor {name!r} of shape {shape} and dtype {dtype} needs {expected} bytes, "
                f"the header gives it {given}"
            )

    def _check_extents(self):
        position = 0
        extents = ((begin, end, name) for name, (_, _, begin, end) in self._tensors.items())
        for begin, end, name in sorted(extents):
            if begin != position:
                self._fail(
                    f"tensor {name!r} begins at byte {begin} of the data, expected {position}"
                )
            position = end
        size = self._size() - self._start
        if position != size:
            self._fail(
                f"the header describes {position} bytes of data, the file holds {size}: "
                f"{'it is truncated' if size < position else 'it has been appended to'}"
            )

    def _fail(self, reason):
        raise CheckpointError(
            f"Cannot read {self.path!r} as safetensors: {reason}. Fetch or write the file again."
        )


def write(path, tensors, dtype=None, metadata=None):
    """Writes a .safetensors file tensor by tensor; it appears under its name when complete.

    Args:
        path: the file to write. An existing one is replaced.
        tensors: {name: tensor}; a tensor is an array, a Keras variable, or a `LazyArray` that is
            computed when its turn comes.
        dtype: store floating-point tensors in this dtype, such as "float16"; None keeps each.
        metadata: {str: str} for the header. The default, {"format": "pt"}, is what the
            `transformers` library asks for.

    Raises:
        ValueError: for a dtype that the format does not have.

    Example::

        bias = numpy.zeros(8, "float32")
        safetensors_file.write("model.safetensors", {"pooler.dense.bias": bias})
    """
    tensors = {name: as_lazy(tensor, dtype) for name, tensor in tensors.items()}
    header = {"__metadata__": metadata if metadata is not None else {"format": "pt"}}
    position = 0
    # Wide types first keeps every tensor aligned to its own item size.
    names = sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name))
    for name in names:
        tensor = tensors[name]
        if tensor.dtype not in CODES:
            raise ValueError(f"safetensors has no dtype {tensor.dtype} (tensor {name!r}).")
        header[name] = {
            "dtype": CODES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [position, position + tensor.nbytes],
        }
        position += tensor.nbytes
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with replaced_when_done(path) as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in names:
            file.write(tensors[name].read().reshape(-1).view(np.uint8))


def _without_duplicates(pairs):
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a name occurs twice")
    return result
