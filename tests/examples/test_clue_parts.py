"""Functions of the CLUE scripts, without a process for each."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from running import ROOT, run_here

sys.path.append(str(ROOT / "examples" / "clue"))
import afqmc
import config
import ocnli
import pretrained
import program
import tnews

from bert4keras_ext.checkpoints import CheckpointError
from bert4keras_ext.data import write_jsonl
from tests.training.limits import small_files

TITLES = [{"label": str(n % 2), "sentence": f"第{n}条"} for n in range(6)]
PAIRS = [{"label": str(n % 2), "sentence1": f"花呗{n}", "sentence2": "额度"} for n in range(6)]


@pytest.fixture(params=["tnews", "afqmc"])
def task(request, tmp_path):
    """(module, its rows, a folder with train.json and dev.json)."""
    module, rows = {"tnews": (tnews, TITLES), "afqmc": (afqmc, PAIRS)}[request.param]
    for name in ("train", "dev"):
        write_jsonl(tmp_path / "data" / f"{name}.json", rows)
    return module, rows, tmp_path / "data"


def load(module, folder, **files):
    """(train, dev, test, ids), args.rows"""
    args = SimpleNamespace(data=folder, limit=None, **files)
    *_, splits, ids = module.load_data(args)
    return (*splits, ids), args.rows


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
    sizes = {**pretrained.TINY_BERT, "vocab_size": 6, "max_position_embeddings": 64}
    (tmp_path / "config.json").write_text(json.dumps(sizes))
    (tmp_path / "vocab.txt").write_text("\n".join([*pretrained.SPECIAL_TOKENS, "天", "地"]))
    args = SimpleNamespace(
        smoke=False, config=tmp_path, vocab=None, checkpoint=False, maxlen=32
    )  # fmt: skip
    with pytest.raises(ValueError, match=r"vocab\.txt: expected at most 6 tokens.*found 7") as info:
        pretrained.base_model(args, ())
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


def test_limit_cuts_each_file(task):
    module, _, folder = task
    for limit in (4, 9):
        args = SimpleNamespace(data=folder, limit=limit)
        *_, splits, ids = module.load_data(args)
        assert [len(rows) for rows in (*splits, ids)] == [min(limit, 6)] * 4
        assert args.rows.startswith(f"{min(limit, 6)} train, {min(limit, 6)} dev")


def test_resume_and_overwrite_contradict(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["tnews.py", "--resume", "--overwrite"])
    with pytest.raises(SystemExit):
        config.read_arguments("tnews", "", epochs=1)
    assert "pass one of them" in capsys.readouterr().err


def test_loss_accuracy_and_majority_class_of_dev():
    rows = [("a", 0), ("b", 1), ("c", 1)]
    scores = config.measure(np.array([[0.5, 0.5], [0.25, 0.75], [1.0, 0.0]]), rows)
    assert scores["val_accuracy"] == pytest.approx(2 / 3)
    assert scores["val_loss"] == pytest.approx(-np.log([0.5, 0.75, 1e-7]).mean())
    assert config.majority_class(rows) == pytest.approx(2 / 3)


# ---- whole runs, in this process ------------------------------------------------------------


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Runs tnews.py with these arguments; results.json."""
    write_jsonl(tmp_path / "data" / "train.json", TITLES)
    write_jsonl(tmp_path / "data" / "dev.json", TITLES)

    def run(*words):
        words = ["--smoke", "--data", tmp_path / "data", "--out", tmp_path / "out", *words]
        run_here(tnews, *words, monkeypatch=monkeypatch)
        return json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))

    return run


def test_runs_after_a_finished_one(run, tmp_path, capsys):
    """Lengthened, refused with less, begun anew: nothing of the former run is lost in silence."""
    out = tmp_path / "out"
    first = run("--epochs", 1)
    assert first["planned_epochs"] == [1] and first["majority_class"] == 0.5
    assert set(first["scores"]) >= {"loss", "val_loss", "accuracy", "val_accuracy"}
    longer = run("--resume", "--epochs", 3)
    assert longer["planned_epochs"] == [1, 3]
    for name, values in longer["scores"].items():
        assert len(values) == 3 and values[:1] == first["scores"][name]
    assert "3 epochs in place of 1" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="tnews.py: expected at least 3 epochs.*received 2"):
        run("--resume", "--epochs", 2)

    files = {path.name: path.read_bytes() for path in out.iterdir()}
    assert run("--epochs", 1)["scores"]["loss"] == first["scores"]["loss"]
    former = {path.name: path.read_bytes() for path in (out / "former-1").iterdir()}
    assert former == files
    assert "The files of the former run are now in" in capsys.readouterr().out

    run("--epochs", 1, "--overwrite")
    (out / "state.npz").unlink()
    run("--epochs", 1, "--resume")  # begins where there is none, and still drops nothing
    assert {path.name for path in out.iterdir()} == {*files, "former-1", "former-2"}
    (out / "state.npz").write_bytes(b"")
    with pytest.raises(SystemExit, match="tnews.py: .*damaged file of 0 bytes.*delete it"):
        run("--epochs", 2, "--resume")


def test_a_full_disk_while_weights_are_written(run, tmp_path, capsys):
    """The state fits, the best weights do not; with room again --resume goes on."""
    with small_files(200_000), pytest.raises(SystemExit, match="tnews.py: File too large: free so"):
        program.run(lambda args: run("--epochs", 2), SimpleNamespace(out=tmp_path, resume=True))
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"state.npz"}
    assert len(run("--epochs", 2, "--resume")["scores"]["loss"]) == 2


def test_resume_with_something_else_is_refused(run, tmp_path):
    run("--epochs", 1)
    with pytest.raises(SystemExit, match="maxlen 128 -> 64"):
        run("--epochs", 1, "--resume", "--maxlen", 64)
    write_jsonl(tmp_path / "data" / "train.json", TITLES[::-1])
    with pytest.raises(SystemExit, match="rows '6 train, 6 dev.* -> "):
        run("--epochs", 1, "--resume")


def test_epochs_0_predicts_again(run, tmp_path):
    run("--epochs", 1)
    predictions = tmp_path / "out" / "tnews_predict.json"
    before = predictions.read_text()
    predictions.unlink()
    run("--epochs", 0)
    assert predictions.read_text() == before
    (tmp_path / "out" / "best.weights.h5").write_bytes(b"cut short")
    with pytest.raises(SystemExit, match="tnews.py: .*best.weights.h5"):
        run("--epochs", 0)


def test_pairs_without_label_are_left_out_of_files_named_by_flags(tmp_path, capsys):
    """Dropped from what is trained and scored on; predicted where dev stands in for test."""
    rows = [{**row, "label": label} for row, label in zip(PAIRS, ["-", "neutral", "entailment"])]
    write_jsonl(tmp_path / "mine.json", rows)
    args = SimpleNamespace(data=tmp_path, limit=None, train=[tmp_path / "mine.json"] * 2,
                           dev=[tmp_path / "mine.json"])  # fmt: skip
    (train, dev, test), ids = ocnli.load_data(args)
    assert [row[-1] for row in train] == [2, 1, 2, 1] and [row[-1] for row in dev] == [2, 1]
    assert [row[-1] for row in test] == [None, 2, 1] and ids == [0, 1, 2]
    assert "1 of 3 rows have no label and are left out" in capsys.readouterr().out
    write_jsonl(tmp_path / "mine.json", rows[:1])
    with pytest.raises(ValueError, match="mine.json: expected rows with labels, found none in 1"):
        ocnli.load_data(args)
