"""`TokenRows`: tokenized rows in flat arrays, in memory or in files that are mapped into it."""

import json
import os
import zlib
from array import array
from pathlib import Path

import numpy as np

from bert4keras_ext.data.token_columns import Column

FORMAT = 1  # of the files; another number is another cache
CODES = {"int32": "i", "int64": "q", "float32": "f"}  # dtype -> code of the array module
LISTS = (list, tuple, np.ndarray)
BLOCK = 1 << 18  # numbers that are held in memory before they are written


class CacheError(ValueError):
    """Files that are no cache, or not the one that is expected, or damaged."""


class TokenRows:
    """A sequence of rows, each a tuple of fields: token ids, labels, weights, ...

    A field is a number, a sequence of numbers (an array), or a group of sequences (a list of
    arrays). Read-only. `rows[3]` is a row, `rows[:100]` and `rows[array of numbers]` are
    `TokenRows` again, which share the numbers (a fold of a cross-validation, say).

    Args:
        columns: a `Column` for each field.
        fingerprint: a text that tells these rows from others, or None.

    Example:

    >>> rows = TokenRows.from_rows([([2, 7, 9, 3], 0), ([2, 3], 1)])
    >>> len(rows), rows[0][0].tolist(), rows[1][1]
    (2, [2, 7, 9, 3], 1)
    >>> rows[1:][0][0].tolist()
    [2, 3]
    """

    def __init__(self, columns, fingerprint=None):
        self.columns = list(columns)
        self.fingerprint = fingerprint

    @classmethod
    def from_rows(cls, rows):
        """Of rows as `TokenCache` takes them from `encode`, in memory."""
        writer = RowWriter()
        for row in rows:
            writer.add(row)
        return writer.rows()

    def __len__(self):
        return len(self.columns[0]) if self.columns else 0

    def __getitem__(self, place):
        if isinstance(place, (slice, list, np.ndarray)):
            return self._some(place if isinstance(place, slice) else np.asarray(place, "int64"))
        place = range(len(self))[place]  # negative numbers, and the IndexError
        return tuple(column[place] for column in self.columns)

    def __iter__(self):
        return (self[place] for place in range(len(self)))

    def _some(self, places):
        fingerprint = self.fingerprint
        if fingerprint is not None:
            chosen = np.arange(len(self))[places]
            fingerprint = f"{fingerprint}-{len(chosen)}-{zlib.crc32(chosen.tobytes()):08x}"
        return TokenRows((column.select(places) for column in self.columns), fingerprint)

    @property
    def sequences(self):
        """How many of the first fields are sequences or groups of them."""
        depths = [column.depth for column in self.columns]
        return depths.index(0) if 0 in depths else len(depths)

    def lengths(self, places):
        """The length of the first field (of the longest sequence in it) of some rows."""
        return self.columns[0].lengths(places)


class RowWriter:
    """Takes rows one by one, into files of a folder, or into memory if there is none."""

    def __init__(self, folder=None):
        self.folder = folder
        self.columns = None
        self.count = 0

    def add(self, row):
        row = row if isinstance(row, tuple) else (row,)
        if self.columns is None:
            self.columns = []
            for number, field in enumerate(row):
                self.columns.append(_ColumnWriter(self.folder, number, field))
        if len(row) != len(self.columns):
            raise ValueError(f"expected {len(self.columns)} fields, as in the first row, received "
                             f"{len(row)}: {row!r:.80}")  # fmt: skip
        for column, field in zip(self.columns, row):
            column.add(field)
        self.count += 1

    def rows(self):
        """The rows in memory."""
        return TokenRows(column.column() for column in self.columns or ())

    def finish(self, notes):
        """Completes the files of the folder; `notes` (plain values) are stored with them."""
        columns = [column.finish() for column in self.columns or ()]
        notes = {"format": FORMAT, "rows": self.count, "columns": columns, **notes}
        text = json.dumps({"notes": notes, "crc32": _notes_crc32(notes)}, indent=1)
        (self.folder / "rows.json").write_text(text, encoding="utf-8")

    def close(self):
        for column in self.columns or ():
            column.close()


class _ColumnWriter:
    """One field: its numbers, and behind them for each depth where the rows end."""

    def __init__(self, folder, number, first):
        depth, number_of_first = _nesting(first)
        dtype = "float32" if isinstance(number_of_first, (float, np.floating)) else "int32"
        self.number, self.depth = number, depth
        self.values = _Stream(folder, f"{number}.values", dtype)
        self.ends = [_Stream(folder, f"{number}.ends{i}", "int64") for i in range(depth)]
        for ends in self.ends:
            ends.numbers.append(0)

    def add(self, field):
        try:
            if self.depth == 2:
                for sequence in field:
                    self._add_sequence(sequence, self.ends[1])
                self.ends[0].append(len(self.ends[1]) - 1)
            elif self.depth == 1:
                self._add_sequence(field, self.ends[0])
            else:
                self.values.append(field)
        except (TypeError, OverflowError) as error:
            kind = ("a number", "a sequence of numbers", "a group of sequences")[self.depth]
            raise ValueError(
                f"field {self.number}: expected {kind}, {self.values.dtype} as in the first row, "
                f"received {field!r:.80} ({error})"
            ) from None

    def _add_sequence(self, sequence, ends):
        self.values.extend(sequence.tolist() if hasattr(sequence, "tolist") else sequence)
        ends.append(len(self.values))

    def _streams(self):
        return [*self.ends, self.values]

    def column(self):
        *ends, values = (np.array(stream.numbers, stream.dtype) for stream in self._streams())
        return _column(values, ends)

    def finish(self):
        return {"depth": self.depth, "files": [stream.finish() for stream in self._streams()]}

    def close(self):
        for stream in self._streams():
            stream.close()


