"""CMRC2018's scores by hand, by brute force, and in all its formats."""

import copy
import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bert4keras_ext.data import RowError
from bert4keras_ext.metrics import cmrc2018_rows, cmrc2018_score, evaluate_cmrc2018
from tests.shared import shared

# prediction, answers, F1, exact match: worked out by hand; the official script says the same.
CASES = [
    ("踢爆", ["踢爆"], 1, 1),
    ("踢爆。", ["《踢爆》"], 1, 1),
    (" 踢爆\n", ["踢爆"], 1, 1),
    ("4分钟", ["5分钟"], 2 * 2 / 6, 0),
    ("", ["踢爆"], 0, 0),
    ("", ["踢爆", ""], 0, 1),
    ("北京市", ["在北京", "北京"], 0.8, 0),
    ("1999 年", ["1999年"], 1, 0),  # words are the same, characters are not
    ("Windows 7", ["windows 8"], 0.5, 0),
    ("甲乙丙丁", ["甲丙乙丁"], 0.25, 0),  # one run in common, not a subsequence
    ("iphone手机", ["手机iphone"], 2 * 2 / 6, 0),
    ("it's", ["it is"], 0.5, 0),
    ("“甲”…", ["甲"], 2 / 3, 0),  # the ellipsis stays
    ("‘甲’", ["甲"], 2 / 3, 0),  # and the opening quote
    ("ＡＢ", ["ab"], 0, 0),  # full width is not folded
    ("a.b，c", ["a.bc"], 1, 1),
]


@pytest.mark.parametrize("prediction, answers, f1, em", CASES)
def test_by_hand(prediction, answers, f1, em):
    row = cmrc2018_rows({"q": prediction}, {"q": answers})[0]
    assert abs(row["f1"] - f1) < 1e-12 and row["em"] == em


CHINESE = st.text(alphabet="甲乙丙，。A", max_size=8)


@given(CHINESE, st.lists(CHINESE, min_size=1, max_size=3))
@settings(max_examples=150, deadline=None)
def test_by_brute_force(prediction, answers):
    def plain(text):
        return "".join(character for character in text.lower() if character not in "，。")

    def words(text):
        return re.findall("[甲乙丙]|a+", plain(text))

    def f1(answer):
        found, wanted = words(prediction), words(answer)
        runs = [found[i:j] for i in range(len(found)) for j in range(i + 1, len(found) + 1)]
        held = [wanted[i:j] for i in range(len(wanted)) for j in range(i + 1, len(wanted) + 1)]
        common = max((len(run) for run in runs if run in held), default=0)
        if not common:
            return 0
        precision, recall = common / len(found), common / len(wanted)
        return 2 * precision * recall / (precision + recall)

    row = cmrc2018_rows([("q", prediction)], {"q": answers})[0]
    assert abs(row["f1"] - max(map(f1, answers))) < 1e-12
    assert row["em"] == any(plain(answer) == plain(prediction) for answer in answers)


SQUAD = {
    "version": "v1.0",
    "data": [
        {
            "paragraphs": [
                {
                    "context": "甲乙丙",
                    "qas": [
                        {
                            "id": "Q0",
                            "question": "?",
                            "answers": [{"text": "甲", "answer_start": 0}],
                        },
                        {"id": "Q1", "question": "?", "answers": [{"text": "乙"}, {"text": "丙"}]},
                    ],
                }
            ]
        }
    ],
}
FIRST = [
    {"context_id": "C", "context_text": "甲乙丙", "qas": [
        {"query_id": "Q0", "query_text": "?", "answers": ["甲"]},
        {"query_id": "Q1", "query_text": "?", "answers": ["乙", "丙"]}]}
]  # fmt: skip


@pytest.mark.parametrize("data", [SQUAD, FIRST, {"Q0": "甲", "Q1": ["乙", "丙"]}])
def test_formats(data):
    scores = cmrc2018_score({"Q0": "甲", "Q1": "丁"}, data)
    assert scores == {"average": 50, "f1": 50, "em": 50, "total": 2, "skipped": 0}


def test_what_does_not_match_is_an_error_or_scores_as_in_the_official_script():
    with pytest.raises(ValueError, match="each of 2 questions, found none for 1: 'Q1'; fix: .*'"):
        cmrc2018_score({"Q0": "甲"}, SQUAD)
    with pytest.raises(ValueError, match="ids of the 2 questions, found 1 others: 'Q2'; fix"):
        cmrc2018_score({"Q0": "甲", "Q1": "丙", "Q2": "丁"}, SQUAD)
    scores = cmrc2018_score({"Q0": "甲", "Q2": "丁"}, SQUAD, strict=False)
    assert scores == {"average": 50, "f1": 50, "em": 50, "total": 2, "skipped": 1}


