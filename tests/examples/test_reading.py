"""The scripts that read passages, run as a user does."""

import json

import pytest
from running import check_quiet, run_example

from bert4keras_ext.data import read_squad, read_table
from bert4keras_ext.metrics import evaluate_cmrc2018
from tests.shared import shared

FILES = {"best.weights.h5", "curve.png", "results.json", "state.npz", "data"}


@pytest.mark.parametrize("script", ["extractive", "by_mlm", "by_seq2seq"])
def test_smoke_needs_nothing_and_leaves_the_promised_files(tmp_path, script):
    result = run_example(
        f"reading_comprehension/{script}.py", "--smoke", "--epochs", 1, "--show", 1, folder=tmp_path
    )
    check_quiet(result)
    out = tmp_path / "runs" / script
    predictions = {path.name for path in out.glob("*_predict.*")}
    names = {"sample_spans_predict.json"}
    if script != "extractive":
        names = {"sample_spans_predict.txt", "sample_passages_predict.txt"}
        assert "skipped 1 bad questions" in result.stderr and "entry 31" in result.stderr
    assert predictions == names
    assert {path.name for path in out.iterdir()} == {*FILES, *names}
    assert (out / "curve.png").read_bytes().startswith(b"\x89PNG")
    results = json.loads((out / "results.json").read_text(encoding="utf-8"))
    assert len(results["table"]) == 2 * len(names) and results["best_epoch"] == 1
    assert "random spans" in result.stdout and "answer: " in result.stdout
    if script == "extractive":
        check_spans(out)
    else:
        for name in names:
            rows = read_table(out / name, ("id", "answer"))
            assert rows and len({row["id"] for row in rows}) == len(rows)


def check_spans(out):
    """The official scorer takes the file, whose answers stand in their passages."""
    data = out / "data" / "sample_spans.json"
    answers = json.loads((out / "sample_spans_predict.json").read_text(encoding="utf-8"))
    passages = {row.id: row.passage for row in read_squad(data)}
    assert answers and all(answer in passages[name] for name, answer in answers.items())
    scores = evaluate_cmrc2018(out / "sample_spans_predict.json", data, strict=False)
    assert scores["total"] - scores["skipped"] == len(answers)


@pytest.mark.exhaustive
@pytest.mark.parametrize("script", ["extractive", "by_mlm", "by_seq2seq"])
def test_official_files(tmp_path, script):
    folder = shared("data")
    data = [folder / "cmrc2018" / "cmrc2018_trial.json", folder / "drcd" / "DRCD_dev.json"]
    if script != "extractive":
        data = [folder / "webqa_sogouqa" / f"{name}.json" for name in ("WebQA", "SogouQA")]
    words = ("--smoke", "--epochs", 1, "--limit", 20, "--data", *data, "--out", "out")
    check_quiet(run_example(f"reading_comprehension/{script}.py", *words, folder=tmp_path))
    suffix = "json" if script == "extractive" else "txt"
    names = {f"{path.stem}_predict.{suffix}" for path in data}
    assert {path.name for path in (tmp_path / "out").glob("*_predict.*")} == names
