"""examples/clue/run_all.py, around scripts that do nothing but leave results."""

import json
import os
import signal
import subprocess
import sys
import time
import zipfile

import pytest
from running import ROOT, environment

sys.path += [str(ROOT / "examples"), str(ROOT / "examples" / "clue")]
import report
import run_all
import tasks

# What a script leaves; FAIL in its flags ends it as an error would, WAIT until a signal comes.
SCRIPT = """
import json, pathlib, signal, sys, time
words = sys.argv[1:]
out = pathlib.Path(words[words.index("--out") + 1])
seed = int(words[words.index("--seed") + 1])
with open(out / "calls", "a") as file:
    file.write(json.dumps(words) + "\\n")
if "FAIL" in words:
    sys.exit("train.json: line 3: no label")
if "WAIT" in words and len((out / "calls").read_text().splitlines()) == 1:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(15))
    (out / "waits").touch()
    time.sleep(60)
(out / "TASK_predict.json").write_text(f"seed {seed}")
(out / "results.json").write_text(json.dumps({"score": {"name": "accuracy", "value": seed / 10}}))
"""


@pytest.fixture
def scripts(tmp_path):
    folder = tmp_path / "scripts"
    folder.mkdir()
    for task in tasks.TASKS:
        (folder / f"{task}.py").write_text(SCRIPT.replace("TASK", task))
    return folder


@pytest.fixture
def run(scripts, tmp_path, monkeypatch, capsys):
    """Calls run_all: (exit code, what it printed)."""

    def run(*words):
        monkeypatch.setattr(run_all, "HERE", scripts)
        words = ["run_all.py", "--out", tmp_path / "out", *words]
        monkeypatch.setattr(sys, "argv", list(map(str, words)))
        with pytest.raises(SystemExit) as info:
            run_all.main(run_all.read_arguments())
        return info.value.code, capsys.readouterr().out

    return run


def calls_of(out, task, seed):
    path = out / task / f"seed-{seed}" / "calls"
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_tasks_and_seeds_a_failure_between_them_and_the_report(run, tmp_path):
    out = tmp_path / "out"
    words = ("--tasks", "tnews", "wsc", "cluener", "--seeds", 3, 5, "--flags-of", "wsc", "FAIL")
    code, printed = run(*words)
    assert code == 1 and "4 of 6 runs are done" in printed
    assert "tnews, seed 3: accuracy 30.00" in printed
    assert "wsc, seed 5: FAILED, exit code 1: train.json: line 3: no label" in printed

    table = (out / "report.md").read_text()
    assert "| tnews | accuracy | 40.00 ± 14.14 | 3, 5 | 57.42 / 56.29 | - / 58.35 |" in table
    assert "| wsc | accuracy | failed | - |" in table and "no label" in table
    rows = {row["task"]: row for row in json.loads((out / "report.json").read_text())["tasks"]}
    assert rows["cluener"]["scores"] == {"3": 30.0, "5": 50.0}
    assert rows["cluener"]["peak_memory_bytes"] > 2**20 and rows["wsc"]["mean"] is None
    assert (out / "report.png").read_bytes().startswith(b"\x89PNG")
    with zipfile.ZipFile(out / "submit.zip") as archive:  # of the better seed, as the site says
        assert sorted(archive.namelist()) == ["cluener_predict.json", "tnews11_predict.json"]
        assert archive.read("tnews11_predict.json") == b"seed 5"
    assert not [path for path in out.iterdir() if path.name.startswith(".")]


def test_resume_does_what_is_not_done(run, tmp_path):
    out = tmp_path / "out"
    run("--tasks", "tnews", "wsc", "--flags-of", "wsc", "FAIL")
    code, printed = run("--tasks", "tnews", "wsc", "--resume")
    assert code == 0 and "from before" in printed
    assert len(calls_of(out, "tnews", 42)) == 1 and len(calls_of(out, "wsc", 42)) == 2
    assert calls_of(out, "wsc", 42)[1][-1] == "--resume"
    run("--tasks", "tnews", "--resume", "--flags", "--epochs 9")  # another command: not done
    assert calls_of(out, "tnews", 42)[1][-3:] == ["--epochs", "9", "--resume"]
    assert "| wsc | accuracy | 420.00 |" in (out / "report.md").read_text()  # still in the report


