import json
import sys

import pytest
from running import ROOT, check_quiet, message_of, run_example

sys.path.append(str(ROOT / "examples"))
import optimizers_compared


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    folder = tmp_path_factory.mktemp("optimizers")
    only = "lookahead,accumulation,moving,tiger"
    return run_example("optimizers_compared.py", "--smoke", "--only", only, folder=folder), folder


@pytest.mark.exhaustive
def test_smoke_leaves_a_table_and_a_picture(smoke):
    result, folder = smoke
    check_quiet(result)
    out = folder / "runs" / "optimizers"
    assert (out / "curves.png").read_bytes().startswith(b"\x89PNG")
    results = json.loads((out / "results.json").read_text(encoding="utf-8"))
    assert list(results) == ["+ lookahead", "+ accumulation of 4", "+ moving average", "Tiger"]
    for name, scores in results.items():
        assert name in result.stdout
        assert 0 <= scores["val_accuracy"][-1] <= 1 and scores["loss"][-1] < 3
    assert results["+ lookahead"]["slots"] == pytest.approx(3, abs=0.01)
    assert results["Tiger"]["slots"] == pytest.approx(1, abs=0.01)


def test_a_name_that_is_not_there(tmp_path, monkeypatch):
    words = ("--smoke", "--out", tmp_path, "--only", "sophia")
    line = message_of(optimizers_compared, *words, monkeypatch=monkeypatch)
    assert line == "optimizers_compared.py: --only sophia: no such optimizer"