def broken(change):
    data = copy.deepcopy(SQUAD)
    change(data["data"][0]["paragraphs"][0]["qas"])
    return data


@pytest.mark.parametrize(
    "predictions, data, message",
    [
        ({"Q0": 3, "Q1": ""}, SQUAD, "predictions: question 'Q0': expected the answer as text, f"),
        ({"Q0": None, "Q1": ""}, SQUAD, "question 'Q0': .* found NoneType: None; fix: ''"),
        ([("Q0", "甲"), ("Q0", "乙")], SQUAD, "predictions: question 'Q0' occurs twice"),
        ({"Q0": "甲"}, broken(lambda qas: qas[1].update(id="Q0")), "data: question 'Q0' occurs t"),
        ({}, broken(lambda qas: qas[1].pop("id")), r"qas\[1\]: expected the key 'id' or 'query_i"),
        ({}, broken(lambda qas: qas[1].pop("answers")), r"expected the key 'answers', found \['i"),
        ({}, broken(lambda qas: qas[0].update(answers=[])), "'Q0': expected a correct answer, or"),
        ({}, broken(lambda qas: qas[0].update(answers=[1])), "expected correct answers as texts,"),
        ({}, broken(lambda qas: qas.insert(0, "x")), r"qas\[0\]: expected an object, found 'x'"),
        ({}, {"data": [{"paragraphs": 3}]}, r"data\[0\].paragraphs: expected a list, found 3"),
        ({}, {}, "data: expected at least one question, found none"),
    ],
)  # fmt: skip
def test_bad_rows(predictions, data, message):
    with pytest.raises(ValueError, match=message):
        cmrc2018_score(predictions, data)


@pytest.mark.parametrize("predictions", ["甲", 3, [1], ["ab"], [("Q0", "甲", "乙")]])
def test_bad_types(predictions):
    with pytest.raises(TypeError, match="predictions: expected .*pairs"):
        cmrc2018_score(predictions, SQUAD)


def test_files(tmp_path):
    data, found = tmp_path / "data.json", tmp_path / "found.json"
    data.write_text(json.dumps(SQUAD), encoding="utf-8")
    found.write_text("\ufeff" + json.dumps({"Q0": "甲", "Q1": "丙"}), encoding="utf-8")
    assert evaluate_cmrc2018(found, data)["f1"] == 100
    found.write_text('["甲", "乙"]')
    with pytest.raises(ValueError, match=r"found.json: expected an object \{question id: answer\}"):
        evaluate_cmrc2018(found, data)
    with pytest.raises(ValueError, match="data.json: .* the file of predictions comes first"):
        evaluate_cmrc2018(data, found)


@pytest.mark.parametrize(
    "content, line, message",
    [
        (b'{"Q0": "a",\n "Q1": "b', 2, "expected JSON, found Unterminated string"),
        (b"", 1, "expected JSON, found Expecting value"),
        (b'{"Q0": "a",\n "Q1": "b",\n "Q0": "c"}', 3, "expected every key once, found 'Q0' twice"),
        ('{"Q0": "甲"}'.encode("gb18030"), 1, "expected UTF-8"),
        (b"[" * 100000, 1, "endless nesting"),
    ],
)
def test_damaged_files(tmp_path, content, line, message):
    path = tmp_path / "found.json"
    path.write_bytes(content)
    with pytest.raises(RowError, match=message) as error:
        evaluate_cmrc2018(path, path)
    assert error.value.line == line and error.value.path == path


@pytest.mark.parametrize("name", ["cmrc2018/cmrc2018_trial.json", "drcd/DRCD_dev.json"])
def test_the_answers_of_a_real_set_get_full_marks(name, tmp_path):
    path = shared("data", *name.split("/"))
    questions = [
        question
        for article in json.loads(path.read_text(encoding="utf-8"))["data"]
        for paragraph in article["paragraphs"]
        for question in paragraph["qas"]
    ]
    found = tmp_path / "found.json"
    predictions = {question["id"]: question["answers"][-1]["text"] for question in questions}
    found.write_text(json.dumps(predictions), encoding="utf-8")
    scores = evaluate_cmrc2018(found, path, progress=False)
    assert scores["em"] == 100 and scores["total"] == len(questions)
    # A few answers are nothing but punctuation, which the script takes for no answer.
    assert scores["f1"] > 99.5