def test_a_new_run_moves_the_former_one_aside(run, tmp_path):
    run("--tasks", "c3")
    code, printed = run("--tasks", "afqmc")
    assert code == 0 and "former-1" in printed
    assert (tmp_path / "out" / "former-1" / "c3" / "seed-42" / "results.json").exists()
    assert not (tmp_path / "out" / "c3").exists()


def test_flags_and_data_reach_the_scripts(run, tmp_path):
    data = tmp_path / "CLUE"
    (data / "cluewsc2020_public").mkdir(parents=True)
    run("--tasks", "wsc", "chid", "--data", data, "--config", "bert", "--precision",
        "mixed_bfloat16", "--recompute", "--batch-size", 8, "--limit", 9,
        "--flags", "--epochs 3", "--flags-of", "wsc", "--epochs 7")  # fmt: skip
    [wsc], [chid] = (calls_of(tmp_path / "out", task, 42) for task in ("wsc", "chid"))
    text = " ".join(wsc)
    for words in (f"--data {data}/cluewsc2020_public", "--config bert", "--batch-size 8",
                  "--precision mixed_bfloat16", "--limit 9", "--recompute",
                  "--epochs 3 --epochs 7"):  # fmt: skip
        assert words in text
    assert f"--data {data}/chid" in " ".join(chid) and "7" not in chid


def test_the_folder_of_a_task_is_one_with_a_training_file(tmp_path):
    task = tasks.TASKS["iflytek"]
    assert tasks.find_folder(task, tmp_path) == tmp_path / "iflytek"
    for name in ("iflytek_public", "fewclue/iflytek"):
        (tmp_path / name).mkdir(parents=True)
    assert tasks.find_folder(task, tmp_path) == tmp_path / "iflytek_public"
    (tmp_path / "fewclue/iflytek/train_0.json").touch()
    assert tasks.find_folder(task, tmp_path) == tmp_path / "fewclue/iflytek"
    (tmp_path / "iflytek_public/train.json").touch()
    assert tasks.find_folder(task, tmp_path) == tmp_path / "iflytek_public"


def test_results_that_have_no_score(run, scripts, tmp_path):
    (scripts / "csl.py").write_text("print('nothing')")
    code, printed = run("--tasks", "csl")
    assert code == 1 and "no score in results.json" in printed and "nothing" in printed


def test_a_stopped_run_goes_on(scripts, tmp_path):
    """Ctrl-C reaches the script, which saves its state; nothing is lost."""
    copy = tmp_path / "run_all.py"
    text = (ROOT / "examples" / "clue" / "run_all.py").read_text(encoding="utf-8")
    line = "HERE = Path(__file__).resolve().parent\n"
    assert line in text
    copy.write_text(text.replace(line, f"HERE = Path({str(scripts)!r})\n"), encoding="utf-8")
    paths = [str(ROOT / "examples" / "clue"), environment()["PYTHONPATH"]]
    variables = {**environment(), "PYTHONPATH": os.pathsep.join(paths)}
    words = [sys.executable, copy, "--out", tmp_path / "out", "--tasks", "csl", "--flags", "WAIT"]
    process = subprocess.Popen(
        words, env=variables, stderr=subprocess.PIPE, text=True, cwd=tmp_path,
        # Tests may themselves run where Ctrl-C is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    waits = tmp_path / "out" / "csl" / "seed-42" / "waits"
    deadline = time.monotonic() + 120
    while not waits.exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130 and "--resume goes on" in errors, errors
    subprocess.run([*words, "--resume"], env=variables, cwd=tmp_path, check=True)
    assert len(calls_of(tmp_path / "out", "csl", 42)) == 2


def test_times_and_sizes_are_readable():
    assert [report.duration(x) for x in (5, 99, 600, 7200)] == ["5 s", "99 s", "10 min", "2.0 h"]
    assert report.memory(3 * 2**30) == "3.0 GiB"


def test_a_damaged_list_of_runs_is_named(run, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "runs.json").write_text("{")
    code, _ = run("--tasks", "csl", "--resume")
    assert "runs.json: expected the runs of run_all.py" in code and "\n" not in code
