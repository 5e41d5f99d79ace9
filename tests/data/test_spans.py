import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bert4keras_ext.data import RowError, cluener_label, read_cluener, read_jsonl, token_span
from bert4keras_ext.tokenizers import Tokenizer
from tests.shared import shared


@pytest.fixture
def write(tmp_path):
    def write(*rows):
        path = tmp_path / "train.json"
        path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
        return path

    return write


def test_rows_as_published(write):
    path = write(
        {"text": "浙商银行的叶老桂", "label": {"name": {"叶老桂": [[5, 7]]},
                                      "company": {"浙商银行": [[0, 3]], "银行": [[2, 3]]}}},
        {"text": "桂的桂", "label": {"name": {"桂": [[2, 2], [0, 0]]}}},
        {"text": "无", "label": {}},
        {"id": 7, "text": "丙"},
    )  # fmt: skip
    assert read_cluener(path) == [
        ("浙商银行的叶老桂", [(0, 3, "company"), (2, 3, "company"), (5, 7, "name")]),
        ("桂的桂", [(0, 0, "name"), (2, 2, "name")]),
        ("无", []),
        ("丙", None),
    ]
    assert read_cluener(str(path), labels=("name", "company")) == read_cluener(path)


@pytest.mark.parametrize(
    "label, words",
    [
        ({"place": {"甲": [[0, 0]]}}, r"label out of \['name'\], found 'place'"),
        ({"name": {"甲": [[1, 1]]}}, "'甲' from character 1 to 1.*found '乙'; it begins at 0"),
        ({"name": {"丁": [[0, 0]]}}, "begins at -1"),
        ({"name": {"甲": [[0, 1]]}}, "the end inclusive, found '甲乙'"),
        ({"name": {"": [[1, 0]]}}, "from character 1 to 0"),
        ({"name": {"丙": [[-1, -1]]}}, "from character -1"),
        ({"name": {"甲": [[0]]}}, r"a span \[start, end\] of '甲', found \[0\]"),
        ({"name": {"甲": [[0, True]]}}, r"a span \[start, end\]"),
        ({"name": {"甲": 0}}, "a list of spans of '甲', found int"),
        ({"name": ["甲"]}, "an object {text: spans} of name, found list"),
        ("name", "an object {label: .*found str"),
    ],
)
def test_bad_rows_are_named_by_file_and_line(write, caplog, label, words):
    good = {"text": "甲", "label": {"name": {"甲": [[0, 0]]}}}
    path = write(good, {"text": "甲乙丙", "label": label})
    with pytest.raises(RowError, match=f"train.json, line 2: .*{words}"):
        read_cluener(path, labels=("name",))
    assert read_cluener(path, labels=("name",), errors="skip") == [("甲", [(0, 0, "name")])]
    assert "skipped 1 bad rows" in caplog.text


def test_rows_without_text(write):
    with pytest.raises(RowError, match="line 1: expected keys .*missing"):
        read_cluener(write({"label": {}}))
    with pytest.raises(RowError, match="line 1: expected a text under 'text', found int"):
        read_cluener(write({"text": 5}))


TEXTS = st.text("甲乙a𫚭", min_size=1, max_size=8)


@given(st.data(), TEXTS)
def test_a_label_is_read_as_it_was_made(tmp_path_factory, data, text):
    places = st.integers(0, len(text) - 1)
    spans = data.draw(st.sets(st.tuples(places, places, st.sampled_from("xy"))))
    spans = sorted({(min(a, b), max(a, b), label) for a, b, label in spans})
    label = cluener_label(text, spans)
    for kind, found in label.items():
        for part, pairs in found.items():
            assert all(part == text[a : b + 1] and (a, b, kind) in spans for a, b in pairs)
    path = tmp_path_factory.getbasetemp() / "spans.json"
    path.write_text(json.dumps({"text": text, "label": label}), encoding="utf-8")
    assert read_cluener(path) == [(text, spans)]


def test_the_official_files():
    folder = shared("data") / "cluener"
    train = read_cluener(folder / "train.json")
    labels = sorted({label for _, spans in train for *_, label in spans})
    dev, test = read_cluener(folder / "dev.json", labels), read_cluener(folder / "test.json")
    assert [len(rows) for rows in (train, dev, test)] == [10748, 1343, 1345] and len(labels) == 10
    for (text, spans), row in zip(dev, read_jsonl(folder / "dev.json")):
        for found in row["label"].values():
            for places in found.values():
                places.sort()
        assert cluener_label(text, spans) == row["label"]
    assert {spans for _, spans in test if spans is not None} == set()


# Accents vanish, letters grow or fall apart, unknown ones make words, white space parts them.
NAMES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"天地12", "word", "##s", "a", "##b", "i"]
TOKENIZER = Tokenizer({name: number for number, name in enumerate(NAMES)}, do_lower_case=True)
WORDS = st.lists(st.sampled_from([*"天地12 \n\u200b猫각İé", "Words", "ab1"]), max_size=8)


@given(WORDS.map("".join), st.integers(3, 12), st.data())
def test_token_spans_are_those_that_hold_the_characters(text, maxlen, data):
    places = TOKENIZER.rematch(text, TOKENIZER.tokenize(text, maxlen=maxlen))
    start = data.draw(st.integers(0, max(len(text) - 1, 0)))
    end = data.draw(st.integers(start, max(len(text) - 1, 0)))
    kept = [char for each in places for char in each]
    wanted = set(range(start, end + 1))
    # A word holds what vanishes inside of it as well.
    held = [i for i, each in enumerate(places) if each and wanted & {*range(each[0], each[-1] + 1)}]
    expected = (held[0], held[-1]) if held and end <= max(kept) else None
    assert token_span(start, end, places) == expected
    if expected:
        assert 0 < expected[0] <= expected[1] < len(places) - 1  # not [CLS], not [SEP]


def test_token_spans_of_a_text_that_was_cut():
    places = TOKENIZER.rematch("天地天", TOKENIZER.tokenize("天地天", maxlen=4))
    assert token_span(0, 1, places) == (1, 2)
    assert token_span(1, 2, places) is None and token_span(2, 2, places) is None
    assert token_span(0, 0, [[], []]) is None
