import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from running import ROOT, check_quiet, command, environment, message_of, run_example, run_here

sys.path.append(str(ROOT / "examples" / "clue"))
import afqmc as afqmc_script
import c3
import chid
import cmnli
import csl
import flags
import iflytek
import ocnli
import tnews as tnews_script
import wsc

FILES = {"best.weights.h5", "curve.png", "results.json", "state.npz"}
LONG_RUN = ("--epochs", 3, "--batch-size", 4, "--save-steps", 1)  # 32 steps an epoch


def write_rows(path, rows):
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text(text, encoding="utf-8")


@pytest.fixture
def tnews(tmp_path):
    """A folder with the names and rows of CLUE's tnews_public."""
    folder = tmp_path / "tnews_public"
    folder.mkdir()
    labels = [("100", "news_story"), ("101", "news_culture"), ("116", "news_game")]
    rows = [
        {"label": label, "label_desc": name, "sentence": f"第{n}条{name}", "keywords": ""}
        for n, (label, name) in enumerate(labels * 8)
    ]
    write_rows(folder / "train.json", rows)
    write_rows(folder / "dev.json", rows[:6])
    write_rows(folder / "test.json", [
        {"id": n, "sentence": f"第{n}条", "keywords": ""} for n in range(5)
    ])  # fmt: skip
    write_rows(folder / "labels.json", [{"label": a, "label_desc": b} for a, b in labels])
    return folder


@pytest.fixture
def afqmc(tmp_path):
    """A folder with the names and rows of CLUE's afqmc_public."""
    folder = tmp_path / "afqmc_public"
    folder.mkdir()
    rows = [
        {"sentence1": f"花呗额度{n}", "sentence2": "如何提升额度", "label": str(n % 2)}
        for n in range(20)
    ]
    write_rows(folder / "train.json", rows)
    write_rows(folder / "dev.json", rows[:7])
    write_rows(folder / "test.json", [
        {"id": n, "sentence1": "借呗", "sentence2": "花呗"} for n in range(4)
    ])  # fmt: skip
    return folder


