import gzip
import json

import pytest

from bert4keras_ext.data import PassagesQuestion, SpanQuestion, read_squad, read_webqa
from tests.shared import shared

PASSAGE = "河东有座桥，桥长九米。河西也有座桥，桥长三十米。"


def question(number, **answer):
    entry = {"id": f"Q{number}", "question": "桥多长？"}
    return {**entry, "answers": [answer]} if answer else entry


def squad(path, *questions, passage=PASSAGE):
    paragraph = {"id": "P0", "context": passage, "qas": list(questions)}
    document = {"version": "1", "data": [{"title": "桥", "id": "A0", "paragraphs": [paragraph]}]}
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def webqa(path, *entries):
    path.write_text(json.dumps(entries, ensure_ascii=False), encoding="utf-8")
    return path


ENTRY = {
    "id": "S1",
    "question": "桥多长？",
    "passages": [{"passage": "桥长九米", "answer": "九米"}, {"passage": "不知道", "answer": ""}],
}


# ---- CMRC2018, DRCD, SQuAD ------------------------------------------------------------------


def test_squad_form(tmp_path):
    path = squad(tmp_path / "dev.json", question(0, text="九米", answer_start=8), question(1))
    first, second = read_squad(path)
    assert first == SpanQuestion("Q0", "桥多长？", PASSAGE, [("九米", 8)], "桥")
    assert second.answers == []  # a test set
    zipped = tmp_path / "dev.json.gz"
    zipped.write_bytes(gzip.compress(b"\xef\xbb\xbf" + path.read_bytes()))
    assert read_squad(str(zipped)) == [first, second]


def test_the_first_form_of_cmrc2018(tmp_path):
    rows = [{"query_id": "Q0", "query_text": "桥多长？", "answers": ["三十米", "十米"]}]
    document = [{"context_id": "C0", "context_text": PASSAGE, "qas": rows, "title": "桥"}]
    path = tmp_path / "train.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    answers = [("三十米", 20), ("十米", 21)]
    assert read_squad(path) == [SpanQuestion("Q0", "桥多长？", PASSAGE, answers, "桥")]


@pytest.mark.parametrize("said, found", [(-6, 4), (4, 4), (5, 4), (7, 6), (12, 16), (99, 18)])
def test_an_answer_elsewhere_is_found_at_the_nearest_place(tmp_path, said, found):
    path = squad(tmp_path / "dev.json", question(0, text="桥", answer_start=said), passage=PASSAGE)
    assert [place for place, char in enumerate(PASSAGE) if char == "桥"] == [4, 6, 16, 18]
    assert read_squad(path)[0].answers == [("桥", found)]


def test_overlapping_places_count(tmp_path):
    path = squad(
        tmp_path / "dev.json", question(0, text="哈哈", answer_start=3), passage="哈哈哈。笑"
    )
    assert read_squad(path)[0].answers == [("哈哈", 1)]


def test_answers_of_squad_2_may_be_empty(tmp_path):
    path = squad(tmp_path / "dev.json", question(0, text="", answer_start=0))
    assert read_squad(path)[0].answers == []


@pytest.mark.parametrize(
    "entry, words",
    [
        (
            question(1, text="百米", answer_start=0),
            "an answer that stands in its passage, found '百米'",
        ),
        (question(1, answer_start=0), "a key 'text', found ..answer_start"),
        (question(1, text=5), "a text, found int: 5"),
        ({"id": "Q1"}, "a key 'question', found ..id..; is it cut off"),
    ],
)
def test_bad_questions(tmp_path, caplog, entry, words):
    path = squad(tmp_path / "dev.json", question(0), entry, question(2))
    with pytest.raises(
        ValueError, match=rf"dev\.json, question Q1 of '桥': expected.*{words[10:]}"
    ):
        read_squad(path)
    assert [row.id for row in read_squad(path, errors="skip")] == ["Q0", "Q2"]
    assert "skipped 1 bad questions, the first: " in caplog.text and "Q1" in caplog.text


@pytest.mark.parametrize("read", [read_squad, read_webqa])
@pytest.mark.parametrize("content", [b'[{"id"', '["桥"]'.encode("gb18030"), b'{"a": 1}\n{"a": 2}'])
def test_no_json_document(tmp_path, read, content):
    path = tmp_path / "bad.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"bad\.json: expected one JSON document in UTF-8, found"):
        read(path)


