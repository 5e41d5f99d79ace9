"""SogouQA's scores: the recorded result of the official tool, by hand, by brute force."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bert4keras_ext.data import RowError
from bert4keras_ext.metrics import evaluate_sogou_qa, sogou_qa_rows, sogou_qa_score
from bert4keras_ext.metrics.sogou_qa import NORMAL_FORM, PUNCTUATION
from tests.shared import shared

# prediction, correct answers (the standard one first), right, F1: the official tool's figures
CASES = [
    ("林海音", ["林海音", "林含英"], 1, 1),
    ("林含英", ["林海音", "林含英"], 1, 1),
    ("15", ["15年", "十五年"], 0, 0.8),
    ("《红楼梦》。", ["红楼梦"], 1, 1),
    ("ＡＧＭ　ｘ２", ["agm X2"], 1, 1),
    ("南非、巴西 中国", ["巴西 中国 南非"], 1, 1),  # the same pieces in another order
    ("南非、 巴西 中国", ["巴西 中国 南非"], 0, 1),  # two marks in a row make an empty piece
    ("南非 巴西 中国", ["巴西", "巴西 中国 南非"], 0, 1),  # only the standard answer is parted
    ("", ["甲"], 0, 0),
    (" \t", ["甲"], 0, 0),
    ("。", ["甲"], 0, 0),
    ("。", ["微米", ""], 1, 0),
    ("甲甲", ["甲"], 0, 2 / 3),  # a character counts as often as both have it
    ("Ω", ["ω"], 0, 0),  # lower case of ASCII letters only
    ("甲\u00a0乙", ["甲乙"], 0, 0.8),  # and blanks of ASCII only
]


@pytest.mark.parametrize("prediction, answers, right, f1", CASES)
def test_by_hand(prediction, answers, right, f1):
    row = sogou_qa_rows({"1": prediction}, {"1": answers})[0]
    assert row["right"] == right and abs(row["f1"] - f1) < 1e-12


@given(
    st.text("甲乙a。 ", max_size=6),
    st.lists(st.text("甲乙A，", max_size=6), min_size=1, max_size=3),
)
@settings(max_examples=150, deadline=None)
def test_by_brute_force(prediction, answers):
    def characters(text):
        return [c for c in text.lower() if c not in "。， "]

    def f1(answer):
        found, left = characters(prediction), characters(answer)
        total, shared = len(found) + len(left), 0
        for character in found:
            if character in left:
                left.remove(character)
                shared += 1
        return 2 * shared / total if shared else 0

    row = sogou_qa_rows([(1, prediction)], {"1": answers})[0]
    assert abs(row["f1"] - max(map(f1, answers))) < 1e-12
    if prediction.strip() and characters(prediction) in [characters(answer) for answer in answers]:
        assert row["right"]
    if row["right"]:
        assert sorted(characters(prediction)) in [sorted(characters(a)) for a in answers] or (
            set(characters(prediction)) == set(characters(answers[0]))
        )


def test_means():
    answers = {"1": ["15年"], "2": ["甲"], "3": ["乙"]}
    scores = sogou_qa_score({"1": "15", "2": "甲"}, answers)
    assert scores == {"accuracy": 0.5, "f1": 0.9, "final": 0.7, "total": 2}
    assert sogou_qa_score({1: "15", 2: "甲"}, answers, question_ids=[1, 2]) == scores


@pytest.fixture(scope="module")
def official():
    return shared("data", "webqa_sogouqa")


def test_the_recorded_result(official, tmp_path):
    out = tmp_path / "out"
    scores = evaluate_sogou_qa(official / "test_input", official / "qid_answer_expand", out)
    assert scores == {"accuracy": 1, "f1": 1, "final": 1, "total": 8000}
    ours, theirs = (
        [line.split("\t") for line in path.read_text(encoding="utf-8").split("\n")[:-1]]
        for path in (out, official / "test_out")
    )
    assert [row[:6] for row in ours] == [row[:6] for row in theirs]
    for a, b in zip(ours, theirs):  # of equally good answers the tool names any
        assert sorted(a[6]) == sorted(b[6].translate(NORMAL_FORM))


def test_the_official_punctuation(official):
    text = (official / "punctuation").read_text(encoding="utf-8")
    assert set(text) - set(" \n") == set(PUNCTUATION) and len(set(PUNCTUATION)) == len(PUNCTUATION)


@pytest.mark.parametrize("length, right, f1", [(1, 676, 0.598268194178), (2, 4714, 0.874151263834)])
def test_what_the_official_definition_gives_answers_cut_short(official, length, right, f1):
    def rows(name):
        lines = (official / name).read_text(encoding="utf-8").split("\n")[:-1]
        return [line.split("\t") for line in lines]

    answers = {id: [answer, *all_.split("|")] for id, answer, all_ in rows("qid_answer_expand")}
    scores = sogou_qa_score([(id, text[:length]) for id, text in rows("test_input")], answers)
    assert scores["accuracy"] == right / 8000 and abs(scores["f1"] - f1) < 1e-11


@pytest.mark.parametrize(
    "kwargs, message",
    [
        ({"predictions": {"3": "甲"}}, "ids of the 2 questions, found 1 others: '3'; fix"),
        ({"predictions": {}}, "predictions: expected at least one question"),
        ({"predictions": [("1", "甲"), (1, "甲")]}, "'1' occurs twice .ids are compared as text"),
        ({"predictions": {"1": 15}}, "'1': expected the answer as text, found int: 15"),
        ({"answers": {"1": []}}, "answers: question '1': expected a correct answer"),
        ({"question_ids": ["1", "2"]}, "each of 2 questions, found none for 1: '2'"),
        ({"question_ids": ["2"]}, "answer for each of 1 questions, found none for 1"),
        ({"question_ids": ["9"]}, "question_ids: expected ids of the 2 questions, found 1"),
    ],
)
def test_bad_rows(kwargs, message):
    kwargs = {"predictions": {"1": "甲"}, "answers": {"1": ["甲"], "2": ["乙"]}} | kwargs
    with pytest.raises(ValueError, match=message):
        sogou_qa_score(**kwargs)


@pytest.mark.parametrize(
    "found, message",
    [
        ("1\t甲\n2\n", r"line 2: expected 2 fields parted by .* found 1"),
        ("1\t甲\n\n1\t乙\n", "line 3: expected every id once, found '1' again"),
        ("1\t甲\t乙\n", "line 1: expected 2 fields"),
    ],
)
def test_bad_files(tmp_path, found, message):
    (tmp_path / "found").write_text(found, encoding="utf-8")
    (tmp_path / "key").write_text("1\t甲\t甲|乙\n", encoding="utf-8")
    with pytest.raises(RowError, match=message):
        evaluate_sogou_qa(tmp_path / "found", tmp_path / "key", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(FileNotFoundError):
        evaluate_sogou_qa(tmp_path / "none", tmp_path / "key")
