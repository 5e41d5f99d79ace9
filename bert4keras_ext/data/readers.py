"""Rows from text files; a bad row is named by file, line and reason."""

import csv
import gzip
import json
import logging
import os
import zipfile
import zlib
from pathlib import Path

logger = logging.getLogger(__name__)


class RowError(ValueError):
    """A row that cannot be used: `path`, `line` (counted from 1) and `reason`."""

    def __init__(self, path, line, reason):
        super().__init__(f"{path}, line {line}: {reason}")
        self.path, self.line, self.reason = path, line, reason


def read_jsonl(path, required=(), errors="raise", encoding="utf-8", convert=None):
    """Reads one JSON object a line, as CLUE's files are.

    Args:
        path: a file, also `.gz`, or a `zipfile.Path` inside an archive. Blank lines and a byte
            order mark are passed over.
        required: keys every object must have.
        errors: `"raise"`, or `"skip"`: bad rows are left out, and counted in a warning of the
            logger `bert4keras_ext.data.readers`.
        encoding: of the file.
        convert: function from a row to what the list shall hold; a ValueError it raises makes
            the row a bad one.

    Returns:
        List of dicts (or of what `convert` returns).

    Raises:
        RowError: a bad row, or an archive that is damaged from there on (also with `"skip"`).
        FileNotFoundError: no such file.

    Example::

        rows = read_jsonl("tnews/train.json", required=("sentence", "label"))
    """

    def parse(line):
        return _checked(_json_object(line), required)

    return _read_rows(path, _lines(path, encoding), parse, convert, errors)


def read_table(
    path,
    columns=None,
    delimiter="\t",
    header=False,
    errors="raise",
    encoding="utf-8",
    convert=None,
):
    """Reads a table: one row a line, fields parted by a delimiter.

    Tab separated files have no quoting: a quotation mark is a character like any other (real
    Chinese sets hold single ones). With any other delimiter fields may be quoted as in CSV, and
    then hold the delimiter and line ends.

    Args:
        path, errors, encoding, convert: as in `read_jsonl`.
        columns: names of the fields, for a file without header; with a header the names that
            must be in it.
        delimiter: `"\\t"`, `","`, ...
        header: whether the first line holds the names.

    Returns:
        List of dicts {name: text}; of lists of texts if there are no names.

    Raises:
        RowError: a row with another number of fields than there are names (or than the first
            row), or a header without one of `columns`.

    Example::

        rows = read_table("lcqmc/dev.txt", columns=("sentence1", "sentence2", "label"))
        rows = read_table("pawsx/dev_2k.tsv", header=True)
    """
    records = _table_records(path, encoding, delimiter)
    names, count = columns, len(columns) if columns else None
    if header:
        number, names = next(records, (1, []))
        if isinstance(names, ValueError):
            raise RowError(path, number, str(names))
        count = len(names)
        if not set(columns or ()) <= set(names):
            raise RowError(path, number, f"expected columns {list(columns)}, found {names}")
        if len(set(names)) < count:
            raise RowError(path, number, f"expected columns of different names, found {names}")

    def parse(fields):
        nonlocal count
        # Without names the first row says how many fields there are.
        count = count or len(fields)
        if len(fields) != count:
            raise ValueError(
                f"expected {count} fields parted by {delimiter!r}, found {len(fields)}: "
                f"{fields!r:.100}"
            )
        return dict(zip(names, fields)) if names else fields

    return _read_rows(path, records, parse, convert, errors)


def write_jsonl(path, rows):
    """Writes one JSON object a line, in UTF-8; CLUE's submission format.

    The file appears under its name when it is complete, or not at all: a run that is killed, or
    a row that cannot be written, leaves an older file as it was. Missing folders are made.

    Example::

        write_jsonl("out/tnews_predict.json", ({"id": i, "label": y} for i, y in answers))
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(draft, "w", encoding="utf-8", newline="\n") as file:
            for row in rows:
                file.write(json.dumps(row, ensure_ascii=False, default=_plain) + "\n")
        os.replace(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def _plain(value):
    """NumPy numbers and arrays as JSON takes them."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"cannot write {type(value).__name__} as JSON: {value!r:.80}")