@pytest.mark.parametrize("content", ['{"version": "1"}', '"text"', '{"data": [{"qas": 5}]}'])
def test_another_document_than_expected(tmp_path, content):
    (tmp_path / "other.json").write_text(content)
    with pytest.raises(ValueError, match="expected"):
        read_squad(tmp_path / "other.json")


def test_errors_are_raised_or_skipped(tmp_path):
    with pytest.raises(ValueError, match="errors='raise' or 'skip', received 'ignore'"):
        read_squad(squad(tmp_path / "dev.json"), errors="ignore")
    with pytest.raises(FileNotFoundError, match="nowhere.json: no such file"):
        read_squad(tmp_path / "nowhere.json")


# ---- WebQA and SogouQA ----------------------------------------------------------------------


def test_webqa_form(tmp_path):
    path = webqa(tmp_path / "a.json", ENTRY)
    pairs = [("桥长九米", "九米"), ("不知道", "")]
    assert read_webqa(path) == [PassagesQuestion("S1", "桥多长？", pairs)]
    test_set = {"question": "桥多长？", "passages": [{"passage": "桥长九米"}]}
    path = webqa(tmp_path / "b.json", ENTRY, test_set)
    assert read_webqa(path)[1] == PassagesQuestion("1", "桥多长？", [("桥长九米", "")])


@pytest.mark.parametrize(
    "entry, words",
    [
        ({"passages": ENTRY["passages"]}, "a key 'question', found ..passages..; is it cut off"),
        ({**ENTRY, "passages": []}, "at least one passage, found none"),
        ({**ENTRY, "passages": [{"answer": ""}]}, "a key 'passage', found"),
        ({**ENTRY, "question": None}, "a text, found NoneType"),
        ("cut", "a JSON object, found str"),
    ],
)
def test_a_cut_off_entry_is_told_and_left_out(tmp_path, caplog, entry, words):
    path = webqa(tmp_path / "a.json", ENTRY, entry)
    assert [row.id for row in read_webqa(path)] == ["S1"]
    assert "skipped 1 bad questions, the first: " in caplog.text and "entry 1: " in caplog.text
    with pytest.raises(ValueError, match=rf"a\.json, entry 1: expected {words}"):
        read_webqa(path, errors="raise")


# ---- real files -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, count, articles, answers, moved",
    [
        ("cmrc2018/cmrc2018_trial.json", 1002, 256, 1, 5),
        ("drcd/DRCD_dev.json", 3524, 383, 2, 0),
    ],
)
def test_real_spans(name, count, articles, answers, moved):
    path = shared("data") / name
    rows = read_squad(path)
    assert len({row.id for row in rows}) == len(rows) == count
    assert len({row.article for row in rows}) == articles
    assert {len(row.answers) for row in rows} == {answers}
    for row in rows:
        for text, start in row.answers:
            assert text and row.passage[start : start + len(text)] == text
    starts = [
        answer["answer_start"]
        for article in json.loads(path.read_text(encoding="utf-8"))["data"]
        for paragraph in article["paragraphs"]
        for entry in paragraph["qas"]
        for answer in entry["answers"]
    ]
    found = [start for row in rows for _, start in row.answers]
    assert sum(a != b for a, b in zip(starts, found)) == moved


@pytest.mark.parametrize("name, count, passages", [("WebQA", 11, 20), ("SogouQA", 21, 10)])
def test_real_samples_end_with_a_cut_off_entry(caplog, name, count, passages):
    rows = read_webqa(shared("data") / "webqa_sogouqa" / f"{name}.json")
    assert len(rows) == count
    assert f"{name}.json, entry {count}: expected a key 'question'" in caplog.text
    assert {len(row.passages) for row in rows} == {passages}
    assert all(any(answer for _, answer in row.passages) for row in rows) or name == "SogouQA"


def test_a_test_file_is_read_without_what_stands_for_its_answers(tmp_path):
    """CLUE's and others' test files may hold something in place of the answers."""
    answers = [{"text": "秘密", "answer_start": -1}]
    question = {"id": "Q", "question": "谁？", "answers": answers}
    path = tmp_path / "test.json"
    paragraph = {"context": "河东有桥", "qas": [question, {"id": "R", "question": "何？"}]}
    path.write_text(json.dumps({"data": [{"title": "桥", "paragraphs": [paragraph]}]}))
    with pytest.raises(ValueError, match="an answer that stands in its passage"):
        read_squad(path)
    rows = read_squad(path, answers=False)
    assert [(row.id, row.question, row.answers) for row in rows] == [
        ("Q", "谁？", []),
        ("R", "何？", []),
    ]
