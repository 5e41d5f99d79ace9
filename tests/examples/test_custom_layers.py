import json
import subprocess
import sys

import numpy as np
import pytest
from running import ROOT, check_fails, check_quiet, environment, run_example

sys.path.append(str(ROOT / "examples"))


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    folder = tmp_path_factory.mktemp("custom_layers")
    return run_example("custom_layers.py", "--smoke", "--xla", "off", folder=folder), folder


def test_smoke_saves_and_reports(smoke):
    result, folder = smoke
    check_quiet(result)
    out = folder / "runs" / "custom_layers"
    assert {path.name for path in out.iterdir()} == {"entities.keras", "results.json"}
    results = json.loads((out / "results.json").read_text(encoding="utf-8"))
    assert results["reloaded_predictions_identical"] is True
    assert 0 <= results["span_f1"] <= 1
    for words in ("span F1", "predictions identical", "loss:"):
        assert words in result.stdout


def test_the_model_loads_where_its_classes_are_known(smoke):
    path = smoke[1] / "runs/custom_layers/entities.keras"
    script = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'examples')!r}); import custom_layers, keras;"
        f"model = keras.models.load_model({str(path)!r});"
        "assert isinstance(model.get_layer('entities'), custom_layers.WidthPointer)"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], env=environment(), capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr


def test_rows_mark_the_subjects_of_both_reports():
    import sample_data
    from custom_layers import TYPES, make_rows

    rows = make_rows(300, seed=1)
    assert rows == make_rows(300, seed=1) and len({text for text, _ in rows}) == 300
    for text, entities in rows:
        assert len(entities) == 2 and len({kind for *_, kind in entities}) == 2
        for start, end, kind in entities:
            groups = sample_data.REPORTS[TYPES[kind]]
            found = text[start : end + 1]
            events = [events for subjects, events in groups if found in subjects]
            assert any(text[end + 1 :].startswith(event) for group in events for event in group)


def test_encoding_and_f1_know_the_same_spans():
    from custom_layers import TYPES, encode, make_rows, span_f1

    rows = make_rows(5, seed=2)
    tokens, spans = encode(rows, {char: 3 for text, _ in rows for char in text})
    scores = np.full((5, len(TYPES), tokens.shape[1], tokens.shape[1]), -1.0)
    for b, kind, k in np.ndindex(spans.shape[:3]):
        if spans[b, kind, k].any():
            scores[(b, kind, *spans[b, kind, k])] = 1.0
    assert span_f1(scores, rows) == 1.0
    (start, end, kind), *_ = rows[0][1]
    scores[0, kind, start + 1, end + 1] = -1.0
    assert span_f1(scores, rows) == pytest.approx(2 * 9 / 19)


def test_help_explains():
    result = run_example("custom_layers.py", "--help", folder=ROOT)
    check_quiet(result)
    for flag in ("--out", "--rows", "--epochs", "--xla", "--precision", "--smoke"):
        assert flag in result.stdout


def test_bad_numbers(tmp_path):
    result = run_example("custom_layers.py", "--rows", "0", folder=tmp_path)
    check_fails(result, "--rows expects 1 or more, received 0")


@pytest.mark.exhaustive
def test_the_whole_run_finds_the_entities(tmp_path):
    result = run_example("custom_layers.py", "--xla", "off", "--out", tmp_path, folder=tmp_path)
    check_quiet(result)
    results = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert results["span_f1"] > 0.98
    assert results["reloaded_predictions_identical"] is True
