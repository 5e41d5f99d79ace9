"""Choices, blanks and marks of the CLUE scripts, beside plain loops."""

import itertools
import json
import sys
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from running import ROOT, message_of

sys.path.append(str(ROOT / "examples" / "clue"))
import c3
import chid
import choices
import config
import csl
import wsc

from bert4keras_ext.data import Blank, ChoiceQuestion, write_jsonl
from bert4keras_ext.tokenizers import Tokenizer

ARGS = SimpleNamespace(batch_size=2, seed=1, maxlen=16)


# ---- C3's loss ------------------------------------------------------------------------------


def question(number, answer):
    return ChoiceQuestion(number, ["文"], "问", list("甲乙丙丁")[:number], answer)


def test_a_batch_of_questions():
    encode = lambda row: [[7, n] for n in range(len(row.choices))]  # noqa: E731
    data = [question(2, 1), question(4, 0), question(3, None)]
    batches = choices.Questions(data, encode, ARGS, 4)
    assert len(batches) == 2
    [((ids, segments), labels), ((last, _), unknown)] = list(batches)
    assert ids[:, :2].tolist() == [[7, 0], [7, 1], [7, 0], [7, 0], *[[7, n] for n in range(4)]]
    assert labels.tolist() == [0, 1, -1, -1, 1, 0, 0, 0] and not segments.any()
    assert last.shape[0] == 4 and unknown.tolist() == [0, 0, 0, -1]


def test_loss_and_accuracy_are_those_of_a_loop():
    rng = np.random.default_rng(0)
    counts, answers = [2, 4, 3, 4], [1, 3, 0, 2]
    scores = rng.normal(size=(4, 4)).astype("float32")
    scores[0, 2:] = 100.0  # fake ones that would win
    labels = np.array([[choices.FAKE if n >= c else float(n == a) for n in range(4)]
                       for c, a in zip(counts, answers)])  # fmt: skip
    losses, hits = [], []
    for row, count, answer in zip(scores.astype("float64"), counts, answers):
        losses.append(np.log(sum(np.exp(row[n]) for n in range(count))) - row[answer])
        hits.append(float(max(range(count), key=lambda n: row[n]) == answer))
    compiling = choices.compiling(4)
    loss = compiling["loss"](labels.ravel(), scores.reshape(16, 1))
    np.testing.assert_allclose(loss, losses, rtol=1e-5)
    [metric] = compiling["metrics"]
    metric.update_state(labels.reshape(16, 1), scores.reshape(16, 1))
    assert float(metric.result()) == pytest.approx(np.mean(hits))


def test_fake_choices_never_win():
    class Model:
        def predict(self, *_, **__):
            return np.array([0.0, -50.0, 99.0, 99.0, 1.0, 2.0, 3.0, 4.0])[:, None]

    batches = choices.Questions([question(2, 0), question(4, 0)], lambda row: [[1]], ARGS, 4)
    scores = batches.predict(Model())
    assert scores[0, 2:].tolist() == [0, 0] and scores.argmax(axis=-1).tolist() == [0, 3]
    np.testing.assert_allclose(scores.sum(axis=-1), 1)


def test_the_loss_learns_through_fit():
    """As `fit` hands labels over, with an axis or without."""
    data = [question(4, n % 4) for n in range(16)]
    encode = lambda row: [[1, 2 + (n == row.answer)] for n in range(4)]  # noqa: E731
    batches = choices.Questions(data, encode, SimpleNamespace(batch_size=4, seed=0, maxlen=2), 4)
    ids, segments = keras.Input((None,), dtype="int32"), keras.Input((None,), dtype="int32")
    x = keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(4, 4)(ids))
    model = keras.Model([ids, segments], keras.layers.Dense(1)(x))
    model.compile(keras.optimizers.Adam(0.5), **choices.compiling(4))
    history = model.fit(batches.forfit(), steps_per_epoch=4, epochs=3, verbose=0).history
    assert history["loss"][0] > 0.1 > history["loss"][-1] and history["accuracy"][-1] == 1


# ---- ChID -----------------------------------------------------------------------------------


def blank(group, answer=0, count=4, **changes):
    row = Blank("#idiom1#", "它#idiom1#！", 1, 9, [f"成语{n}" for n in range(count)], group, answer)
    return row._replace(**changes)


def best_of_all(scores):
    """The likeliest assignment, by trying each."""
    blanks, candidates = scores.shape

    def likelihood(places):
        return sum(np.log(scores[n, place]) for n, place in enumerate(places))

    return max(itertools.permutations(range(candidates), blanks), key=likelihood)


