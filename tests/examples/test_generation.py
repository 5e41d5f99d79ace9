"""The scripts of examples/generation, from beginning to end on their sample rows."""

import json
import sys

import pytest
from running import ROOT, check_quiet, message_of, run_example, run_here

sys.path.append(str(ROOT / "examples" / "generation"))
import conditional_text
import flags
import question_answer_pairs
import simbert_paraphrase
import t5_pegasus_pretrain
import title_csl
import title_csl_t5

from bert4keras_ext.data import read_jsonl, write_jsonl

TRAINING = {"best.weights.h5", "curve.png", "results.json", "state.npz"}


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Runs a script for an epoch: (its folder, results.json)."""

    def run(module, *words):
        out = tmp_path / module.__name__
        run_here(module, "--smoke", "--epochs", 1, "--out", out, *words, monkeypatch=monkeypatch)
        return out, json.loads((out / "results.json").read_text(encoding="utf-8"))

    return run


def test_title_csl_as_a_user_runs_it(tmp_path):
    result = run_example("generation/title_csl.py", "--smoke", "--epochs", 1, folder=tmp_path)
    check_quiet(result)
    out = tmp_path / "runs" / "title_csl"
    assert {path.name for path in out.iterdir()} == {*TRAINING, "data", "title_csl_predict.json"}
    assert (out / "curve.png").read_bytes().startswith(b"\x89PNG")
    for word in ("ROUGE-L", "BLEU", "first clause of the abstract", "beam 3"):
        assert word in result.stdout
    results = json.loads((out / "results.json").read_text(encoding="utf-8"))
    assert results["baseline"]["rouge-l"] > 50  # the sample titles stand in the first clause
    assert results["scores"]["val_rouge-l"] == [results["best_dev_rouge_l"]]
    rows = read_jsonl(out / "title_csl_predict.json", required=("id", "text", "reference"))
    assert [row["id"] for row in rows] == list(range(16))


def test_titles_in_the_sets_own_forms_and_resumed(run, tmp_path, monkeypatch):
    """A table and JSON lines, a test file that is predicted, a second epoch."""
    data = tmp_path / "csl"
    rows = [{"title": f"第{n}题", "abst": f"关于第{n}题，有话要说"} for n in range(8)]
    write_jsonl(data / "test.json", rows[:3])
    for name in ("train", "dev"):
        lines = "".join(f"{row['title']}\t{row['abst']}\n" for row in rows)
        (data / f"{name}.tsv").write_text(lines, encoding="utf-8")
    words = ("--data", data, "--beam", 1)
    out, first = run(title_csl, *words)
    predicted = read_jsonl(out / "title_csl_predict.json")
    assert [row["reference"] for row in predicted] == ["第0题", "第1题", "第2题"]
    assert first["predicted, first clause of the abstract"]["rouge-l"] == pytest.approx(
        75
    )  # 关于第n题
    run_here(title_csl, "--smoke", *words, "--epochs", 2, "--resume", "--out", out,
             monkeypatch=monkeypatch)  # fmt: skip
    second = json.loads((out / "results.json").read_text(encoding="utf-8"))
    assert second["scores"]["loss"][:1] == first["scores"]["loss"]
    assert len(second["scores"]["val_bleu"]) == 2


def test_a_t5_is_pretrained_and_tuned(run):
    folder, results = run(t5_pegasus_pretrain)
    assert {path.name for path in folder.iterdir()} == {
        *TRAINING, "data", "config.json", "vocab.txt"
    }  # fmt: skip
    assert results["best_dev_loss"] == results["scores"]["val_loss"][0]
    assert 2 < results["loss_of_frequencies"] < 6

    out, tuned = run(title_csl_t5, "--config", folder)
    assert len(read_jsonl(out / "title_csl_t5_predict.json")) == 16
    _, anew = run(title_csl_t5, "--overwrite")
    assert tuned["scores"]["loss"] != anew["scores"]["loss"]  # the weights were taken


def test_question_answer_pairs(run):
    out, results = run(question_answer_pairs, "--samples", 2)
    assert len(read_jsonl(out / "question_answer_pairs_predict.json")) == 16
    pairs = read_jsonl(out / "pairs.json", required=("passage", "answer", "question"))
    assert results["pairs"] == len(pairs) and 0 <= results["answers_in_passage"] <= 1
    assert results["baseline"]["name"] == "clause of the answer"


def test_conditional_text(run):
    out, results = run(conditional_text, "--samples", 4)
    rows = read_jsonl(out / "conditional_text_predict.json", required=("text", "judged"))
    assert [row["class"] for row in rows] == [0] * 4 + [1] * 4
    right = [row["class"] == row["judged"] for row in rows]
    assert results["texts_in_wanted_class"] == sum(right) / 8
    assert results["guesses_in_wanted_class"] == 0.5 < results["accuracy_of_judge_on_dev"]
    assert results["dev_loss"] != results["dev_loss_with_other_classes"]


def test_simbert_paraphrase(run):
    out, results = run(simbert_paraphrase, "--samples", 3, "--sentences", 5)
    rows = read_jsonl(out / "simbert_paraphrase_predict.json")
    assert len(rows) == 5
    for row in rows:
        texts, cosines = zip(*row["paraphrases"])
        assert row["text"] not in texts and len(set(texts)) == len(texts) <= 3
        assert list(cosines) == sorted(cosines, reverse=True)
    assert results["best_dev_accuracy"] >= 0.5 <= results["common_characters"]


# ---- what is refused ------------------------------------------------------------------------

SCRIPTS = [title_csl, title_csl_t5, t5_pegasus_pretrain, question_answer_pairs, conditional_text,
           simbert_paraphrase]  # fmt: skip


@pytest.mark.parametrize("module", SCRIPTS)
def test_missing_data_are_named(module, tmp_path, monkeypatch):
    words = ("--data", tmp_path / "nowhere", "--out", tmp_path / "out")
    assert f"no data folder {tmp_path}/nowhere" in message_of(
        module, *words, monkeypatch=monkeypatch
    )


def test_a_t5_that_was_not_pretrained(tmp_path, monkeypatch):
    write_jsonl(tmp_path / "train.json", [{"title": "题", "abst": "文"}])
    write_jsonl(tmp_path / "dev.json", [{"title": "题", "abst": "文"}])
    words = ("--data", tmp_path, "--out", tmp_path / "out", "--config", tmp_path)
    line = message_of(title_csl_t5, *words, monkeypatch=monkeypatch)
    assert "no config.json" in line and "t5_pegasus_pretrain.py" in line


def test_texts_too_short_for_summaries(tmp_path, monkeypatch):
    for name in ("train", "dev"):
        (tmp_path / f"{name}.txt").write_text("短。\n" * 9, encoding="utf-8")
    words = ("--smoke", "--data", tmp_path, "--out", tmp_path / "out")
    line = message_of(t5_pegasus_pretrain, *words, monkeypatch=monkeypatch)
    assert "expected texts of at least 3 sentences" in line


def test_a_target_that_leaves_no_room(tmp_path, monkeypatch, capsys):
    words = ["title_csl.py", "--maxlen", "34", "--target-maxlen", "32", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit):
        title_csl.read_arguments()
    assert "--target-maxlen: expected at most 31" in capsys.readouterr().err


def test_missing_base_model(tmp_path, monkeypatch):
    monkeypatch.setattr(flags, "BASE_MODEL", tmp_path / "nothing")
    for name in ("train", "dev"):
        write_jsonl(tmp_path / f"{name}.json", [{"title": "题", "abst": "文"}])
    line = message_of(title_csl, "--data", tmp_path, "--out", tmp_path, monkeypatch=monkeypatch)
    assert "no base model at" in line
