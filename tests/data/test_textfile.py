import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bert4keras_ext.data import TextFile


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "text.txt"
    path.write_bytes("\ufeff第一行\n\r\n第三行\u2028还是\r\nlast".encode())
    return path


def test_plain_reading_is_that_of_the_builtin(path):
    with TextFile(path) as file:
        assert file.readline() == "第一行\n"
        assert next(file) == "\n"
        assert list(file) == ["第三行\u2028还是\n", "last"]
    assert file.closed


def test_writing(tmp_path):
    with TextFile(tmp_path / "new.txt", "w") as file:
        file.write("汉字\n")
    assert (tmp_path / "new.txt").read_bytes() == "汉字\n".encode()


def test_lines_by_number(path):
    with TextFile(path, indexable=True) as file, TextFile(path) as plain:
        lines = list(plain)
        assert len(file) == 4
        assert [file[i] for i in range(4)] == lines == list(file) == file[:]
        assert file[-1] == "last" and file[np.int64(0)] == "第一行\n"
        with pytest.raises(IndexError):
            file[4]
        with pytest.raises(TypeError, match="indexable"):
            file.readline()


@given(lines=st.lists(st.text("a汉\u0085", max_size=4), max_size=30), last=st.text("b", max_size=2))
def test_any_file(tmp_path_factory, lines, last):
    path = tmp_path_factory.mktemp("lines") / "text.txt"
    path.write_bytes(("".join(line + "\n" for line in lines) + last).encode())
    expected = [line + "\n" for line in lines] + ([last] if last else [])
    with TextFile(path, indexable=True) as file:
        assert file[:] == expected and len(file) == len(expected)


def test_errors(path, tmp_path):
    with pytest.raises(TypeError, match="without indexable"):
        TextFile(path)[0]
    with pytest.raises(ValueError, match="mode 'r'"):
        TextFile(tmp_path / "new", "w", indexable=True)
    with pytest.raises(ValueError, match="UTF-8"):
        TextFile(path, encoding="utf-16", indexable=True)
    with pytest.raises(FileNotFoundError):
        TextFile(tmp_path / "none", indexable=True)


def test_no_mark_is_written_into_a_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"a\n")
    with TextFile(path, "r+") as file:
        file.read()
        file.write("b\n")
    assert path.read_bytes() == b"a\nb\n"
