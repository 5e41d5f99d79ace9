"""Functions of the scripts that read passages, without a process for each."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from running import ROOT, message_of, run_here

sys.path.append(str(ROOT / "examples" / "reading_comprehension"))
import by_mlm
import by_seq2seq
import extractive
import keras
import passages
import pretrained
import reading
import sample_questions
import span_reading

from bert4keras_ext.data import (
    PassagesQuestion,
    SpanQuestion,
    Window,
    read_squad,
    read_webqa,
    sliding_windows,
    softmax,
)
from bert4keras_ext.tokenizers import Tokenizer

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LETTERS = "桥长九米河东西有座，。？多谁12,ab"
TOKENIZER = Tokenizer({name: number for number, name in enumerate([*SPECIAL, *LETTERS])})


def span_question(passage="河东有桥，桥长九米。", answer="九米", number=0, article="桥"):
    start = passage.index(answer)
    return SpanQuestion(f"Q{number}", "桥多长？", passage, [(answer, start)], article)


# ---- sample data ----------------------------------------------------------------------------


def test_sample_files_are_in_the_official_forms(tmp_path, caplog):
    sample_questions.write_passages(tmp_path)
    spans = read_squad(tmp_path / "sample_spans.json")
    assert len(spans) == 160 and len({row.article for row in spans}) == 20
    assert all(row.passage.count(row.question[1:-1]) == 1 for row in spans)  # 谁...？
    rows = read_webqa(tmp_path / "sample_passages.json")
    assert len(rows) == 31 and "entry 31: expected a key 'question'" in caplog.text
    answers = [bool(answer) for row in rows for _, answer in row.passages]
    assert 0.4 < np.mean(answers) < 0.8


# ---- splits ---------------------------------------------------------------------------------


def test_questions_about_one_article_stay_together():
    rows = [span_question(number=n, article=f"A{n % 10}") for n in range(40)]
    train, dev = reading.split_by_article(rows, 0.3)
    articles = [{row.article for row in part} for part in (train, dev)]
    assert not articles[0] & articles[1] and len(articles[1]) == 3
    assert sorted(train + dev) == sorted(rows)
    assert reading.split_by_article(rows[::-1], 0.3)[1] == dev[::-1]  # whatever the order
    assert {row.article for row in reading.split_by_article(rows, 0.01)[1]}  # never empty
    with pytest.raises(ValueError, match="two articles or more.*found 1: pass --dev"):
        reading.split_by_article(rows[:1], 0.5)


def test_dev_files_are_scored_on_as_they_are(tmp_path):
    for name, count in (("train", 3), ("dev", 2)):
        document = sample_questions.make_spans(count, reports=2)
        (tmp_path / f"{name}.json").write_text(json.dumps(document), encoding="utf-8")
    args = SimpleNamespace(
        data=[tmp_path / "train.json"], dev=[tmp_path / "dev.json"], limit=None, held_out=0.5
    )
    train, dev = reading.load_splits(args, read_squad)
    assert [(name, len(rows)) for name, rows in train.items()] == [("train", 6)]
    assert [(name, len(rows)) for name, rows in dev.items()] == [("dev", 4)]
    assert args.rows.startswith("6 train, 4 dev")
    args.dev, args.limit = None, 4
    train, dev = reading.load_splits(args, read_squad)
    assert len(train["train"]) == len(dev["train"]) == 2


# ---- extractive -----------------------------------------------------------------------------


def test_training_windows_have_the_answer_three_times_in_four():
    row = span_question("河东有桥，" * 6 + "桥长九米。")
    args = SimpleNamespace(maxlen=20, stride=6, batch_size=4, seed=0)
    windows = span_reading.windows_of(row, TOKENIZER, args)
    spans = [span for *_, span in windows]
    assert span_reading.NOWHERE in spans and len(set(spans)) > 1
    rng = np.random.default_rng(0)
    drawn = [span_reading.draw_window(windows, rng)[2] for _ in range(2000)]
    assert abs(np.mean([span != (0, 0) for span in drawn]) - span_reading.WITH_ANSWER) < 0.03
    assert set(drawn) == set(spans)
    always = [each for each in windows if each[2] != span_reading.NOWHERE]
    assert span_reading.draw_window(always, rng) in always

    batches = span_reading.Windows([windows] * 9, args)
    ((ids, segments, allowed), labels), *_ = batches
    for row_ids, row_allowed, label in zip(ids, allowed, labels):
        first, last = divmod(int(label), ids.shape[1])
        if label:
            assert TOKENIZER.decode(row_ids[first : last + 1]) == "九米"
        assert row_allowed[first] and row_allowed[last] and row_allowed[0]
        places = np.flatnonzero(row_allowed)[1:]
        assert row_ids[places[0] - 1] == row_ids[places[-1] + 1] == TOKENIZER._token_end_id
    first_epoch = list(batches)[0][1]
    batches.epoch = 1
    assert list(batches)[0][1].tolist() != first_epoch.tolist()  # drawn anew


def test_the_best_span_is_the_likeliest_of_all_pairs():
    row = span_question()
    (window,) = sliding_windows(TOKENIZER, row.question, row.passage, 32, 8)
    scores = np.random.default_rng(0).normal(size=(32, 32)) * 3
    scores[np.tril_indices(32, -1)] = -np.inf
    places = range(window.first, window.first + len(window.spans))
    allowed = np.isin(np.arange(32), [0, *places])
    scores[~allowed] = scores[:, ~allowed] = -np.inf
    probabilities = softmax(scores.reshape(-1)).reshape(32, 32)
    best = max((probabilities[i, j], i, j) for i in places for j in places if i <= j)
    vote = span_reading.best_span((row, window, None), scores.reshape(-1))
    assert vote[0] == pytest.approx(best[0])
    assert vote[1:] == (row.passage[slice(*window.characters(*best[1:]))], row.passage)
    empty = Window([2, 3, 3], [0, 0, 1], 2, [], (0, 0))
    assert span_reading.best_span((row, empty, None), np.zeros(9)) == (0.0, "", "")


def test_the_model_scores_spans_of_the_passage_and_of_cls():
    args = SimpleNamespace(smoke=True, config=None, maxlen=32, batch_size=2, seed=0, stride=4)
    encoder, tokenizer = pretrained.base_model(args, [LETTERS])
    model = span_reading.span_model(encoder)
    windows = span_reading.windows_of(span_question(), tokenizer, args)
    ((inputs, _),) = span_reading.Windows([windows], args)
    scores = model.predict_on_batch(inputs)[0].reshape(32, 32)
    allowed = np.flatnonzero(inputs[2][0])
    found = {(i, j) for i, j in np.argwhere(np.isfinite(scores)).tolist()}
    assert found == {(i, j) for i in allowed for j in allowed if i <= j}


def test_votes_of_windows():
    votes = [[(0.2, "甲", ""), (0.7, "乙", ""), (0.6, "甲", "")]]
    assert span_reading.answers_of([[(span_question(), None, None)]], votes) == {"Q0": "乙"}


# ---- questions with several passages --------------------------------------------------------


def passages_question(*pairs):
    return PassagesQuestion("S0", "桥多长？", list(pairs))


def test_passages_of_squads_form_are_cut_at_sentences():
    row, long = span_question(), span_question("河" * 40 + "。", "河" * 31)
    (found,) = passages.as_passages([row, long], 9)
    assert (found.id, found.question) == (row.id, row.question)
    assert found.passages == [("河东有桥，", ""), ("桥长九米。", "九米")]
    unanswered = passages_question(("河东有桥", ""))
    assert passages.as_passages([unanswered, found], 9) == [found]


def test_the_answer_in_a_passage_is_one_that_it_holds_whole():
    row = passages_question(("甲、乙；丙", "甲 丙"), ("乙", "乙"), ("丁", ""))
    assert passages.answer_in("甲；乙，丙", row) == "甲,丙"
    assert passages.answer_in("甲、乙", row) == "乙"
    assert passages.answer_in("丁", row) == ""
    draws = [passages.draw_sample(row, np.random.default_rng(seed)) for seed in range(200)]
    assert {text for text, _ in draws} == {"甲,乙,丙", "乙", "丁"}
    assert abs(np.mean([bool(answer) for _, answer in draws]) - passages.WITH_ANSWER) < 0.1


def test_rows_keep_to_their_lengths():
    lengths = by_mlm.reading_flags.Lengths(passage=6, question=4, answer=3)
    ids = passages.encode(TOKENIZER, "桥、长九米河东", "桥多长谁？", lengths)
    assert TOKENIZER.ids_to_tokens(ids) == ["[CLS]", *"桥,长九", "[SEP]", *"桥多长", "[SEP]"]
    answer = passages.encode_answer(TOKENIZER, "九米河", lengths)
    assert TOKENIZER.ids_to_tokens(answer) == [*"九米", "[SEP]"]
    assert passages.encode_answer(TOKENIZER, "", lengths) == [TOKENIZER._token_end_id]


def test_votes_of_passages_by_hand():
    votes = [(0.9, "", "p"), (0.6, "甲", "p"), (0.5, "乙", "p"), (0.5, "乙", "p")]
    # 甲: 0.36 / 1.6 = 0.225; 乙: 0.5 / 2 = 0.25
    assert passages.elect(votes) == "乙"
    assert passages.elect([(0.7, "甲", ""), *votes[2:]]) == "甲"  # 0.49 / 1.7 = 0.288
    assert passages.elect(votes[:1]) == passages.elect([]) == ""


def test_slots_are_filled_with_a_stretch_of_the_passage():
    """Against all stretches of the passage, each followed token by token."""
    end = TOKENIZER._token_end_id
    rng = np.random.default_rng(0)
    ids = [2, *rng.integers(5, 9, 12).tolist(), end, 20, end]
    passage = ids[1:13]
    for _ in range(50):
        slots = softmax(rng.normal(size=(4, 24)) * 2)
        slots[:, end] *= 0.5
        answer, chosen = [], []
        for slot in slots:
            n = len(answer)
            stretches = [passage[i : i + n + 1] for i in range(len(passage) - n)]
            nexts = {s[-1] for s in stretches if s[:-1] == answer} | {end}
            token = max(nexts, key=lambda each: slot[each])
            chosen.append(slot[token])
            if token == end:
                break
            answer.append(token)
        probability, text = by_mlm.fill_slots(TOKENIZER, ids, slots)
        assert probability == pytest.approx(np.mean(chosen))
        assert text == TOKENIZER.decode(answer)


def test_the_logits_of_the_slots_are_those_of_the_whole_model():
    args = SimpleNamespace(smoke=True, config=None, maxlen=64, batch_size=2, seed=0,
                           lengths=by_mlm.reading_flags.Lengths(40, 16, 8))  # fmt: skip
    _, model, tokenizer = pretrained.masked_language_model(args, [LETTERS])
    rows = [passages_question(("河东有桥，桥长九米", "九米")), passages_question(("河", ""))]
    (((ids, segments, places), labels),) = by_mlm.Slots(rows, tokenizer, args)
    logits = model.predict_on_batch([ids, segments, places])
    whole = keras.Model(model.inputs[:2], model.get_layer("MLM-Activation").output)
    assert logits.shape == (2, 8, tokenizer.vocab_size) and labels.shape == (2, 8)
    expected = whole.predict_on_batch([ids, segments])
    np.testing.assert_allclose(
        logits, np.take_along_axis(expected, places[..., None], axis=1), atol=1e-5
    )
    masks = np.take_along_axis(ids, places, axis=1)
    assert (masks == tokenizer._token_mask_id).all() and segments.sum() == masks.size
    assert TOKENIZER.decode([]) == "" and labels[1].tolist() == [3, *[0] * 7]


def test_a_reader_answers_with_a_stretch_of_a_passage():
    """Untrained, so that what it writes is arbitrary, but for the constraint and the votes."""
    args = SimpleNamespace(smoke=True, config=None, maxlen=64, batch_size=4, seed=0,
                           lengths=by_mlm.reading_flags.Lengths(40, 16, 8))  # fmt: skip
    transformer, tokenizer = by_seq2seq.unilm(args, [LETTERS])
    # No end token first, so that no passage drops out.
    bias = np.zeros(tokenizer.vocab_size, "float32")
    bias[tokenizer._token_end_id] = -1
    transformer.model.get_layer("MLM-Bias").set_weights([bias])
    texts = ["河东有桥桥长九米", "河西有座", "12"]
    rows = [PassagesQuestion(f"S{n}", "谁？", [(text, "") for text in texts[n:]]) for n in (0, 1)]
    reader = by_seq2seq.Reader(transformer, tokenizer, args)
    answers = reader.answers(rows, beam=2)
    assert list(answers) == ["S0", "S1"]
    for row in rows:
        assert any(answers[row.id] in text for text, _ in row.passages)
    votes = reader.votes(rows[0])
    assert [text for *_, text in votes] == texts
    assert all(0 < vote <= 1 and answer in text for vote, answer, text in votes)
    alone = PassagesQuestion("S2", "谁？", rows[0].passages[:1])
    ids = reader.prompts(alone)
    assert tokenizer.decode(reader.passage_of(ids[0])) == texts[0]
    (((tokens, segments),),) = by_seq2seq.Answers([alone], tokenizer, args)
    assert tokens[0, : len(ids[0]) + 2].tolist() == [*ids[0], tokenizer._token_end_id, 0]
    assert segments.sum() == 1 and segments[0, len(ids[0])] == 1


def test_answers_are_written_as_the_scorer_reads_them(tmp_path):
    passages.write_answers(tmp_path / "a.txt", {"10": "九\t米\n河", "11": ""})
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "10\t九 米 河\n11\t\n"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


# ---- tables ---------------------------------------------------------------------------------


def test_tables_have_straight_columns(capsys):
    reading.print_table([("a", "桥长九米", "x"), ("", "b", "长长长ab")], widths=(2, 5, 4))
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["a   桥长   x", "    九米", "    b      长长", "           长ab"]


def test_show_prints_passages_votes_and_answer(capsys):
    row = passages_question(("甲在", "甲"), ("乙在", ""))
    reading.show(row, [(0.25, "", "乙在"), (0.5, "甲", "甲在")], "甲", ["甲", "甲", "丙"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "桥多长？   (S0)"
    assert [line.split() for line in lines[3:5]] == [
        ["0.500", "甲", "甲在"],
        ["0.250", "-", "乙在"],
    ]
    assert lines[5] == "answer: 甲   expected: 甲 | 丙"


# ---- whole runs, in this process ------------------------------------------------------------


@pytest.fixture(params=[extractive, by_mlm, by_seq2seq], ids=lambda module: module.__name__)
def script(request):
    return request.param


def test_a_run_is_lengthened_and_predicts_again(script, monkeypatch, tmp_path, capsys):
    out = tmp_path / "out"

    def run(*words):
        run_here(script, "--smoke", "--out", out, *words, monkeypatch=monkeypatch)
        return json.loads((out / "results.json").read_text(encoding="utf-8"))

    first = run("--epochs", 1, "--limit", 24)
    longer = run("--resume", "--epochs", 2, "--limit", 24)
    assert longer["scores"]["loss"][:1] == first["scores"]["loss"]
    assert len(longer["scores"]["loss"]) == 2
    files = sorted(path.name for path in out.glob("sample_*_predict.*"))
    assert len(files) == (1 if script is extractive else 2)
    assert len(longer["table"]) == 2 * len(files)

    predictions = [(out / name).read_text(encoding="utf-8") for name in files]
    for name in files:
        (out / name).unlink()
    capsys.readouterr()
    run("--epochs", 0, "--limit", 24, "--show", 2)
    assert [(out / name).read_text(encoding="utf-8") for name in files] == predictions
    shown = capsys.readouterr().out
    assert shown.count("answer: ") == 2 and shown.count("vote ") == 2


# ---- what is refused ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words, message",
    [
        (["--data", "nowhere.json"], "nowhere.json: expected a data file"),
        (["--held-out", "1"], "expected a number between 0 and 1, found '1'"),
    ],
)
def test_bad_arguments(script, monkeypatch, tmp_path, capsys, words, message):
    words = ["--smoke", *words, "--out", tmp_path / "out"]
    if "--data" in words:
        assert message in message_of(script, *words, monkeypatch=monkeypatch)
        return
    with pytest.raises(SystemExit):
        run_here(script, *words, monkeypatch=monkeypatch)
    assert message in capsys.readouterr().err


def test_lengths_that_leave_no_room(monkeypatch, tmp_path, capsys):
    words = ["--maxlen", 96, "--out", tmp_path / "out"]
    with pytest.raises(SystemExit):
        run_here(by_seq2seq, *words, monkeypatch=monkeypatch)
    assert "--maxlen: expected 3 or more for the passage" in capsys.readouterr().err
