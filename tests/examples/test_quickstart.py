import json
import subprocess
import sys

import pytest
from running import ROOT, check_quiet, environment, run_example

FILES = {"data", "vocab.txt", "classifier.keras", "curve.png", "results.json"}


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    folder = tmp_path_factory.mktemp("quickstart")
    return run_example("quickstart.py", "--smoke", "--xla", "off", folder=folder), folder


def test_smoke_leaves_the_promised_files(smoke):
    result, folder = smoke
    check_quiet(result)
    out = folder / "runs" / "quickstart"
    assert {path.name for path in out.iterdir()} == FILES
    assert {path.name for path in (out / "data").iterdir()} == {
        "train.json", "dev.json", "labels.json"
    }  # fmt: skip
    assert (out / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_smoke_reports_both_accuracies_and_the_reloaded_model(smoke):
    result, folder = smoke
    results = json.loads((folder / "runs/quickstart/results.json").read_text(encoding="utf-8"))
    assert results["reloaded_predictions_identical"] is True
    assert 0 <= results["dev_accuracy"] <= 1
    assert 1 / 6 <= results["majority_class"] < 0.5
    for words in ("dev accuracy", "majority class", "predictions identical", "━"):
        assert words in result.stdout


def test_the_model_loads_elsewhere_after_the_import_alone(smoke):
    path = smoke[1] / "runs/quickstart/classifier.keras"
    script = f"import keras, bert4keras_ext; keras.models.load_model({str(path)!r}).summary()"
    result = subprocess.run(
        [sys.executable, "-c", script], env=environment(), capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr


def test_help_explains():
    result = run_example("quickstart.py", "--help", folder=ROOT)
    check_quiet(result)
    for flag in ("--config", "--checkpoint", "--vocab", "--data", "--xla", "--precision", "--out"):
        assert flag in result.stdout


@pytest.mark.exhaustive
def test_the_whole_run_learns_what_no_keyword_tells(tmp_path):
    result = run_example("quickstart.py", "--out", tmp_path, folder=tmp_path)
    check_quiet(result)
    results = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert results["majority_class"] < 0.25
    assert results["dev_accuracy"] > 0.9  # keywords reach 0.6: see test_sample_data.py
    assert results["reloaded_predictions_identical"] is True
