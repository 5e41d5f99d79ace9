import csv
import gzip
import json
import logging
import os
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bert4keras_ext.data import RowError, read_jsonl, read_table, write_jsonl


def write(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


def test_jsonl_with_bom_blank_lines_and_odd_separators(tmp_path):
    path = write(tmp_path / "a.json", '\ufeff{"s": "一\u2028二\x85三"}\r\n\n{"s": "末"}\n  \n')
    assert read_jsonl(path) == [{"s": "一\u2028二\x85三"}, {"s": "末"}]
    assert read_jsonl(str(path), required=("s",))[1] == {"s": "末"}


@pytest.mark.parametrize(
    "line, reason",
    [
        ('{"s": "cut', "one JSON object a line"),
        ("[1, 2]", "found a list"),
        ('{"label": "1"}', "missing \\['s'\\]"),
        ("not json", "found 'not json'"),
    ],
)
def test_bad_json_rows(tmp_path, caplog, line, reason):
    path = write(tmp_path / "bad.json", f'{{"s": "a"}}\n\n{line}\n{{"s": "b"}}')
    with pytest.raises(RowError, match=f"bad.json, line 3: .*{reason}") as error:
        read_jsonl(path, required=("s",))
    assert error.value.line == 3 and error.value.path == path
    with caplog.at_level(logging.WARNING):
        assert read_jsonl(path, required=("s",), errors="skip") == [{"s": "a"}, {"s": "b"}]
    assert "skipped 1 bad rows" in caplog.text and "line 3" in caplog.text


def test_wrong_encoding(tmp_path):
    path = write(tmp_path / "gbk.json", '{"s": "a"}\n{"s": "汉字"}\n', "gb18030")
    with pytest.raises(RowError, match="line 2: expected utf-8 text.*gb18030"):
        read_jsonl(path)
    assert read_jsonl(path, errors="skip") == [{"s": "a"}]
    assert read_jsonl(path, encoding="gb18030")[1] == {"s": "汉字"}


def test_missing_file_and_bad_option(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere.json: no such file; pass the path"):
        read_jsonl(tmp_path / "nowhere.json")
    with pytest.raises(FileNotFoundError, match="pass the path of the data file itself"):
        read_table(tmp_path)
    with pytest.raises(ValueError, match="'raise' or 'skip'"):
        read_jsonl(write(tmp_path / "a.json", ""), errors="ignore")


def test_tab_separated(tmp_path):
    path = write(tmp_path / "a.tsv", '他说"好\t是\t1\n\n"引号"\t\t0\r\n')
    rows = read_table(path, columns=("a", "b", "label"))
    assert rows == [
        {"a": '他说"好', "b": "是", "label": "1"},
        {"a": '"引号"', "b": "", "label": "0"},
    ]
    assert read_table(path) == [list(row.values()) for row in rows]


def test_bad_table_rows(tmp_path):
    path = write(tmp_path / "a.tsv", "a\tb\nc\n\nd\te\tf\ng\th\n")
    with pytest.raises(RowError, match="line 2: expected 2 fields.*found 1"):
        read_table(path)
    assert read_table(path, ("x", "y"), errors="skip") == [
        {"x": "a", "y": "b"},
        {"x": "g", "y": "h"},
    ]
    with pytest.raises(RowError, match="line 1: expected columns \\['label'\\], found"):
        read_table(path, columns=["label"], header=True)


def test_long_fields(tmp_path):
    limit = csv.field_size_limit()
    path = write(tmp_path / "a.csv", f"text,label\n{'字' * 140_000},1\n短,0\n")
    rows = read_table(path, delimiter=",", header=True, errors="skip")
    assert [len(row["text"]) for row in rows] == [140_000, 1]
    assert csv.field_size_limit() == limit


def test_nested_without_end(tmp_path):
    path = write(tmp_path / "a.json", '{"a": 1}\n' + "[" * 100_000 + "\n")
    with pytest.raises(RowError, match="line 2: expected one JSON object a line"):
        read_jsonl(path)
    assert read_jsonl(path, errors="skip") == [{"a": 1}]


@given(st.lists(st.lists(st.text('汉",a\n ', min_size=1), min_size=2, max_size=2), min_size=1))
def test_csv(tmp_path_factory, rows):
    rows = [[field + "x" for field in row] for row in rows]
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    with open(path, "w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file).writerows([["text", "label"], *rows])
    result = read_table(path, delimiter=",", header=True)
    assert [list(row.values()) for row in result] == rows
    assert set(result[0]) == {"text", "label"}


def test_bad_csv(tmp_path):
    path = write(tmp_path / "a.csv", 'a,b\n"c,d\n')
    with pytest.raises(RowError, match="a.csv, line .*expected CSV"):
        read_table(path, delimiter=",")


def test_archives(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("train.tsv", "label\ttext\n1\t好\n")
    inside = zipfile.Path(tmp_path / "a.zip", "train.tsv")
    assert read_table(inside, header=True) == [{"label": "1", "text": "好"}]
    with gzip.open(tmp_path / "a.tsv.gz", "wt", encoding="utf-8") as file:
        file.write("好\t1\n")
    assert read_table(tmp_path / "a.tsv.gz") == [["好", "1"]]


@pytest.mark.parametrize("errors", ["raise", "skip"])
@pytest.mark.parametrize("delimiter", ["\t", ","])
@pytest.mark.parametrize("damage", ["cut off", "changed", "no archive"])
def test_damaged_archives_are_named(tmp_path, damage, delimiter, errors):
    text = "".join(f"第{i}行{delimiter}{i}\n" for i in range(20_000)).encode()
    data = bytearray(gzip.compress(text))
    if damage == "changed":
        data[-6] ^= 0xFF  # of the checksum
    path = tmp_path / "a.csv.gz"
    path.write_bytes({"cut off": data[: len(data) // 2], "no archive": text}.get(damage, data))
    with pytest.raises(RowError, match="archive is damaged from here on") as caught:
        read_table(path, delimiter=delimiter, errors=errors)
    assert caught.value.line == 1 if damage == "no archive" else 1 < caught.value.line <= 20_001
    assert str(caught.value).count("a.csv.gz") == 1


def test_writing_makes_folders_and_reads_back(tmp_path):
    path = tmp_path / "new" / "folder" / "out.json"
    write_jsonl(path, ({"id": i, "label": np.int64(i), "s": "汉"} for i in range(2)))
    assert path.read_text(encoding="utf-8").splitlines()[0] == '{"id": 0, "label": 0, "s": "汉"}'
    assert read_jsonl(path)[1] == {"id": 1, "label": 1, "s": "汉"}
    assert os.listdir(path.parent) == ["out.json"]


def test_writing_is_all_or_nothing(tmp_path):
    path = tmp_path / "out.json"
    write_jsonl(path, [{"id": 0}])
    with pytest.raises(TypeError, match="cannot write object"):
        write_jsonl(path, [{"id": 1}, {"id": object()}])
    assert json.loads(path.read_text()) == {"id": 0}
    assert os.listdir(tmp_path) == ["out.json"]


def test_rows_of_csv_are_named_by_their_first_line(tmp_path, caplog):
    lines = 'a,b\n1,2\n"x"y,3\n4,5\n"two\nlines",6,7\n8,"9\n'
    path = write(tmp_path / "a.csv", lines)
    with pytest.raises(RowError, match="a.csv, line 3: expected CSV"):
        read_table(path, delimiter=",", header=True)
    rows = read_table(path, delimiter=",", header=True, errors="skip")
    assert rows == [{"a": "1", "b": "2"}, {"a": "4", "b": "5"}]
    assert "skipped 3 bad rows" in caplog.text
    for number, text in ((5, '1,2\n3,4\n5,6\n7,8\n"two\nlines",6,7\n'), (3, '1,2\n3,4\n"5,6\n')):
        with pytest.raises(RowError, match=f"line {number}: "):
            read_table(write(tmp_path / "b.csv", text), delimiter=",")


@pytest.mark.parametrize("delimiter", [",", "\t"])
def test_lines_of_another_encoding(tmp_path, delimiter):
    path = tmp_path / "a.csv"
    good, bad = f"x{delimiter}1\n".encode(), f"あ{delimiter}1\n".encode("gb18030")
    path.write_bytes(good + bad + good)
    with pytest.raises(RowError, match="line 2: .*expected utf-8 text"):
        read_table(path, delimiter=delimiter)
    assert len(read_table(path, delimiter=delimiter, errors="skip")) == 2
    path.write_bytes(bad + good)
    with pytest.raises(RowError, match="line 1: .*expected utf-8 text"):
        read_table(path, delimiter=delimiter, header=True)


def test_encodings_and_headers_that_cannot_be(tmp_path):
    path = write(tmp_path / "a.tsv", "a\ta\n1\t2\n")
    with pytest.raises(ValueError, match="line ends are single bytes.*utf-16"):
        read_table(path, encoding="utf-16")
    with pytest.raises(RowError, match="line 1: expected columns of different names"):
        read_table(path, header=True)