def _open_bytes(path):
    try:
        if hasattr(path, "open") and not isinstance(path, Path):
            return path.open("rb")
        return gzip.open(path) if str(path).endswith(".gz") else open(path, "rb")
    except (FileNotFoundError, IsADirectoryError) as error:
        raise FileNotFoundError(
            f"{path}: no such file; pass the path of the data file itself "
            f"(here: {Path(str(path)).absolute()})"
        ) from error


def _raw_lines(path):
    """Yields the lines of a file as bytes."""
    read = 0
    with _open_bytes(path) as file:
        try:
            for line in file:
                read += 1
                yield line
        except (EOFError, gzip.BadGzipFile, zlib.error, zipfile.BadZipFile) as error:
            reason = f"the archive is damaged from here on or cut off ({error}); fetch it again"
            raise RowError(path, read + 1, reason) from error


def _decoded(line, encoding):
    try:
        return line.decode(encoding)
    except UnicodeDecodeError as error:
        raise ValueError(
            f"expected {encoding} text, found {error}; fix: encoding='gb18030'?"
        ) from None


def _check_encoding(encoding):
    if "\n".encode(encoding) != b"\n":
        raise ValueError(
            f"expected an encoding whose line ends are single bytes (utf-8, gb18030), received "
            f"{encoding!r}: convert the file to utf-8 first"
        )


def _lines(path, encoding):
    """Yields (number, text without line end, or ValueError) of all lines that are not blank.

    Cut at line feeds only: str.splitlines and text mode also cut at U+0085, U+2028 and single
    carriage returns, which real sentences contain.
    """
    _check_encoding(encoding)
    for number, line in enumerate(_raw_lines(path), 1):
        try:
            text = _decoded(line, encoding)
        except ValueError as error:
            yield number, error  # not raised: the rows behind it can still be read
            continue
        text = text.removeprefix("\ufeff") if number == 1 else text
        text = text.removesuffix("\n").removesuffix("\r")
        if text.strip():
            yield number, text


def _table_records(path, encoding, delimiter):
    if delimiter != "\t":
        yield from _csv_records(path, encoding, delimiter)
        return
    for number, line in _lines(path, encoding):
        yield number, line if isinstance(line, ValueError) else line.split("\t")


def _csv_records(path, encoding, delimiter):
    """Yields (number of its first line, fields or ValueError) of all rows that are not blank."""
    number = 0

    def decoded(line):
        nonlocal number
        number += 1
        text = _decoded(line, encoding)
        return text.removeprefix("\ufeff") if number == 1 else text

    _check_encoding(encoding)
    # A map goes on behind an error, where a generator would be at its end.
    reader = csv.reader(map(decoded, _raw_lines(path)), delimiter=delimiter, strict=True)
    while True:
        start = number + 1
        try:
            fields = _next_of_any_size(reader)
        except RowError:
            raise
        except (csv.Error, ValueError) as error:
            yield start, ValueError(f"expected CSV, found {error}")
            continue
        if fields is None:
            return
        if any(field.strip() for field in fields):
            yield start, fields


def _next_of_any_size(reader):
    """The next row of a csv.reader, or None; its module refuses long fields unless told else."""
    limit = csv.field_size_limit(2**31 - 1)
    try:
        return next(reader, None)
    finally:
        csv.field_size_limit(limit)


def _read_rows(path, records, parse, convert, errors):
    if errors not in ("raise", "skip"):
        raise ValueError(f"expected errors='raise' or 'skip', received {errors!r}")
    rows, skipped = [], []
    for number, record in records:
        try:
            if isinstance(record, ValueError):
                raise record
            row = parse(record)
            rows.append(convert(row) if convert else row)
        except ValueError as error:
            bad = RowError(path, number, str(error))
            if errors == "raise":
                raise bad from None
            skipped.append(bad)
    if skipped:
        logger.warning("skipped %d bad rows, the first: %s", len(skipped), skipped[0])
    return rows


def _json_object(line):
    try:
        row = json.loads(line)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(
            f"expected one JSON object a line, found {line!r:.60} ({error}); is it cut off, or one "
            "JSON document over many lines?"
        ) from None
    if not isinstance(row, dict):
        raise ValueError(f"expected a JSON object, found a {type(row).__name__}: {line!r:.60}")
    return row


def _checked(row, required):
    missing = [key for key in required if key not in row]
    if missing:
        raise ValueError(f"expected keys {list(required)}, found {list(row)}, missing {missing}")
    return row
