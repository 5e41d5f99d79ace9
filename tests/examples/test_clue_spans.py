"""cmrc2018.py and cluener.py: whole runs in this process, and their parts."""

import json
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
from running import ROOT, command, environment, message_of

sys.path.append(str(ROOT / "examples" / "clue"))
import cluener
import cmrc2018
import flags
import sample_entities
import sample_questions
from arguments import read_arguments

from bert4keras_ext.data import cluener_label, read_cluener, read_jsonl, read_squad, write_jsonl
from bert4keras_ext.metrics import evaluate_cmrc2018
from tests.shared import shared

FILES = {"best.weights.h5", "curve.png", "results.json", "state.npz"}
MODULES = {"cmrc2018": cmrc2018, "cluener": cluener}


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Runs a script with these arguments; results.json."""
    monkeypatch.setattr(flags, "BASE_MODEL", tmp_path / "no base model")
    monkeypatch.setattr(flags, "DATA", tmp_path / "no data")

    def run(task, *words):
        words = ("--smoke", "--limit", "48", "--out", tmp_path / "out", *words)
        monkeypatch.setattr(sys, "argv", [f"{task}.py", *map(str, words)])
        MODULES[task].main(read_arguments(task, "", epochs=1, maxlen=64))
        return json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))

    return run


@pytest.mark.parametrize("task, metric", [("cmrc2018", "EM"), ("cluener", "F1")])
def test_smoke_leaves_the_promised_files_and_resumes(run, tmp_path, task, metric):
    out = tmp_path / "out"
    first = run(task)
    assert {path.name for path in out.iterdir()} == {*FILES, "data", f"{task}_predict.json"}
    assert (out / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert first["task"] == task and first["best_epoch"] == 1
    assert first["score"] == {"name": metric, "value": first[f"best_dev_{metric.lower()}"]}
    assert first["scores"][f"val_{metric.lower()}"] == [first["score"]["value"]]
    assert 0 <= first["score"]["value"] <= 1 and first["settings"]["rows"].startswith("48 train")

    longer = run(task, "--resume", "--epochs", 2)
    assert longer["planned_epochs"] == [1, 2]
    for name, values in longer["scores"].items():
        assert len(values) == 2 and values[:1] == first["scores"][name]


# ---- CMRC2018 -------------------------------------------------------------------------------


def write_squad(folder, **articles):
    """FOLDER/NAME.json with so many articles of two questions each."""
    folder.mkdir(exist_ok=True)
    for name, number in articles.items():
        document = sample_questions.make_spans(number, seed=number, reports=2)
        (folder / f"{name}.json").write_text(json.dumps(document), encoding="utf-8")
    return folder


def test_cmrc2018_official_names_and_submission(run, tmp_path):
    folder = write_squad(tmp_path / "cmrc", cmrc2018_train=6, cmrc2018_dev=3, cmrc2018_test=2)
    text = (folder / "cmrc2018_test.json").read_text(encoding="utf-8")
    document = json.loads(text)
    for article in document["data"]:
        for question in article["paragraphs"][0]["qas"]:
            question["answers"] = [{"text": "FAKE", "answer_start": -1}]
    (folder / "cmrc2018_test.json").write_text(json.dumps(document), encoding="utf-8")
    run("cmrc2018", "--data", folder)
    answers = json.loads((tmp_path / "out" / "cmrc2018_predict.json").read_text(encoding="utf-8"))
    rows = read_squad(folder / "cmrc2018_test.json", answers=False)
    assert list(answers) == [row.id for row in rows]
    assert all(answers[row.id] in row.passage for row in rows)


def test_cmrc2018_scores_are_those_of_the_official_script(run, tmp_path):
    folder = write_squad(tmp_path / "cmrc", train=4, dev=3)
    results = run("cmrc2018", "--data", folder)
    scores = evaluate_cmrc2018(tmp_path / "out" / "cmrc2018_predict.json", folder / "dev.json")
    assert results["scores"]["val_em"] == [pytest.approx(scores["em"] / 100)]
    assert results["scores"]["val_f1"] == [pytest.approx(scores["f1"] / 100)]


def test_cmrc2018_trial_file_alone_is_parted_by_articles(tmp_path, capsys):
    folder = write_squad(tmp_path / "cmrc", trial=10)
    args = SimpleNamespace(data=folder, limit=None)
    train, dev, test = cmrc2018.load_data(args)
    assert (len(train), len(dev)) == (16, 4) and test == dev
    assert not {row.article for row in train} & {row.article for row in dev}
    assert "one article in five of trial.json" in capsys.readouterr().out
    args.limit = 3
    assert [len(rows) for rows in cmrc2018.load_data(args)] == [3, 3, 3]


def test_cmrc2018_what_is_refused(tmp_path, monkeypatch):
    def message(*words):
        monkeypatch.setattr(cmrc2018, "read_arguments", read_arguments, raising=False)
        words = ("--smoke", "--out", tmp_path / "out", "--data", folder, *words)
        return message_of(cmrc2018, *words, monkeypatch=monkeypatch)

    folder = tmp_path / "nowhere"
    assert "no data folder" in message()
    folder = write_squad(tmp_path / "cmrc", train=2)
    assert "no dev.json or cmrc2018_dev.json" in message()
    write_squad(folder, dev=2)
    assert "a stride from 1 to" in message("--maxlen", 16)
    document = sample_questions.make_spans(1)
    document["data"][0]["paragraphs"][0]["qas"][0]["answers"] = []
    (folder / "dev.json").write_text(json.dumps(document), encoding="utf-8")
    assert "dev.json, question SAMPLE_0_QUERY_0: expected an answer" in message()
    (folder / "dev.json").unlink()
    (folder / "train.json").rename(folder / "other.json")
    assert "no train.json or cmrc2018_train.json" in message()


# ---- CLUENER --------------------------------------------------------------------------------


def test_cluener_official_files_and_submission(run, tmp_path):
    folder = tmp_path / "cluener"
    rows = sample_entities.make_entities(24)
    write_jsonl(folder / "train.json", rows)
    write_jsonl(folder / "dev.json", rows[:4])
    write_jsonl(folder / "test.json", [{"id": 9 - n, "text": row["text"]}
                                       for n, row in enumerate(rows[4:9])])  # fmt: skip
    run("cluener", "--data", folder)
    found = read_jsonl(tmp_path / "out" / "cluener_predict.json")
    assert [list(row) for row in found] == [["id", "label"]] * 5
    assert [row["id"] for row in found] == [9, 8, 7, 6, 5]
    for row, wanted in zip(found, rows[4:9]):
        merged = {**row, "text": wanted["text"]}
        write_jsonl(tmp_path / "again.json", [merged])  # the reader checks every span
        ((text, spans),) = read_cluener(tmp_path / "again.json")
        assert cluener_label(text, spans) == row["label"]


def test_cluener_what_is_refused(tmp_path, monkeypatch):
    def message():
        words = ("--smoke", "--out", tmp_path / "out", "--data", tmp_path)
        return message_of(cluener, *words, monkeypatch=monkeypatch)

    rows = sample_entities.make_entities(6)
    write_jsonl(tmp_path / "train.json", rows)
    write_jsonl(tmp_path / "dev.json", [{"text": rows[0]["text"]}])
    assert "dev.json, line 1: expected a label in each row" in message()
    write_jsonl(tmp_path / "dev.json", [{"text": "甲", "label": {"nobody": {"甲": [[0, 0]]}}}])
    assert "dev.json, line 1: expected a label out of" in message()
    write_jsonl(
        tmp_path / "train.json", [*rows, {"text": "甲", "label": {"name": {"乙": [[0, 0]]}}}]
    )
    assert "train.json, line 7: expected '乙' from character 0 to 0" in message()


@pytest.fixture
def batches():
    args = SimpleNamespace(smoke=True, config=None, maxlen=12, batch_size=3, seed=0)
    rows = [
        ("苹果发布新系统", [(0, 1, "tech")]),
        ("甲 甲乙，甲", [(0, 0, "car"), (2, 3, "car"), (3, 3, "tech"), (5, 5, "car")]),
        ("丙" * 20, [(0, 3, "car"), (8, 12, "car")]),  # the second one is cut off
    ]
    encoder, tokenizer = cluener.config.base_model(args, (text for text, _ in rows))
    return cluener.Texts(rows, tokenizer, ["car", "tech"], args), encoder


def test_labels_of_tokens_are_the_entities(batches):
    batches, encoder = batches
    ((ids, segments), labels), *_ = batches
    assert ids.shape == segments.shape == (3, 12) and labels.shape == (3, 2, 3, 2)
    assert labels.tolist() == [
        [[[0, 0]] * 3, [[1, 2], [0, 0], [0, 0]]],
        [[[1, 1], [2, 3], [5, 5]], [[3, 3], [0, 0], [0, 0]]],
        [[[1, 4], [0, 0], [0, 0]], [[0, 0]] * 3],
    ]
    # A model that knows the labels finds the entities, all but the one that was cut off.
    scores = np.full((3, 2, 12, 12), -1.0)
    for place in np.ndindex(3, 2, 3):
        first, last = labels[place]
        scores[place[0], place[1], first, last] = 1.0 if first else 2.0
    model = SimpleNamespace(predict_on_batch=lambda inputs: scores)
    found = cluener.predict(model, batches)
    wanted = [entities for _, entities in batches.data]
    assert [sorted(each) for each in found] == [sorted(w) for w in (*wanted[:2], [(0, 3, "car")])]
    assert cluener.evaluate(model, batches) == {
        "val_f1": pytest.approx(12 / 13), "val_precision": 1.0, "val_recall": pytest.approx(6 / 7),
    }  # fmt: skip


def test_the_model_scores_no_padding_and_no_span_that_ends_before_it_begins(batches):
    batches, encoder = batches
    ((inputs, _),) = batches
    scores = cluener.entity_model(encoder, batches.types).predict_on_batch(inputs)
    lengths = (inputs[0] != 0).sum(axis=1)
    for row, length in zip(scores, lengths):
        places = np.arange(12)
        allowed = (places[:, None] <= places) & (places < length)
        assert np.array_equal(np.isfinite(row), np.broadcast_to(allowed, row.shape))


@pytest.mark.exhaustive
@pytest.mark.parametrize("task", MODULES)
def test_a_killed_run_resumes_to_the_same_result(tmp_path, task):
    words = ("--smoke", "--limit", 48, "--epochs", 2, "--batch-size", 4, "--save-steps", 1)

    def start(name, *more):
        line = command(f"clue/{task}.py", *words, *more, "--out", tmp_path / name)
        return subprocess.Popen(line, cwd=tmp_path, env=environment(), stdout=subprocess.DEVNULL)

    process = start("cut")
    while not (tmp_path / "cut" / "state.npz").exists():
        assert process.poll() is None
        time.sleep(0.01)
    time.sleep(np.random.default_rng().random())
    process.kill()
    assert process.wait(timeout=60) == -signal.SIGKILL
    assert not (tmp_path / "cut" / "results.json").exists()
    for name in ("cut", "whole"):
        assert start(name, "--resume").wait(timeout=600) == 0
    cut, whole = tmp_path / "cut", tmp_path / "whole"
    scores = [json.loads((each / "results.json").read_text(encoding="utf-8"))["scores"]
              for each in (cut, whole)]  # fmt: skip
    assert all(scores[0][name] == scores[1][name] for name in scores[1] if name != "seconds")
    name = f"{task}_predict.json"
    assert (cut / name).read_bytes() == (whole / name).read_bytes()
    with np.load(cut / "state.npz") as x, np.load(whole / "state.npz") as y:
        assert x.files == y.files
        for key in set(x.files) - {"notes"}:
            np.testing.assert_array_equal(x[key], y[key])


@pytest.mark.exhaustive
def test_official_data(run):
    run("cluener", "--data", shared("data") / "cluener")
    run("cmrc2018", "--data", shared("data") / "cmrc2018", "--overwrite")
