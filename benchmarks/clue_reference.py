"""CLUE tasks beside a reference that is not ours: plain PyTorch on the very same batches.

    python benchmarks/clue_reference.py --torch PYTHON --config m3e-small --out runs/reference

PYTHON is the interpreter of an environment with torch and transformers. Both sides read the same
weights, and get the same rows in the same order and padding, the same learning rates and Adam, for
two epochs; new heads and dropout are drawn by each. Scores on dev are compared over three seeds:
ours is as good where its mean is no more than one standard deviation (of the reference) lower.

    afqmc     10,000 rows, accuracy
    ocnli     10,000 rows, accuracy
    cluener   10,748 rows, micro F1 of entities (types and tokens)

Every training is a process of its own; what is done is not done again (--out keeps it).
"""

import argparse
import json
import math
import os
import pathlib
import statistics
import subprocess
import sys

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
PEERS = HERE / "peers"
SHARED = pathlib.Path(os.environ.get("B4K_SHARED") or HERE.parent.parent / "shared")
DATA = SHARED / "data"
TASKS = {
    "afqmc": dict(kind="classes", classes=2, rows=10000, maxlen=128, learning_rate=5e-5,
                  train=DATA / "afqmc/train.txt", dev=DATA / "afqmc/dev.txt"),
    "ocnli": dict(kind="classes", classes=3, rows=10000, maxlen=128, learning_rate=5e-5,
                  train=DATA / "ocnli/train.10k.json", dev=DATA / "ocnli/dev.json"),
    "cluener": dict(kind="spans", classes=10, rows=10748, maxlen=128, learning_rate=1e-4,
                    train=DATA / "cluener/train.json", dev=DATA / "cluener/dev.json"),
}  # fmt: skip


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--torch", required=True, metavar="PYTHON", help="interpreter with torch, transformers")
    add("--config", type=pathlib.Path, default=SHARED / "weights" / "m3e_small_fp16",
        help="folder of a BERT in Hugging Face layout (%(default)s)")  # fmt: skip
    add("--out", type=pathlib.Path, required=True, help="folder for batches and results")
    add("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    add("--seeds", nargs="+", type=int, default=[1, 2, 3])
    add("--epochs", type=int, default=2)
    add("--rows", type=int, help="at most so many rows to train on")
    add("--threads", type=int, default=os.cpu_count())
    return parser.parse_args()


# ---- trainings ------------------------------------------------------------------------------


def prepare(arguments, name):
    """The folder of a task, with its task.json: what both sides read."""
    task = {**TASKS[name], "task": name, "config": arguments.config, "epochs": arguments.epochs}
    task |= {"batch_size": 32, "epsilon": 1e-6}
    task["rows"] = min(task["rows"], arguments.rows or task["rows"])
    task["steps"] = arguments.epochs * math.ceil(task["rows"] / task["batch_size"])
    task["warmup"] = task["steps"] // 10
    folder = arguments.out / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "task.json").write_text(json.dumps(task, indent=2, default=str))
    return folder, task


def train_both(arguments, folder, seed):
    for file, python, words in (
        (f"batches-{seed}.npz", sys.executable, ["clue_ours.py", "batches"]),
        (f"ours-{seed}.npz", sys.executable, ["clue_ours.py", "train"]),
        (f"torch-{seed}.npz", arguments.torch, ["clue_torch.py"]),
    ):
        if (folder / file).exists():
            continue
        print(f"{folder.name}, seed {seed}: {file}", file=sys.stderr, flush=True)
        command = [python, PEERS / words[0], *words[1:], folder, str(seed)]
        paths = [HERE.parent, HERE.parent / "examples", HERE.parent / "examples" / "clue"]
        path = os.pathsep.join(map(str, paths)) if python == sys.executable else ""
        threads = dict.fromkeys(("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"), arguments.threads)
        variables = {**os.environ, **{k: str(v) for k, v in threads.items()}, "PYTHONPATH": path}
        subprocess.run(command, env=variables, check=True)


# ---- scores ---------------------------------------------------------------------------------


def score(task, found, gold):
    """Percent: accuracy, or micro F1 of (row, type, first and last token)."""
    names = sorted(gold)
    if task["kind"] == "classes":
        right = np.concatenate([found[name] == gold[name] for name in names])
        return 100 * float(right.mean())
    true = total = 0
    for name in names:
        wanted = {(row, *span) for row, spans in enumerate(gold[name].tolist())
                  for span in map(tuple, spans) if span[0] >= 0}  # fmt: skip
        given = set(map(tuple, found[name].tolist()))
        true, total = true + len(wanted & given), total + len(wanted) + len(given)
    return 100 * 2 * true / total


def summary(folder, task, seeds):
    gold, rows = dict(np.load(folder / "gold.npz")), {}
    for side in ("ours", "torch"):
        files = [np.load(folder / f"{side}-{seed}.npz") for seed in seeds]
        rows[side] = {
            "scores": [score(task, file, gold) for file in files],
            "last_losses": [float(file["losses"][-50:].mean()) for file in files],
            "seconds": [float(file["seconds"]) for file in files],
        }
    return rows


def line_of(name, rows):
    cells = [name]
    for side in ("ours", "torch"):
        scores = rows[side]["scores"]
        spread = f" ± {statistics.stdev(scores):.2f}" if len(scores) > 1 else ""
        cells.append(f"{statistics.fmean(scores):.2f}{spread} "
                     f"({', '.join(f'{x:.2f}' for x in scores)})")  # fmt: skip
    ratios = [b / a for a, b in zip(rows["ours"]["seconds"], rows["torch"]["seconds"])]
    return f"| {' | '.join([*cells, f'{statistics.median(ratios):.2f}'])} |"


def main():
    arguments, results = parse_arguments(), {}
    print("| task | ours | PyTorch | time, PyTorch / ours |\n| --- | --- | --- | --- |", flush=True)
    for name in arguments.tasks:
        folder, task = prepare(arguments, name)
        for seed in arguments.seeds:
            train_both(arguments, folder, seed)
        results[name] = summary(folder, task, arguments.seeds)
        print(line_of(name, results[name]), flush=True)
        (arguments.out / "results.json").write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
