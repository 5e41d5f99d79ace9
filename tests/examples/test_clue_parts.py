"""Functions of the CLUE scripts, without a process for each."""

import json
import sys
from types import SimpleNamespace

import pytest
from running import ROOT, check_fails, check_quiet, run_example

sys.path.append(str(ROOT / "examples" / "clue"))
import afqmc
import config
import tnews

from bert4keras_ext.checkpoints import CheckpointError
from bert4keras_ext.data import write_jsonl

TITLES = [{"label": str(n % 2), "sentence": f"第{n}条"} for n in range(6)]
PAIRS = [{"label": str(n % 2), "sentence1": f"花呗{n}", "sentence2": "额度"} for n in range(6)]


@pytest.fixture(params=["tnews", "afqmc"])
def task(request, tmp_path):
    """(module, its rows, a folder with train.json and dev.json)."""
    module, rows = {"tnews": (tnews, TITLES), "afqmc": (afqmc, PAIRS)}[request.param]
    for name in ("train", "dev"):
        write_jsonl(tmp_path / "data" / f"{name}.json", rows)
    return module, rows, tmp_path / "data"


def load(module, folder):
    args = SimpleNamespace(data=folder, smoke=False)
    return module.load_data(args), args.rows


@pytest.mark.parametrize("name", ["train", "dev", "test"])
def test_an_empty_file_is_found_before_the_training(task, name):
    module, _, folder = task
    (folder / f"{name}.json").write_bytes(b"")
    with pytest.raises(ValueError, match=rf"{name}\.json: expected rows, found an empty file"):
        load(module, folder)


def test_a_row_without_label_is_named(task):
    module, rows, folder = task
    write_jsonl(folder / "dev.json", [rows[0], {**rows[1], "label": None}])
    with pytest.raises(ValueError, match=r"dev\.json, line 2: expected a label"):
        load(module, folder)


def test_other_data_have_another_fingerprint(task):
    module, rows, folder = task
    first = load(module, folder)[1]
    assert first.startswith("6 train, 6 dev") and load(module, folder)[1] == first
    write_jsonl(folder / "train.json", rows[::-1])
    assert load(module, folder)[1] != first


def test_the_ids_of_the_test_file_are_kept(task):
    module, rows, folder = task
    assert load(module, folder)[0][-1] == list(range(6))  # dev has none
    write_jsonl(folder / "test.json", [{**row, "id": 100 + n} for n, row in enumerate(rows)])
    assert load(module, folder)[0][-1] == list(range(100, 106))


def test_a_vocabulary_larger_than_the_table(tmp_path):
    sizes = {**config.TINY_BERT, "vocab_size": 6, "max_position_embeddings": 64}
    (tmp_path / "config.json").write_text(json.dumps(sizes))
    (tmp_path / "vocab.txt").write_text("\n".join([*config.SPECIAL_TOKENS, "天", "地"]))
    args = SimpleNamespace(
        smoke=False, config=tmp_path, vocab=None, checkpoint=False, maxlen=32
    )  # fmt: skip
    with pytest.raises(ValueError, match=r"vocab\.txt: expected at most 6 tokens.*found 7") as info:
        config.base_model(args, ())
    assert not isinstance(info.value, CheckpointError)


@pytest.mark.parametrize(
    "words",
    [("--epochs", "-1"), ("--maxlen", "2"), ("--seed", "-1"), ("--batch-size", "0"),
     ("--learning-rate", "-1")],
)  # fmt: skip
def test_bad_flags(monkeypatch, capsys, words):
    monkeypatch.setattr(sys, "argv", ["tnews.py", *words])
    with pytest.raises(SystemExit):
        config.read_arguments("tnews", "", epochs=1)
    assert f"argument {words[0]}: expected" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(sys, "argv", ["afqmc.py", "--smoke", "--out", str(tmp_path / "file")])
    with pytest.raises(SystemExit, match="^afqmc.py: --out .*file: expected a folder"):
        config.read_arguments("afqmc", "", epochs=1)


def test_resume_with_other_data_is_refused(tmp_path):
    for name in ("train", "dev"):
        write_jsonl(tmp_path / "data" / f"{name}.json", PAIRS)
    arguments = ("--smoke", "--data", tmp_path / "data", "--out", tmp_path / "out", "--epochs", 1)
    check_quiet(run_example("clue/afqmc.py", *arguments, folder=tmp_path))
    write_jsonl(tmp_path / "data" / "train.json", PAIRS[::-1])
    result = run_example("clue/afqmc.py", *arguments, "--resume", folder=tmp_path)
    check_fails(result, "rows '6 train, 6 dev", "->")
