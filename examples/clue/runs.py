"""The runs of run_all.py: each a process, remembered in runs.json as soon as it has ended."""

import json
import os
import signal
import subprocess
import time
from collections import deque

import reports

TAIL = 5  # lines of a log that say why a run failed


class Runs:
    """What was run: `all` is a list of dicts with

    task, seed, status ("done", "failed"), command, seconds, peak_memory_bytes, folder, and of a
    finished run score {"name", "value"}, of a failed one error.

    Args:
        folder: that has runs.json, or will have.
    """

    FILE = "runs.json"

    def __init__(self, folder):
        self.path = folder / self.FILE
        self.all = []
        if self.path.exists():
            try:
                self.all = json.loads(self.path.read_text(encoding="utf-8"))
            except ValueError as error:
                raise ValueError(
                    f"{self.path}: expected the runs of run_all.py, found no JSON ({error}): "
                    "remove it, or leave --resume out"
                ) from None

    def find(self, task, seed):
        return next((r for r in self.all if (r["task"], r["seed"]) == (task, seed)), None)

    def of(self, wanted):
        return [self.find(task.name, seed) for task, seed in wanted]

    def do(self, task, seed, folder, command):
        """Runs one script, unless the same command has been done; the dict of the run."""
        former = self.find(task, seed)
        if former and former["status"] == "done" and former["command"] == command:
            return {**former, "skipped": True}
        folder.mkdir(parents=True, exist_ok=True)
        began = time.monotonic()
        code, peak = run_process([*command, "--resume"], folder / "log.txt")
        run = {
            "task": task, "seed": seed, "folder": str(folder), "command": command,
            "seconds": round(time.monotonic() - began, 1), "peak_memory_bytes": peak,
            **outcome(folder, code),
        }  # fmt: skip
        if former:
            run["seconds"] += former["seconds"] if former["command"] == command else 0
            self.all.remove(former)
        self.all.append(run)
        reports.write_json(self.path, self.all)
        return run


def run_process(command, log):
    """(exit code, peak of memory in bytes); what it prints is added to the log.

    A signal that stops this process is passed on, and the process waited for: it saves its state.
    """
    with open(log, "ab") as file:
        # In a session of its own, Ctrl-C reaches it from here alone.
        process = subprocess.Popen(command, stdout=file, stderr=file, start_new_session=True)
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except KeyboardInterrupt:
            process.send_signal(signal.SIGTERM)
            process.wait()
            raise
    process.returncode = os.waitstatus_to_exitcode(status)  # which Popen did not see
    return process.returncode, usage.ru_maxrss * 1024


def outcome(folder, code):
    """Status and score of a run that has ended, or its error."""
    try:
        results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
        score = results["score"]
    except (OSError, ValueError, KeyError) as error:
        score = error
    if code == 0 and isinstance(score, dict):
        return {"status": "done", "score": score}
    why = f"exit code {code}" if code else f"no score in results.json ({score!r})"
    return {"status": "failed", "error": f"{why}: {last_lines(folder / 'log.txt')}"}


def last_lines(log):
    """The last lines of a log that are no progress bar."""
    with open(log, encoding="utf-8", errors="replace") as file:
        lines = (line.rsplit("\r", 1)[-1].strip() for line in file)
        lines = deque((line for line in lines if line and "\b" not in line), maxlen=TAIL)
    return " | ".join(lines) or "it printed nothing"
