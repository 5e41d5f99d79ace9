"""All of CLUE, or some of it: every task with every seed, one report, one zip for the site.

Data: a folder with a folder for each task, named as CLUE's downloads are (tnews_public, ...) or
after the task (tnews).

    python examples/clue/run_all.py --data CLUE --config chinese_roberta_folder
    python examples/clue/run_all.py --data CLUE --tasks tnews wsc --seeds 1 2 3 \\
        --flags "--epochs 3" --flags-of wsc "--epochs 20 --batch-size 16"
    python examples/clue/run_all.py --smoke

Each run is a process of its own, python TASK.py --out OUT/TASK/seed-N, whose output is in log.txt
there. A run that fails is told of, and the others go on. --resume skips what is finished and goes
on with what is not. Ctrl-C, or kill, ends the present run at its next step.

Under --out: report.md, report.json, report.png (scores of all seeds beside the published ones,
time, memory), submit.zip (of each task the predictions of the seed that is best on dev, named as
the site wants them) and runs.json, what --resume goes on from.
"""

# ruff: noqa: E402 (the arguments are read before what takes seconds is imported)

import shlex
import sys
from pathlib import Path

from arguments import flags, program
from tasks import TASKS

HERE = Path(__file__).resolve().parent

# ---- config ---------------------------------------------------------------------------------


def read_arguments():
    parser = program.argument_parser(__doc__, Path("runs") / "clue", None)
    add = parser.add_argument
    add("--data", type=Path, default=flags.DATA, help="folder of the tasks' folders (%(default)s)")
    add("--tasks", nargs="+", choices=TASKS, default=list(TASKS), metavar="TASK",
        help=f"of {', '.join(TASKS)} (all)")  # fmt: skip
    add("--seeds", nargs="+", type=program.seed_number, help="(--seed alone)")
    add("--resume", action="store_true", help="skip finished runs, go on with the others")
    for name, text in (("config", "folder in Hugging Face layout, or bert_config.json"),
                       ("checkpoint", "pretrained weights; found by itself in a folder"),
                       ("vocab", "vocab.txt; found by itself beside the config")):  # fmt: skip
        add(f"--{name}", help=text)
    add("--flags", type=shlex.split, default=[], help="more flags, for all scripts, in quotes")
    add("--flags-of", nargs=2, action="append", default=[], metavar=("TASK", "FLAGS"),
        help="more flags for one of them; they come last. May be repeated")  # fmt: skip
    args = parser.parse_args()
    if args.resume and args.overwrite:
        parser.error("--resume goes on with what --overwrite drops: pass one of them")
    unknown = {task for task, _ in args.flags_of} - set(TASKS)
    if unknown:
        parser.error(f"--flags-of: expected one of {', '.join(TASKS)}, found {unknown.pop()}")
    args.seeds = args.seeds or [args.seed]
    program.checks.make_folder(args.out)
    return args


if __name__ == "__main__":  # before the imports that take seconds
    arguments = program.start(read_arguments)

import report
from runs import Runs
from tasks import find_folder

# ---- runs -----------------------------------------------------------------------------------


def command(args, task, seed, folder):
    """The words that start one script."""
    words = [sys.executable, str(HERE / f"{task.name}.py"), "--out", str(folder)]
    words += ["--seed", str(seed), "--xla", args.xla, "--precision", args.precision]
    if not (args.smoke and args.data == flags.DATA):
        words += ["--data", str(find_folder(task, args.data))]
    for name in ("config", "checkpoint", "vocab", "batch_size", "limit"):
        value = getattr(args, name)
        words += [] if value is None else [f"--{name.replace('_', '-')}", str(value)]
    words += [f"--{name}" for name in ("smoke", "recompute") if getattr(args, name)]
    own = [shlex.split(text) for name, text in args.flags_of if name == task.name]
    return words + args.flags + [word for words in own for word in words]


def main(args):
    if not args.resume:
        program.set_aside(args, [Runs.FILE, *report.FILES, *TASKS])
    with program.checks.clear_errors():
        runs = Runs(args.out)
    wanted = [(TASKS[name], seed) for name in args.tasks for seed in args.seeds]
    for number, (task, seed) in enumerate(wanted, 1):
        folder = args.out / task.name / f"seed-{seed}"
        print(f"[{number}/{len(wanted)}] {task.name}, seed {seed}: ", end="", flush=True)
        run = runs.do(task.name, seed, folder, command(args, task, seed, folder))
        print(report.line_of(run), flush=True)
        report.write(args.out, runs.all)  # after each: a run of all tasks takes hours
    failed = [run for run in runs.of(wanted) if run["status"] != "done"]
    print(f"{len(wanted) - len(failed)} of {len(wanted)} runs are done; the report is "
          f"{args.out / 'report.md'}")  # fmt: skip
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    program.run(main, arguments)