def lines_of(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def check_files(out, task):
    """What a smoke run leaves; results.json."""
    assert {path.name for path in out.iterdir()} == {*FILES, "data", f"{task}_predict.json"}
    assert (out / "curve.png").read_bytes().startswith(b"\x89PNG")
    results = json.loads((out / "results.json").read_text(encoding="utf-8"))
    assert results["task"] == task
    assert results["scores"]["val_accuracy"] == [results["best_dev_accuracy"]]
    assert results["score"] == {"name": "accuracy", "value": results["best_dev_accuracy"]}
    assert results["best_epoch"] == 1 and results["seconds"] > 0
    assert results["peak_memory_bytes"] > 2**27
    assert "--smoke" in results["command"]
    return results


def test_smoke_needs_nothing_and_leaves_the_promised_files(tmp_path):
    result = run_example("clue/tnews.py", "--smoke", "--epochs", 1, folder=tmp_path)
    check_quiet(result)
    out = tmp_path / "runs" / "tnews"
    out.joinpath(".lock").unlink(missing_ok=True)
    check_files(out, "tnews")
    assert [row["id"] for row in lines_of(out / "tnews_predict.json")] == list(range(64))


@pytest.mark.parametrize(
    "module, ids, labels",
    [
        (iflytek, range(64), {"103", "104", "107", "109", "112", "115"}),
        (cmnli, range(32), {"entailment", "contradiction", "neutral"}),
        (ocnli, range(32), {"entailment", "contradiction", "neutral"}),
        (csl, range(32), {"0", "1"}),
        (wsc, range(32), {"false", "true"}),
        (c3, range(32), {0, 1, 2, 3}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_smoke(tmp_path, monkeypatch, module, ids, labels):
    words = ["--smoke", "--epochs", 1, "--batch-size", 32, "--accumulate", 1, "--out", tmp_path]
    run_here(module, *words, monkeypatch=monkeypatch)
    check_files(tmp_path, module.__name__)
    rows = lines_of(tmp_path / f"{module.__name__}_predict.json")
    assert [list(row) for row in rows] == [["id", "label"]] * len(ids)
    assert [row["id"] for row in rows] == list(ids)
    assert {row["label"] for row in rows} <= labels


def test_smoke_of_chid(tmp_path, monkeypatch):
    words = ["--smoke", "--epochs", 1, "--batch-size", 32, "--accumulate", 1, "--out", tmp_path]
    run_here(chid, *words, monkeypatch=monkeypatch)
    results = check_files(tmp_path, "chid")
    assert "val_accuracy_one_by_one" in results["scores"]
    answers = json.loads((tmp_path / "chid_predict.json").read_text())
    wanted = json.loads((tmp_path / "data" / "dev_answer.json").read_text())
    assert list(answers) == list(wanted)
    right = sum(answers[blank] == wanted[blank] for blank in wanted) / len(wanted)
    assert right == pytest.approx(results["best_dev_accuracy"])
    for row in lines_of(tmp_path / "data" / "dev.json"):
        blanks = [
            f"#idiom{part[:6]}#" for text in row["content"] for part in text.split("idiom")[1:]
        ]
        assert len({answers[blank] for blank in blanks}) == len(blanks) == 4


def test_tnews_official_files_and_submission(tnews, tmp_path, monkeypatch):
    arguments = ("--smoke", "--epochs", 2, "--data", tnews, "--out", tmp_path / "out")
    run_here(tnews_script, *arguments, monkeypatch=monkeypatch)
    rows = lines_of(tmp_path / "out" / "tnews_predict.json")
    assert [list(row) for row in rows] == [["id", "label"]] * 5
    assert [row["id"] for row in rows] == [0, 1, 2, 3, 4]
    assert {row["label"] for row in rows} <= {"100", "101", "116"}


def test_afqmc_official_files_and_submission(afqmc, tmp_path):
    """And all flags of a recipe at once."""
    arguments = ("--smoke", "--epochs", 1, "--pooling", "avg", "--data", afqmc, "--out", "out",
                 "--optimizer", "adamw", "--accumulate", 2, "--ema", 0.9, "--layer-decay", 0.8,
                 "--multi-sample-dropout", 2, "--recompute", "--xla", "off", "--precision",
                 "mixed_bfloat16")  # fmt: skip
    check_quiet(run_example("clue/afqmc.py", *arguments, folder=tmp_path))
    rows = lines_of(tmp_path / "out" / "afqmc_predict.json")
    assert [row["id"] for row in rows] == [0, 1, 2, 3]
    assert {row["label"] for row in rows} <= {"0", "1"}


def test_afqmc_tables(afqmc, tmp_path, monkeypatch):
    for name in ("train", "dev"):
        rows = lines_of(afqmc / f"{name}.json")
        text = "".join("\t".join(row.values()) + "\n" for row in rows)
        (tmp_path / f"{name}.txt").write_text(text, encoding="utf-8")
    arguments = ("--smoke", "--epochs", 1, "--data", tmp_path, "--out", tmp_path / "out")
    run_here(afqmc_script, *arguments, monkeypatch=monkeypatch)
    assert len(lines_of(tmp_path / "out" / "afqmc_predict.json")) == 7  # the dev rows


def interrupt(task, folder, number):
    """Starts a run and sends it a signal as soon as its state lies on the disk."""
    arguments = ("--smoke", *LONG_RUN, "--out", folder / "cut")
    process = subprocess.Popen(
        command(f"clue/{task}.py", *arguments), cwd=folder, env=environment(),
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        # Tests may themselves run in a shell's background, where Ctrl-C is ignored.
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL) if number != 9 else None,
    )  # fmt: skip
    deadline = time.monotonic() + 300
    while not (folder / "cut" / "state.npz").exists():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process.pid, number)
    return process.wait(timeout=300), process.stderr.read()


def check_same_run(found, wanted, task):
    """Scores, predictions and final state equal, but for the seconds."""
    a, b = (json.loads((f / "results.json").read_text(encoding="utf-8")) for f in (found, wanted))
    for results in (a, b):
        results["scores"].pop("seconds")
    for key in ("scores", "best_dev_accuracy", "best_epoch"):
        assert a[key] == b[key]
    name = f"{task}_predict.json"
    assert (found / name).read_text() == (wanted / name).read_text()
    with np.load(found / "state.npz") as x, np.load(wanted / "state.npz") as y:
        assert x.files == y.files
        for key in set(x.files) - {"notes"}:
            np.testing.assert_array_equal(x[key], y[key])


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    "task, number", [("tnews", signal.SIGKILL), ("afqmc", signal.SIGTERM), ("tnews", signal.SIGINT)]
)
def test_a_killed_run_resumes_to_the_same_result(tmp_path, task, number):
    code, errors = interrupt(task, tmp_path, number)
    if number == signal.SIGKILL:
        assert code == -signal.SIGKILL
    else:
        assert code == 128 + number and "Traceback" not in errors
        assert f"stopped by {number.name}; the same command with --resume goes on" in errors
    assert not (tmp_path / "cut" / "results.json").exists()

    for folder in ("cut", "whole"):
        arguments = ("--smoke", *LONG_RUN, "--resume", "--out", tmp_path / folder)
        check_quiet(run_example(f"clue/{task}.py", *arguments, folder=tmp_path))
    check_same_run(tmp_path / "cut", tmp_path / "whole", task)


# ---- what is refused: in this process -------------------------------------------------------


@pytest.fixture
def message(monkeypatch, tmp_path):
    """The one line with which a script ends."""
    monkeypatch.setattr(flags, "BASE_MODEL", tmp_path / "no base model")

    def message(module, *words):
        words = [*words, "--out", tmp_path / "out"]
        return message_of(module, *words, monkeypatch=monkeypatch)

    return message


@pytest.mark.parametrize("module", [tnews_script, afqmc_script])
def test_missing_data_folder(message, module):
    name = module.__name__
    assert message(module, "--data", "nowhere").startswith(f"{name}.py: no data folder nowhere:")


def test_missing_dev_file(message, afqmc):
    (afqmc / "dev.json").unlink()
    line = message(afqmc_script, "--data", afqmc)
    assert "no dev.json or dev.txt or" in line and "train.json" in line


def test_missing_base_model(message, afqmc):
    line = message(afqmc_script, "--data", afqmc)
    assert "no base model at" in line and "--config FOLDER" in line


def test_config_file_without_its_weights(message, afqmc, tmp_path):
    (tmp_path / "bert_config.json").write_text("{}")
    line = message(afqmc_script, "--data", afqmc, "--config", tmp_path / "bert_config.json")
    assert "--checkpoint PATH" in line


def test_missing_vocabulary(message, afqmc, tmp_path):
    (tmp_path / "config.json").write_text("{}")
    assert "vocab.txt" in message(afqmc_script, "--data", afqmc, "--config", tmp_path)


@pytest.mark.parametrize("label", ["999", None])
def test_wrong_or_missing_label(message, tnews, label):
    write_rows(tnews / "dev.json", [{"label": label, "sentence": "坏"}])
    line = message(tnews_script, "--smoke", "--data", tnews)
    assert "dev.json" in line and "label" in line


def test_nothing_to_predict_with(message, tnews):
    line = message(tnews_script, "--smoke", "--data", tnews, "--epochs", 0)
    assert "train the model first" in line
