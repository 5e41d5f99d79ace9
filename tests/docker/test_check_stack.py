"""check_stack.py: each check on what is right and on what is wrong; the whole of it once."""

import math
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import check_stack
import keras
import make_constraints
import pytest
from check_stack import Row

ROOT = Path(__file__).resolve().parents[2]


def test_versions_are_compared_as_numbers():
    assert check_stack.release("2.17.0+nv25.2") == (2, 17, 0)
    assert check_stack.at_least("Keras", "3.12.4", (3, 12)) == Row("Keras", "3.12.4")
    assert check_stack.at_least("Keras", "3.15", (3, 12)).problem is None
    old = check_stack.at_least("Keras", "3.3.2", (3, 12))
    assert old.problem == "expected 3.12 or newer, found 3.3.2"


def test_backend_and_legacy_keras():
    assert check_stack.backend("tensorflow").problem is None
    assert "found jax: unset KERAS_BACKEND" in check_stack.backend("jax").problem
    assert check_stack.legacy_keras(keras, keras) == Row("tf.keras", "is this Keras")
    older = SimpleNamespace(Model=object, __version__="2.17.0")
    row = check_stack.legacy_keras(older, keras)
    assert "2.17.0" in row.found and "TF_USE_LEGACY_KERAS=0" in row.problem


def test_what_the_image_had_is_compared():
    recorded = {"tensorflow": "2.17.0+nv25.2", "numpy": "1.26.4"}
    found = {**recorded, "keras": "3.15.1", "jieba": "0.42.1"}
    assert check_stack.unchanged(recorded, found) == Row(
        "the image", "2 of 2 packages are as they were"
    )
    wheel = check_stack.unchanged(recorded, {**found, "tensorflow": "2.17.0"})
    assert "tensorflow 2.17.0+nv25.2 -> 2.17.0" in wheel.problem and "1 of 2" in wheel.found
    beside = check_stack.unchanged(recorded, {**found, "nvidia-cudnn-cu12": "9.3"})
    assert "nvidia-cudnn-cu12 9.3 added" in beside.problem
    gone = check_stack.unchanged(recorded, {"tensorflow": "2.17.0+nv25.2"})
    assert "numpy 1.26.4 -> gone" in gone.problem


def test_requirements(monkeypatch):
    required = ["Ml_Dtypes>=0.3", "keras<4,>=3.12", 'jax>=1; extra == "jax"', "tqdm",
                'old>=1; python_version < "3"']  # fmt: skip
    monkeypatch.setattr(check_stack.metadata, "requires", lambda name: required)
    found = {"ml-dtypes": "0.3.2", "keras": "3.12.0"}
    assert check_stack.unmet_requirements("any", found) == ["tqdm (found none)"]
    found = {"ml-dtypes": "0.2", "keras": "3.3.2", "tqdm": "4"}
    unmet = check_stack.unmet_requirements("any", found)
    assert [each.split(">")[0].split("<")[0] for each in unmet] == ["Ml_Dtypes", "keras"]
    assert unmet[1].endswith("(found 3.3.2)")


def test_gpus_that_are_missing():
    assert check_stack.number_of_gpus(2, 2, True) == Row("GPUs", "2")
    assert check_stack.number_of_gpus(0, 0, False).problem is None
    assert "does not see the GPU" in check_stack.number_of_gpus(0, 0, True).problem
    assert "expected 2 GPUs or more, found 1" in check_stack.number_of_gpus(1, 2, True).problem
    assert "found 0" in check_stack.number_of_gpus(0, 1, False).problem


@pytest.mark.parametrize("losses", [[1.0, 0.9], [1.0, math.nan], [math.inf, 0.0], [1.0, 2.0]])
def test_a_loss_that_does_not_fall(losses):
    assert "expected a loss that falls" in check_stack.learned("training", losses).problem


@pytest.mark.exhaustive
def test_a_tiny_model_of_ours_learns_in_mixed_precision():
    before = keras.config.dtype_policy().name
    row = check_stack.train("mixed_bfloat16", xla=False)
    assert row.problem is None and row.name == "training, mixed_bfloat16"
    assert keras.config.dtype_policy().name == before


def test_what_a_check_raises_is_a_row():
    def packages():
        yield Row("first", "fine")
        raise ImportError("bert4keras_ext needs Keras >= 3.12\nand more")

    first, second = check_stack.rows_of(packages)
    assert first == Row("first", "fine") and second.name == "packages"
    assert second.problem == "packages: ImportError: bert4keras_ext needs Keras >= 3.12"


@pytest.mark.parametrize("problem", [None, "expected B"])
def test_table_and_exit_code(monkeypatch, capsys, problem):
    rows = [Row("long name", "A"), Row("b", "C", problem)]
    monkeypatch.setattr(check_stack, "check", lambda args: rows)
    assert check_stack.main([]) == (1 if problem else 0)
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == ["| what      | found |", "| --------- | --- |", "| long name | A |"]
    if problem:
        assert lines[3:] == ["| b         | WRONG: C |", "WRONG: expected B", "1 problems"]
    else:
        assert lines[3:] == ["| b         | C |", "All is well."]


@pytest.mark.exhaustive
def test_the_whole_here(tmp_path):
    """As a user runs it; and with constraints that this environment does not meet."""
    path = tmp_path / "constraints.txt"
    script = [sys.executable, ROOT / "docker" / "check_stack.py"]
    make_constraints.main(path)
    run = subprocess.run([*script, "--constraints", path], capture_output=True, text=True)
    assert run.returncode == 0 and "All is well." in run.stdout, run.stdout + run.stderr
    assert "| training, mixed_bfloat16, XLA | loss" in run.stdout
    path.write_text(path.read_text() + "tensorflow-text==2.0\n")
    words = ["--constraints", path, "--gpus", "99"]
    run = subprocess.run([*script, *words], capture_output=True, text=True)
    assert run.returncode == 1 and "2 problems" in run.stdout
    assert "tensorflow-text 2.0 -> gone" in run.stdout and "expected 99 GPUs" in run.stdout
