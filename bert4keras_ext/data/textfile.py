"""Text files, with random access to the lines of big ones."""

import builtins
import codecs
import mmap

import numpy as np


class TextFile:
    """A text file, opened in UTF-8, whose lines can be asked for by number.

    Without `indexable` it is what the builtin `open` gives. With it, the byte offsets of all lines
    are found once (about a second per gigabyte), the file is mapped into memory, not read, and
    `file[i]` and `len(file)` work: a data set larger than memory for `DataGenerator`, which
    threads and forked processes may share.

    Args:
        name: path of the file.
        mode: as for the builtin `open`; `indexable` needs `"r"`.
        encoding: `None` means UTF-8, whatever the system's locale says.
        errors: what to do with bytes that do not decode: `"strict"`, `"ignore"`, `"replace"`.
        indexable: see above.

    Lines keep their `"\\n"`, in both ways of reading; a byte order mark is dropped when reading.

    Raises:
        FileNotFoundError: no such file.
        ValueError: `indexable` with another mode, or an encoding whose line ends are not single
            bytes (UTF-16).
        TypeError: `file[i]` or `len(file)` of a file that is not indexable.

    Example::

        with TextFile("corpus.txt", indexable=True) as file:
            train = MyGenerator(file, batch_size=32)   # a DataGenerator, shuffled by line
            len(file), file[1000], file[-1]
    """

    def __init__(self, name, mode="r", encoding=None, errors="strict", indexable=False):
        is_binary = "b" in mode
        encoding = None if is_binary else encoding or "utf-8"
        self.name = name
        self.indexable = indexable
        self.encoding, self.errors = encoding, errors
        if indexable:
            _check_indexable(mode, encoding)
            self.file = builtins.open(name, "rb")
            self._bytes = _mapped(self.file)
            self._offsets = _line_offsets(self._bytes)
        else:
            # A codec that takes the mark away would also write one, wherever "r+" writes first.
            is_read = "r" in mode and "+" not in mode
            if encoding and is_read and codecs.lookup(encoding).name == "utf-8":
                encoding = "utf-8-sig"
            self.file = builtins.open(
                name, mode, encoding=encoding, errors=None if is_binary else errors
            )

    def __len__(self):
        self._need_index()
        return len(self._offsets) - 1

    def __getitem__(self, index):
        self._need_index()
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        number = range(len(self))[index]  # negative numbers, and the IndexError
        start, end = self._offsets[number : number + 2].tolist()
        line = self._bytes[start:end].decode(self.encoding, self.errors)
        line = line.removeprefix("\ufeff") if number == 0 else line
        return line[:-2] + "\n" if line.endswith("\r\n") else line

    def __iter__(self):
        return (self[i] for i in range(len(self))) if self.indexable else iter(self.file)

    def __next__(self):
        return next(self.file)

    def _need_index(self):
        if not self.indexable:
            raise TypeError(f"{self.name} was opened without indexable=True")

    def __getattr__(self, name):
        # read, write, readline, ...: those of the file. Not before __init__ has set it.
        if name == "file":
            raise AttributeError(name)
        if self.__dict__.get("indexable") and name.startswith(("read", "write", "seek")):
            raise TypeError(f"an indexable file has no {name}(): use file[i] or iterate")
        return getattr(self.file, name)

    def close(self):
        if self.indexable and not isinstance(self._bytes, bytes):
            self._bytes.close()
        self.file.close()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()


def _check_indexable(mode, encoding):
    if mode not in ("r", "rt"):
        raise ValueError(f"expected mode 'r' with indexable=True, received {mode!r}")
    if "\n".encode(encoding) != b"\n":
        raise ValueError(
            f"expected an encoding whose line end is one byte, received {encoding!r}; "
            "fix: convert the file to UTF-8"
        )


def _mapped(file):
    # An empty file cannot be mapped.
    is_empty = not file.read(1)
    return b"" if is_empty else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _line_offsets(data, chunk=1 << 24):
    """Where each line starts, and last the end of the file."""
    ends = [np.zeros(1, "int64")]
    for start in range(0, len(data), chunk):
        piece = np.frombuffer(data[start : start + chunk], "uint8")
        ends.append(np.flatnonzero(piece == ord("\n")) + start + 1)
    offsets = np.concatenate(ends)
    # A last line without a line end.
    return offsets if offsets[-1] == len(data) else np.append(offsets, len(data))
