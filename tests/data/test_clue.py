import json
import zipfile

import pytest

from bert4keras_ext.data import (
    RowError,
    distinct_labels,
    read_afqmc,
    read_csl,
    read_jsonl,
    read_labels,
    read_pairs,
    read_sentences,
    read_sts,
    read_table,
    read_tnews,
    read_wsc,
)
from tests.shared import shared


def jsonl(path, *rows):
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def official(tmp_path):
    """TNEWS as CLUE publishes it: labels "100" to "116"."""
    labels = [{"label": str(n), "label_desc": f"news_{n}"} for n in (100, 101, 116)]
    jsonl(tmp_path / "labels.json", *labels)
    return jsonl(
        tmp_path / "train.json",
        {"sentence": "甲", "label": "116"},
        {"sentence": "乙", "label": 100},
        {"id": 7, "sentence": "丙"},
    )


def test_tnews_labels(official):
    labels = official.parent / "labels.json"
    expected = [("甲", 2), ("乙", 0), ("丙", None)]
    assert read_tnews(official, labels) == expected == read_tnews(str(official), str(labels))
    assert read_tnews(official, read_labels(labels)) == expected
    assert read_tnews(official, ["116", "100"]) == [("甲", 0), ("乙", 1), ("丙", None)]
    assert read_tnews(official) == [("甲", 1), ("乙", 0), ("丙", None)]
    assert read_labels(labels) == {"100": "news_100", "101": "news_101", "116": "news_116"}


def test_bad_rows(official, caplog):
    with pytest.raises(RowError, match="train.json, line 1: expected a label out of .*'116'"):
        read_tnews(official, labels=("100",))
    assert read_tnews(official, labels=("100",), errors="skip") == [("乙", 0), ("丙", None)]
    assert "skipped 1" in caplog.text
    path = jsonl(official.parent / "bad.json", {"sentence": 5, "label": "1"})
    with pytest.raises(RowError, match="expected text under 'sentence', found int"):
        read_tnews(path)
    with pytest.raises(RowError, match="line 2.*is this labels.json"):
        read_labels(jsonl(official.parent / "data.json", {"label": "1"}, {"label": "1"}))
    with pytest.raises(FileNotFoundError, match="labels"):
        read_tnews(official, labels="no/labels.json")


def test_afqmc_in_both_forms(tmp_path):
    rows = [("花呗", "借呗", "0"), ("怎么还", "如何还", "1")]
    keys = ("sentence1", "sentence2", "label")
    as_json = jsonl(tmp_path / "dev.json", *(dict(zip(keys, row)) for row in rows))
    as_text = tmp_path / "dev.txt"
    as_text.write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")
    expected = [("花呗", "借呗", 0), ("怎么还", "如何还", 1)]
    assert read_afqmc(as_json) == read_afqmc(as_text) == expected
    test = jsonl(tmp_path / "test.json", {"id": 0, "sentence1": "a", "sentence2": "b"})
    assert read_afqmc(test) == [("a", "b", None)]
    as_text.write_text("a\tb\nc\td\n", encoding="utf-8")
    assert read_afqmc(as_text) == [("a", "b", None), ("c", "d", None)]
    as_text.write_text("a\tb\t1\nc\td\n", encoding="utf-8")
    with pytest.raises(RowError, match="line 2: expected 3 fields"):
        read_afqmc(as_text)
    as_text.write_text("a\tb\t2\n", encoding="utf-8")
    with pytest.raises(RowError, match="line 1: expected a label out of \\['0', '1'\\], found '2'"):
        read_afqmc(as_text)


def test_sts(tmp_path):
    path = tmp_path / "sts.txt"
    path.write_text("a\tb\t4.5\nc\td\thigh\n", encoding="utf-8")
    with pytest.raises(RowError, match="line 2: expected a number as score, found 'high'"):
        read_sts(path)
    assert read_sts(path, errors="skip") == [("a", "b", 4.5)]