def _nesting(value):
    """How deep the lists of a field are, and the first number in it (None: there is none)."""
    depth = 0
    while isinstance(value, LISTS):
        depth += 1
        filled = (part for part in value if not isinstance(part, LISTS) or len(part))
        value = next(filled, value[0] if len(value) else None)
    if depth > 2:
        raise ValueError(f"expected fields nested two lists deep at most, received {depth}")
    return depth, value


class _Stream:
    """Numbers that are appended to a file in large pieces, or kept where there is no folder."""

    def __init__(self, folder, name, dtype):
        self.name, self.dtype = name, dtype
        self.file = None if folder is None else open(folder / f"{name}.bin", "xb")
        self.numbers = array(CODES[dtype])
        self.written = self.crc32 = 0

    def __len__(self):
        return self.written + len(self.numbers)

    def append(self, number):
        self.numbers.append(number)
        self._write_if(BLOCK)

    def extend(self, numbers):
        self.numbers.extend(numbers)
        self._write_if(BLOCK)

    def _write_if(self, least):
        if self.file is None or len(self.numbers) < least:
            return
        piece = self.numbers.tobytes()
        self.file.write(piece)
        self.crc32 = zlib.crc32(piece, self.crc32)
        self.written += len(self.numbers)
        del self.numbers[:]

    def finish(self):
        self._write_if(0)
        self.close()  # here a full disk is told, at the latest
        dtype = np.dtype(self.dtype).str
        return {"name": self.name, "dtype": dtype, "count": self.written, "crc32": self.crc32}

    def close(self):
        if self.file is not None:
            self.file.close()


def open_rows(folder, digest):
    """The rows that a `RowWriter` wrote into a folder, mapped into memory.

    Every file is read once and compared with its checksum, a gigabyte in about a second; nothing
    in it is ever executed.

    Raises:
        FileNotFoundError: there is no such folder.
        CacheError: what is there is damaged or something else.
    """
    folder = Path(folder)
    if not folder.exists():
        raise FileNotFoundError(f"no cache in {folder}")
    try:
        content = json.loads((folder / "rows.json").read_text(encoding="utf-8"))
        notes = content["notes"]
        if _notes_crc32(notes) != content["crc32"]:
            raise CacheError(f"{folder / 'rows.json'}: its content does not fit its checksum")
        found = notes["format"], notes["digest"]
        if found != (FORMAT, digest):
            raise CacheError(f"{folder}: expected format {FORMAT} of {digest}, found {found}")
        columns = [_open_column(folder, i, note) for i, note in enumerate(notes["columns"])]
        if {len(column) for column in columns} - {notes["rows"]}:
            raise CacheError(f"{folder}: expected {notes['rows']} rows in each column")
    except CacheError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CacheError(f"{folder}: cannot be read ({type(error).__name__}: {error})") from error
    return TokenRows(columns, fingerprint=digest)


def _open_column(folder, number, notes):
    if notes["depth"] not in (0, 1, 2):
        raise CacheError(f"{folder}: expected depth 0, 1 or 2, found {notes['depth']!r}")
    names = [*(f"{number}.ends{i}" for i in range(notes["depth"])), f"{number}.values"]
    if [note["name"] for note in notes["files"]] != names:
        raise CacheError(f"{folder}: expected files {names} of column {number}")
    *ends, values = (_open_numbers(folder, note) for note in notes["files"])
    return _column(values, ends)


def _column(values, ends):
    return Column(values, [(bounds[:-1], bounds[1:]) for bounds in ends])


def _open_numbers(folder, note):
    path = folder / f"{note['name']}.bin"
    dtypes = {np.dtype(name).str: np.dtype(name) for name in CODES}
    dtype, count = dtypes[note["dtype"]], note["count"]
    size = os.path.getsize(path)
    if size != count * dtype.itemsize:
        raise CacheError(f"{path}: expected {count * dtype.itemsize} bytes, found {size}")
    if _crc32(path) != note["crc32"]:
        raise CacheError(f"{path}: its content does not fit its checksum")
    if not count:
        return np.zeros(0, dtype)  # an empty file cannot be mapped
    # As a plain array: what NumPy adds to a mapped one costs more than a small batch.
    return np.asarray(np.memmap(path, dtype, "r", shape=(count,)))


def _notes_crc32(notes):
    return zlib.crc32(json.dumps(notes).encode())


def _crc32(path, block=1 << 20):
    crc32 = 0
    with open(path, "rb") as file:
        while piece := file.read(block):
            crc32 = zlib.crc32(piece, crc32)
    return crc32
