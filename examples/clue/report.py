"""The report of run_all.py: report.md, report.json, report.png and submit.zip."""

import contextlib
import os
import statistics
import sys
import zipfile
from pathlib import Path

import reports
from tasks import TASKS

FILES = ["report.md", "report.json", "report.png", "submit.zip"]
HEAD = ["task", "metric", "dev", "seeds", "BERT", "RoBERTa", "time a run", "memory"]
NOTE = (
    "dev: mean over the seeds, and their standard deviation. BERT and RoBERTa: published scores\n"
    "of BERT-base and RoBERTa-wwm-ext on the test sets, CLUE's own / CLUE-bert4keras': a dev\n"
    "score is no test score, and those models have 12 layers x 768."
)


def write(folder, runs):
    """All files of the report, from what has been run so far."""
    rows = summaries(runs)
    reports.write_json(folder / "report.json", {"tasks": rows, "runs": runs})
    _write_text(folder / "report.md", markdown(rows, runs))
    pack(folder / "submit.zip", runs)
    try:
        from report_picture import draw
    except ImportError as error:  # without matplotlib
        print(f"report.png is left out: {error}", file=sys.stderr)
    else:
        draw(rows, folder / "report.png")


def summaries(runs):
    """[{task, metric, scores, mean, deviation, seconds, peak_memory_bytes}], in CLUE's order.

    Scores are in percent; mean is None where no run has ended well.
    """
    rows = []
    for name, task in TASKS.items():
        own = [run for run in runs if run["task"] == name]
        done = [run for run in own if run["status"] == "done"]
        scores = {run["seed"]: 100 * run["score"]["value"] for run in done}
        values = list(scores.values())
        rows += own and [{
            "task": name, "metric": task.metric, "scores": scores,
            "mean": statistics.fmean(values) if values else None,
            "deviation": statistics.stdev(values) if len(values) > 1 else None,
            "seconds": statistics.median(run["seconds"] for run in own),
            "peak_memory_bytes": max(run["peak_memory_bytes"] for run in own),
            "bert": task.bert, "roberta": task.roberta,
        }]  # fmt: skip
    return rows


# ---- text -----------------------------------------------------------------------------------


def markdown(rows, runs):
    lines = ["# CLUE", "", _row(HEAD), _row(["---"] * len(HEAD))]
    lines += [_row(cells(row)) for row in rows]
    lines += ["", NOTE]
    failed = [run for run in runs if run["status"] != "done"]
    if failed:
        lines += ["", "## Failed", ""]
        lines += [f"- {run['task']}, seed {run['seed']}: {run['error']}" for run in failed]
    return "\n".join(lines) + "\n"


def cells(row):
    dev = "failed" if row["mean"] is None else f"{row['mean']:.2f}"
    if row["deviation"] is not None:
        dev += f" ± {row['deviation']:.2f}"
    published = [" / ".join("-" if x is None else f"{x:.2f}" for x in row[name])
                 for name in ("bert", "roberta")]  # fmt: skip
    seeds = ", ".join(map(str, row["scores"])) or "-"
    return [row["task"], row["metric"], dev, seeds, *published, duration(row["seconds"]),
            memory(row["peak_memory_bytes"])]  # fmt: skip


def line_of(run):
    """What is printed of a run when it has ended."""
    if run["status"] != "done":
        return f"FAILED, {run['error']}"
    score = run["score"]
    end = ", from before" if run.get("skipped") else ""
    return (f"{score['name']} {100 * score['value']:.2f} ({duration(run['seconds'])}, "
            f"{memory(run['peak_memory_bytes'])}{end})")  # fmt: skip


def duration(seconds):
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def memory(size):
    return f"{size / 2**30:.1f} GiB"


def _row(cells):
    return f"| {' | '.join(cells)} |"


def _write_text(path, text):
    with _draft(path) as draft:
        draft.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def _draft(path):
    """A file beside that takes the path's name when it is whole, and is gone where it is not."""
    draft = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield draft
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


# ---- submission -----------------------------------------------------------------------------


def pack(path, runs):
    """The zip for the site: of each task the predictions of the seed that is best on dev."""
    done = [run for run in runs if run["status"] == "done"]
    best = {}
    for run in sorted(done, key=lambda run: run["score"]["value"]):
        file = Path(run["folder"]) / f"{run['task']}_predict.json"
        if file.exists():
            best[run["task"]] = file
    with _draft(path) as draft, zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED) as archive:
        for task, file in best.items():
            archive.write(file, TASKS[task].submission)
