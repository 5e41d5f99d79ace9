"""What the comparing scripts share: options, child processes and their answers, medians."""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
OURS = "ours"
SCRIPTS = {
    OURS: "ours.py",
    "bert4keras": "bert4keras_peer.py",
    "keras-hub": "keras_hub_peer.py",
    "transformers": "transformers_peer.py",
}
THREADS = "OMP_NUM_THREADS MKL_NUM_THREADS TF_NUM_INTRAOP_THREADS TF_NUM_INTEROP_THREADS".split()


def several(choices):
    """The type of an option that takes some of the choices, separated by commas."""

    def parse(text):
        items = text.split(",")
        if unknown := set(items) - set(choices):
            raise argparse.ArgumentTypeError(
                f"expected some of {', '.join(choices)}; received {', '.join(sorted(unknown))}"
            )
        return items

    return parse


def add_options(parser, repeats):
    """How often, how long, with how many threads."""
    add = parser.add_argument
    add("--rounds", type=int, default=3)
    add("--repeats", type=int, default=repeats, help="timed steps in each process")
    add("--warmup", type=int, default=3, help="steps before them (the first one compiles)")
    add("--threads", type=int, default=os.cpu_count(), help="the same for every participant")
    add("--timeout", type=float, default=900, help="seconds a single process may take")


def add_model_options(parser, participants, precisions):
    """What encoder.py and families.py choose alike."""
    add = parser.add_argument
    names = ", ".join(participants)
    add("--peer", action="append", default=[], metavar="NAME=PYTHON", help=f"NAME: {names}")
    add("--precision", type=several(precisions), default=precisions, help=",".join(precisions))
    add("--xla", type=several(["off", "on"]), default=["off", "on"], help="off,on")
    add("--size", choices=["base", "tiny"], default="base")
    add_options(parser, repeats=10)
    add("--json", type=pathlib.Path, metavar="FILE", help="write all that was measured here")


def named_interpreters(parser, items, participants):
    """["NAME=PYTHON", ...] -> {name: interpreter}."""
    interpreters = {}
    for item in items:
        name, _, python = item.partition("=")
        if name not in participants or not python:
            parser.error(
                f"--peer: expected NAME=PYTHON with NAME one of {', '.join(participants)}; "
                f"received {item}"
            )
        interpreters[name] = os.path.expanduser(python)
    return interpreters


def log(text):
    print(text, file=sys.stderr, flush=True)


def ask(arguments, name, request, scripts=SCRIPTS):
    """Runs one child process -> its answer; failures are answers with "error" or "missing"."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(HERE.parent) if name == OURS else "",
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "HF_HUB_OFFLINE": "1",
        **dict.fromkeys(THREADS, str(arguments.threads)),
    }
    command = [arguments.python[name], str(HERE / "peers" / scripts[name]), json.dumps(request)]
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=arguments.timeout
        )
        return json.loads(done.stdout.strip().splitlines()[-1])
    except subprocess.TimeoutExpired:
        return {"error": f"no answer within {arguments.timeout:.0f} s"}
    except OSError as error:
        return {"missing": str(error)}
    except (IndexError, ValueError):
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        return {"error": f"exit status {done.returncode}: {last[:200]}"}


def find_participants(arguments, scripts=SCRIPTS):
    """Probes those that have an interpreter -> {name: answer} of those that can be imported."""
    found = {}
    for name, python in arguments.python.items():
        answer = ask(arguments, name, {"task": "probe"}, scripts)
        if "versions" in answer:
            found[name] = answer
            log(f"{name}: " + ", ".join(f"{k} {v}" for k, v in answer["versions"].items()))
        else:
            log(f"{name}: skipped, {failure(answer)} (interpreter {python})")
    return found


def failure(answer):
    return answer.get("error") or answer.get("missing")


def in_words(answer):
    if "seconds" in answer:
        return f"{statistics.median(answer['seconds']):.3f} s"
    return f"failed, {failure(answer)}"


def median_or_none(values):
    values = list(values)
    return statistics.median(values) if values else None


def measure_all(arguments, found, answers, summarize, print_table):
    """Takes answers as they come: the file is up to date, and Ctrl-C prints what there is."""
    keys = ("size", "rounds", "repeats", "warmup", "threads")
    content = {"settings": {key: getattr(arguments, key) for key in keys}, "participants": found}
    results = []
    try:
        for result in answers:
            results.append(result)
            content.update(lines=summarize(results), results=results)
            if arguments.json:
                write_json(arguments.json, content)
    except KeyboardInterrupt:
        log("stopped: this is what was measured so far")
    if results:
        print_table(content["lines"])


def write_json(path, content):
    """All or nothing: a run that is stopped leaves the older file whole."""
    partial = path.with_name(path.name + ".part")
    partial.write_text(json.dumps(content, indent=1), encoding="utf-8")
    os.replace(partial, path)
