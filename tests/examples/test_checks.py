"""What examples/checks.py refuses, and what examples/reports.py leaves behind."""

import argparse
import json
import subprocess
import sys
from types import SimpleNamespace

import pytest
from running import ROOT, check_fails, command, environment

sys.path.append(str(ROOT / "examples"))
import checks
import reports


@pytest.mark.parametrize("text", ["0", "-1", "10", "2.5", "many"])
def test_a_number_out_of_bounds(text):
    with pytest.raises(argparse.ArgumentTypeError, match=f"at least 1 and at most 9, .*'{text}'"):
        checks.whole_number(1, 9)(text)


@pytest.mark.parametrize("text", ["-1e-3", "nan", "inf", "fast"])
def test_a_learning_rate_that_is_none(text):
    with pytest.raises(argparse.ArgumentTypeError, match="at least 0"):
        checks.rate(text)


def test_numbers_within_bounds():
    assert checks.whole_number(0)("0") == 0 and checks.seed_number("4294967295") == 2**32 - 1
    assert checks.rate("5e-5") == 5e-5


def test_folders_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OSError, match=rf"^--out {path}: expected .*; pass another"):
            checks.make_folder(path)


def test_a_folder_is_made_and_left_empty(tmp_path):
    checks.make_folder(tmp_path / "a" / "b")
    assert not list((tmp_path / "a" / "b").iterdir())


@pytest.mark.parametrize("data", [b"", b"\n \n"])
def test_a_file_without_rows(tmp_path, data):
    path = tmp_path / "train.json"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"train\.json: expected rows, found an empty file"):
        checks.check_text(path)


def test_another_encoding_is_named_with_a_way_out(tmp_path):
    path = tmp_path / "dev.json"
    path.write_bytes(b'{}\n{"sentence": "' + "新闻".encode("gb18030") + b'"}\n')
    with pytest.raises(ValueError, match=r"dev\.json, line 2: expected UTF-8.* iconv -f gb18030"):
        checks.check_text(path)


def test_a_row_without_label_is_named_by_its_line(tmp_path):
    path = tmp_path / "dev.json"
    path.write_text("{}\n\n{}\n{}\n")
    checks.check_labels(path, [("a", "b", 0), ("a", "b", 1)])
    with pytest.raises(ValueError, match=r"dev\.json, line 3: expected a label"):
        checks.check_labels(path, [("a", 0), ("b", None), ("c", None)])


def test_a_vocabulary_beyond_the_table():
    builder, tokenizer = (SimpleNamespace(vocab_size=size) for size in (21128, 50000))
    with pytest.raises(ValueError, match=r"v\.txt: expected at most 21128 .* c\.json, found 50000"):
        checks.check_fits(builder, tokenizer, 32, "c.json", "v.txt")


def test_more_tokens_than_positions():
    builder = SimpleNamespace(vocab_size=9, max_position=128)
    checks.check_fits(builder, SimpleNamespace(vocab_size=9), 128, "c.json", "v.txt")
    with pytest.raises(ValueError, match="--maxlen: expected at most the model's 128"):
        checks.check_fits(builder, SimpleNamespace(vocab_size=9), 129, "c.json", "v.txt")


def test_a_bad_environment_variable_is_named(tmp_path):
    variables = {**environment(), "B4K_PRECISION": "float99"}
    words = command("clue/afqmc.py", "--smoke")
    result = subprocess.run(words, cwd=tmp_path, env=variables, capture_output=True, text=True)
    check_fails(result, "B4K_PRECISION=float99", "mixed_bfloat16")


def test_json_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "results.json"
    reports.write_json(path, {"score": 1})
    with pytest.raises(TypeError):
        reports.write_json(path, {"score": object()})
    assert json.loads(path.read_text()) == {"score": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_without_matplotlib_only_the_picture_is_missing(tmp_path, monkeypatch, capsys):
    for name in ("matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)
    reports.draw_curves({"loss": {"train": [1.0]}}, tmp_path / "curve.png")
    assert "curve.png is left out" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