def test_assignment_is_the_best_of_all():
    rng = np.random.default_rng(3)
    sizes = [1, 3, 4, 2, 1]
    blanks = [blank(group) for group, size in enumerate(sizes) for _ in range(size)]
    scores = rng.dirichlet(np.full(4, 0.3), size=len(blanks)).clip(1e-9)
    answers = chid.assign(blanks, scores)
    for group in range(len(sizes)):
        places = [n for n, row in enumerate(blanks) if row.group == group]
        assert tuple(answers[places]) == best_of_all(scores[places])
    assert answers.tolist() != scores.argmax(axis=-1).tolist()


def test_assignment_of_more_blanks_than_candidates():
    scores = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3]])
    blanks = [blank(0, count=2)] * 3
    assert sorted(chid.assign(blanks, scores).tolist()) == [0, 0, 1]
    # The same number in another file, with other candidates, is another group.
    others = [blank(0, count=2, candidates=["甲", "乙"]), blank(0, count=2)]
    assert chid.assign(others, scores[:2]).tolist() == [0, 0]


def test_measure_of_chid():
    scores = np.array([[0.6, 0.4], [0.9, 0.1]])
    blanks = [blank(0, answer=1, count=2), blank(0, answer=0, count=2)]
    measured = chid.measure(scores, blanks)
    assert measured["val_accuracy"] == 1 and measured["val_accuracy_one_by_one"] == 0.5


def test_tokens_around_a_blank():
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused1]", *"甲乙丙"]
    tokenizer = Tokenizer({name: n for n, name in enumerate(names)})
    text = "甲#idiom000001#乙#idiom000002#丙"
    row = blank(0, text=text, start=text.rindex("#idiom"), end=len(text) - 1)
    tokens, place = chid.tokens_around(row, tokenizer, "[unused1]")
    assert tokens == ["甲", *["[MASK]"] * 4, "乙", "[unused1]", "丙"] and place == 6
    assert config.centred(tokens, place, 3) == ["乙", "[unused1]", "丙"]
    args = SimpleNamespace(blank="[unused9]", smoke=False, config=None)
    with pytest.raises(ValueError, match=r"--blank \[unused9\]: expected a token of the vocab"):
        chid.blank_token(args, tokenizer)


@pytest.mark.parametrize("room", [1, 2, 5, 9, 10, 30])
def test_centred(room):
    items = list(range(10))
    for place in items:
        found = config.centred(items, place, room)
        assert place in found and len(found) == min(room, 10)
        assert found == items[found[0] : found[-1] + 1]
        if found[0] > 0 and found[-1] < 9:
            assert abs((found[0] + found[-1]) / 2 - place) <= 0.5


# ---- WSC, CSL -------------------------------------------------------------------------------


def test_marks():
    text = "小猫跳了，它很高"
    assert wsc.mark(text, (1, 2), (5, 6)) == "小_猫_跳了，[它]很高"
    assert wsc.mark(text, (5, 6), (0, 2)) == "[小猫]跳了，_它_很高"


def test_keywords():
    assert csl.join(["甲", "乙"]) == "甲；乙"


# ---- what is refused ------------------------------------------------------------------------


def c3_files(folder, **changes):
    entry = {"question": "谁？", "choice": ["甲", "乙"], "answer": "甲", **changes}
    for kind, name in itertools.product("md", ("train", "dev")):
        text = json.dumps([[["甲"], [entry], "m-1"]])
        (folder / f"c3-{kind}-{name}.json").write_text(text)


def test_bad_c3_files(tmp_path, monkeypatch):
    def message():
        words = ["--smoke", "--data", tmp_path, "--out", tmp_path / "out"]
        return message_of(c3, *words, monkeypatch=monkeypatch)

    c3_files(tmp_path, answer=None)
    assert "c3-m-train.json, question 0 ('谁？'): expected an answer" in message()
    c3_files(tmp_path, answer="丙")
    assert "c3-m-train.json, question 0 (of passage 'm-1'): expected an answer out of" in message()
    (tmp_path / "c3-d-dev.json").unlink()
    assert "no c3-d-dev.json in" in message()


def test_bad_chid_files(tmp_path, monkeypatch):
    row = {"candidates": ["甲", "乙"], "content": ["#idiom000001#"]}
    for name in ("train", "dev"):
        write_jsonl(tmp_path / f"{name}.json", [row])
    words = ["--smoke", "--data", tmp_path, "--out", tmp_path / "out"]
    assert "put train_answer.json beside" in message_of(chid, *words, monkeypatch=monkeypatch)
    (tmp_path / "train_answer.json").write_text('{"#idiom000001#": 2}')
    line = message_of(chid, *words, monkeypatch=monkeypatch)
    assert "train.json, line 1: expected the number of one of 2 candidates" in line