def test_csl(tmp_path):
    row = {"id": 1, "abst": "摘要", "keyword": ["甲", "乙"], "label": 1}
    path = jsonl(tmp_path / "train.json", row, {**row, "label": None})
    assert read_csl(path) == [(["甲", "乙"], "摘要", 1), (["甲", "乙"], "摘要", None)]
    for change in ({"keyword": "甲"}, {"keyword": [1]}, {"abst": None}, {"label": "2"}):
        with pytest.raises(RowError, match="line 2: expected"):
            read_csl(jsonl(path, row, {**row, **change}))


def wsc(**changes):
    target = {"span1_text": "猫", "span1_index": 1, "span2_text": "它", "span2_index": 5, **changes}
    return {"text": "小猫跳了，它很高", "label": "true", "target": target}


def test_wsc(tmp_path):
    path = jsonl(tmp_path / "train.json", wsc())
    assert read_wsc(path) == [("小猫跳了，它很高", (1, 2), (5, 6), 1)]
    for changes, message in (
        ({"span2_index": 4}, "line 1: expected span2 '它' at 4 of the text"),
        ({"span1_index": -7}, "expected span1 '猫' at -7"),
        ({"span1_text": ""}, "expected span1 ''"),
        ({"span2_text": "猫", "span2_index": 1}, "expected two spans apart"),
    ):
        with pytest.raises(RowError, match=message):
            read_wsc(jsonl(path, wsc(**changes)))
    with pytest.raises(RowError, match="expected keys .*span1_text"):
        read_wsc(jsonl(path, {"text": "小猫", "target": {}}))


def test_distinct_labels():
    rows = [{"label": label} for label in ("b", "10", 9, "-", None, "a")]
    assert distinct_labels(rows) == ["9", "10", "a", "b"]


@pytest.mark.parametrize(
    "read, count, classes",
    [
        (lambda d: read_tnews(d / "tnews/train.json", d / "tnews/labels.json"), 10000, 15),
        (lambda d: read_tnews(d / "tnews/dev.json", d / "tnews/labels.json"), 2000, 15),
        (lambda d: read_tnews(d / "fewclue/tnews/train_0.json"), 240, 15),
        (lambda d: read_sentences(d / "iflytek/dev.json", d / "iflytek/labels.json"), 2000, 119),
        (lambda d: read_afqmc(d / "afqmc/train.txt"), 34334, 2),
        (lambda d: read_afqmc(d / "afqmc/dev.txt"), 4316, 2),
        (lambda d: read_pairs(d / "ocnli/dev.json"), 3000, 3),
        (lambda d: read_pairs(d / "cmnli/dev.txt"), 12241, 3),
        (lambda d: read_pairs(d / "lcqmc/dev.txt", ("0", "1")), 8802, 2),
        (lambda d: read_sts(d / "sts/sts-b-dev.txt"), 1458, 6),
    ],
)
def test_real_files(read, count, classes):
    rows = read(shared("data"))
    assert len(rows) == count
    labels = {row[-1] for row in rows} - {None}
    # TNEWS, IFLYTEK: the sampled dev sets need not hold every class.
    assert len(labels) == classes or classes == 119 and max(labels) == 118
    assert all(isinstance(text, str) and text.strip() for row in rows for text in row[:-1])
    unlabelled = sum(row[-1] is None for row in rows)
    assert unlabelled == (50 if count == 3000 else 0)  # OCNLI's "-"


def test_real_csl_and_wsc():
    rows = read_csl(shared("data") / "fewclue/csl/test_public.json")
    assert len(rows) == 2838 and {row[-1] for row in rows} == {0, 1}
    rows = read_wsc(shared("data") / "cluewsc2020/train.json")
    assert len(rows) == 1244 and sum(row[-1] for row in rows) == 517


def test_real_tables():
    folder = shared("data")
    assert len(read_table(folder / "pawsx/dev_2k.tsv", ("label",), header=True)) == 2000
    archive = zipfile.Path(folder / "chnsenticorp/chnsenticorp.zip", "train.tsv")
    rows = read_table(archive, header=True)
    assert len(rows) == 9600 and {row["label"] for row in rows} == {"0", "1"}
    assert len(read_jsonl(folder / "cluener/train.json", ("text", "label"))) == 10748
