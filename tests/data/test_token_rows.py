import contextlib
import json
import shutil
import tempfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bert4keras_ext.data import TokenRows, token_rows
from bert4keras_ext.data.token_rows import CacheError, RowWriter, open_rows

ROWS = [
    ([2, 7, 3], 1, 0.5, [[1], [2, 2]]),
    ([], -1, 1.0, []),
    ([2, 70000, 9, 3], 0, 2.0, [[], [4, 5]]),
]


def plain(rows):
    def listed(field):
        if isinstance(field, list):
            return [part.tolist() for part in field]
        return field.tolist() if isinstance(field, np.ndarray) else field

    return [tuple(listed(field) for field in row) for row in rows]


def write(folder, rows=ROWS):
    folder.mkdir()
    writer = RowWriter(folder)
    for row in rows:
        writer.add(row)
    writer.finish({"digest": "d"})
    return folder


def test_in_memory_and_in_files(tmp_path):
    for rows in (TokenRows.from_rows(ROWS), open_rows(write(tmp_path / "x"), "d")):
        assert len(rows) == 3 and rows.sequences == 1
        assert plain(rows) == ROWS
        assert plain([rows[-1]]) == ROWS[-1:]
        assert rows[0][0].dtype == np.int32 and not isinstance(rows[0][0], np.memmap)
        with pytest.raises(IndexError):
            rows[3]


@settings(max_examples=25)
@given(st.lists(st.tuples(st.lists(st.integers(-(2**31), 2**31 - 1)), st.integers(0, 9))))
def test_small_blocks(rows):
    """Written in many pieces, one a number or two."""
    folder = Path(tempfile.mkdtemp())
    before, token_rows.BLOCK = token_rows.BLOCK, 2
    try:
        found = open_rows(write(folder / "x", rows), "d")
        assert plain(found) == rows
    finally:
        token_rows.BLOCK = before
        shutil.rmtree(folder)


def test_files_are_read_only(tmp_path):
    rows = open_rows(write(tmp_path / "x"), "d")
    with pytest.raises(ValueError, match="read-only"):
        rows[0][0][0] = 5


def test_parts_share_the_numbers_and_have_names_of_their_own(tmp_path):
    rows = open_rows(write(tmp_path / "x"), "d")
    assert plain(rows[1:]) == ROWS[1:] and plain(rows[[2, 0]]) == [ROWS[2], ROWS[0]]
    assert plain(rows[np.array([2, 0])][1:]) == [ROWS[0]]
    assert len(rows[[]]) == 0
    assert rows[1:].columns[0].values is rows.columns[0].values
    names = {part.fingerprint for part in (rows, rows[1:], rows[:2], rows[[2, 0]], rows[[0, 2]])}
    assert len(names) == 5 and rows[1:].fingerprint == rows[[1, 2]].fingerprint


def test_arrays_and_a_single_field():
    rows = TokenRows.from_rows([np.array([3, 4], "int64"), np.array([5], "uint8")])
    assert plain(rows) == [([3, 4],), ([5],)]
    assert plain(TokenRows.from_rows([(np.int64(4), np.float32(0.5))])) == [(4, 0.5)]
    assert len(TokenRows.from_rows([])) == 0


@pytest.mark.parametrize(
    "second, match",
    [
        (([1], 2, 3), "expected 2 fields, as in the first row, received 3"),
        (([0.5], 2), "field 0: expected a sequence of numbers, int32 as in the first row"),
        (([1], 0.5), "field 1: expected a number, int32"),
        (([1], None), "field 1: expected a number"),
        (([1], "a"), "field 1: expected a number"),
        (([[1]], 0), "field 0: expected a sequence of numbers"),
        ((1, 0), "field 0: expected a sequence of numbers"),
        (([2**31], 0), "field 0: .*received"),
    ],
)
def test_rows_unlike_the_first(second, match):
    with pytest.raises(ValueError, match=match):
        TokenRows.from_rows([([1, 2], 0), second])


def test_too_deep():
    with pytest.raises(ValueError, match="two lists deep"):
        TokenRows.from_rows([([[[1]]],)])
    assert plain(TokenRows.from_rows([([[], []],), ([[1]],)])) == [([[], []],), ([[1]],)]


def test_no_row_is_also_a_cache(tmp_path):
    assert len(open_rows(write(tmp_path / "x", []), "d")) == 0
    assert plain(open_rows(write(tmp_path / "y", [([],)]), "d")) == [([],)]


def change(path, place, byte):
    content = bytearray(path.read_bytes())
    content[place] ^= byte
    path.write_bytes(content)


def test_damage_is_told(tmp_path):
    whole = write(tmp_path / "whole")
    for path in sorted(whole.iterdir()):
        size = path.stat().st_size
        damages = [
            lambda path: path.unlink(),
            lambda path: path.write_bytes(b""),
            lambda path, size=size: path.write_bytes(path.read_bytes()[: size // 2]),
            lambda path: path.write_bytes(path.read_bytes() + b"\0"),
            lambda path, size=size: change(path, size // 2, 4),
        ]
        for number, damage in enumerate(damages):
            copy = shutil.copytree(whole, tmp_path / f"{path.name}-{number}")
            damage(copy / path.name)
            with pytest.raises(CacheError):
                open_rows(copy, "d")


def test_single_bits_count(tmp_path):
    whole = write(tmp_path / "x", ROWS[:1])
    for path in sorted(whole.iterdir()):
        content = path.read_bytes()
        for place in range(0, len(content), 1 + len(content) // 40):
            change(path, place, 4)
            if path.name == "rows.json":  # between its numbers a changed space may not matter
                with contextlib.suppress(CacheError):
                    assert plain(open_rows(whole, "d")) == ROWS[:1]
            else:
                with pytest.raises(CacheError):
                    open_rows(whole, "d")
            path.write_bytes(content)


def put(*place):
    *path, value = place

    def damage(notes):
        for key in path[:-1]:
            notes = notes[key]
        notes[path[-1]] = value

    return damage


@pytest.mark.parametrize(
    "damage",
    [
        put("format", 2),
        put("digest", "e"),
        put("rows", 4),
        put("rows", []),
        put("columns", None),
        put("columns", [5]),
        put("columns", 0, "depth", 10**12),
        put("columns", 0, "depth", 0),
        put("columns", 0, "files", 0, "name", "../../other"),
        put("columns", 0, "files", 1, "dtype", "|O"),
        put("columns", 0, "files", 1, "count", -3),
        put("columns", 0, "files", 1, "count", "7"),
        put("columns", 0, "files", 1, "crc32", None),
    ],
)
def test_strange_notes_are_told(tmp_path, damage):
    folder = write(tmp_path / "x")
    notes = json.loads((folder / "rows.json").read_text())["notes"]
    damage(notes)
    content = {"notes": notes, "crc32": token_rows._notes_crc32(notes)}
    (folder / "rows.json").write_text(json.dumps(content))
    with pytest.raises(CacheError):
        open_rows(folder, "d")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100000, '{"format": 1}', "\0\xff"])
def test_notes_that_are_none(tmp_path, text):
    folder = write(tmp_path / "x")
    (folder / "rows.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(CacheError):
        open_rows(folder, "d")


def test_no_folder_and_no_number(tmp_path):
    with pytest.raises(FileNotFoundError):
        open_rows(tmp_path / "x", "d")
    (tmp_path / "file").write_text("")
    with pytest.raises(CacheError):
        open_rows(tmp_path / "file", "d")
    with pytest.raises(ValueError, match="expected a number"):
        TokenRows.from_rows([(Fraction(1, 2),)])
