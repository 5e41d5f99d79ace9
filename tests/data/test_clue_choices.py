import json

import pytest

from bert4keras_ext.data import RowError, read_c3, read_chid
from tests.shared import shared


def write(path, value):
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
    return path


def write_rows(path, *rows):
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


# ---- C3 -------------------------------------------------------------------------------------


def c3(**changes):
    question = {"question": "谁？", "choice": ["甲", "乙", "丙"], "answer": "乙", **changes}
    return [[["男：你好", "女：再见"], [question, {**question, "id": 7, "answer": ""}], "1-2"]]


def test_c3(tmp_path):
    path = write(tmp_path / "c3-d-dev.json", c3())
    first, second = read_c3(path)
    assert first == (0, ["男：你好", "女：再见"], "谁？", ["甲", "乙", "丙"], 1)
    assert second.id == 7 and second.answer is None


@pytest.mark.parametrize(
    "document, message",
    [
        (c3(answer="丁"), "question 0 .of passage '1-2'.: expected an answer out of .*'丁'"),
        (c3(choice=["乙"]), "expected two choices or more"),
        (c3(choice=None), "expected a list"),
        (c3(question=3), "expected a text, found int"),
        ({"data": []}, "expected a list of passages, found dict"),
        ([["甲"]], "expected .passage, questions, name. as entry 0"),
    ],
)
def test_bad_c3(tmp_path, document, message):
    with pytest.raises(ValueError, match=message):
        read_c3(write(tmp_path / "c3.json", document))


def test_c3_that_is_cut_off(tmp_path):
    path = tmp_path / "c3.json"
    path.write_text(json.dumps(c3())[:-9])
    with pytest.raises(ValueError, match="c3.json: expected one JSON document.*cut off"):
        read_c3(path)


@pytest.mark.parametrize("name, count", [("m-dev", 1991), ("d-train", 5856)])
def test_real_c3(name, count):
    questions = read_c3(shared("data") / f"c3/c3-{name}.json")
    assert len(questions) == count
    assert all(len(q.choices) > q.answer >= 0 and q.passage for q in questions)


# ---- ChID -----------------------------------------------------------------------------------

ROW = {
    "candidates": ["画蛇添足", "雪中送炭", "草木皆兵"],
    "content": ["他#idiom000001#，她#idiom000002#。", "真是#idiom000003#！"],
}


def test_chid_with_its_answers_beside(tmp_path):
    path = write_rows(tmp_path / "train.json", ROW, {**ROW, "content": ["#idiom000009#"]})
    assert [blank.answer for blank in read_chid(path)] == [None] * 4
    answers = {"#idiom000001#": 2, "#idiom000002#": 0, "#idiom000003#": 1, "#idiom000009#": 0}
    beside = write(tmp_path / "train_answer.json", answers)
    blanks = read_chid(path)
    assert [blank.answer for blank in blanks] == [2, 0, 1, 0]
    assert blanks == read_chid(path, answers=beside) == read_chid(path, answers=answers)
    assert [blank.id for blank in blanks] == list(answers)
    assert [blank.group for blank in blanks] == [0, 0, 0, 1]
    for blank in blanks:
        assert blank.text[blank.start : blank.end] == blank.id
        assert blank.candidates == ROW["candidates"]
    write(beside, {"#idiom000001#": 2})
    with pytest.raises(RowError, match="train.json, line 1: .*found none of #idiom000002#"):
        read_chid(path)
    write(beside, [])
    with pytest.raises(ValueError, match="train_answer.json: expected {blank: number}, found list"):
        read_chid(path)


def test_fewclues_chid(tmp_path):
    row = {"id": 5, "candidates": ROW["candidates"], "content": "这#idiom#么", "answer": 1}
    path = write_rows(tmp_path / "dev_0.json", row)
    assert read_chid(path) == [(5, "这#idiom#么", 1, 8, ROW["candidates"], 0, 1)]
    for answer in (3, -1, "1", True):
        write_rows(path, row, {**row, "answer": answer})
        with pytest.raises(RowError, match="dev_0.json, line 2: expected the number of one of 3"):
            read_chid(path)
    write_rows(path, {**row, "content": "没有"})
    with pytest.raises(RowError, match="line 1: expected blanks such as"):
        read_chid(path)


def test_real_chid():
    blanks = read_chid(shared("data") / "fewclue/chid/train_few_all.json")
    assert len(blanks) == 202 and {blank.answer for blank in blanks} == set(range(7))
    assert [blank.group for blank in blanks] == list(range(202))
