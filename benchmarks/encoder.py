"""BERT-base, random weights: how fast is bert4keras_ext beside its peers, in one run, here?

    python benchmarks/encoder.py                       # ours, and peers found in this environment
    python benchmarks/encoder.py --peer bert4keras=PYTHON --peer keras-hub=PYTHON \\
                                 --peer transformers=PYTHON --json results.json
    python benchmarks/encoder.py --only inference,training --xla off
    python benchmarks/encoder.py --size tiny --rounds 1 --repeats 2         # does it all still run?

PYTHON is the interpreter of an environment where that peer is installed (README.md says how to
make one). Measured: import; build + first forward (8 x 128); inference 8 x 128 and 1 x 512; a
training step 8 x 128 (Adam, dropout 0.1, a 2-class head on [CLS]); in float32 and mixed_bfloat16,
with XLA off and on; and the peak memory of each.

Every measurement is a process of its own. In each round all participants take their turn at a row
before the next row begins (A B C, A B C, ...), so a machine that drifts drifts under all of them.
A ratio is the median over rounds of peer / ours within the round: above 1, ours is faster.
Seconds are medians over rounds of the medians over repeats.
"""

import argparse
import statistics
import sys
import time

from comparing import (
    OURS,
    SCRIPTS,
    add_model_options,
    ask,
    find_participants,
    in_words,
    log,
    measure_all,
    median_or_none,
    named_interpreters,
    several,
)

# name -> (family chosen by --only, task of the child, shape of the batch)
TASKS = {
    "import": ("import", "import", None),
    "build + first forward 8x128": ("build", "build", (8, 128)),
    "inference 8x128": ("inference", "inference", (8, 128)),
    "inference 1x512": ("inference", "inference", (1, 512)),
    "training step 8x128": ("training", "training", (8, 128)),
}
FAMILIES = list(dict.fromkeys(family for family, _, _ in TASKS.values()))
PRECISIONS = ["float32", "mixed_bfloat16", "bfloat16"]  # the last one: weights too, inference


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--without", type=several(SCRIPTS), default=[], help="participants to leave out")
    add("--only", type=several(FAMILIES), default=FAMILIES, help=",".join(FAMILIES))
    add_model_options(parser, SCRIPTS, PRECISIONS)
    arguments = parser.parse_args()
    arguments.python = {name: sys.executable for name in SCRIPTS if name not in arguments.without}
    given = named_interpreters(parser, arguments.peer, SCRIPTS)
    arguments.python.update((name, given[name]) for name in given if name in arguments.python)
    return arguments


def plan(arguments, found):
    """The rows to compare: [(row, task, precision, [(participant, xla), ...]), ...]."""
    rows = []
    for task, (family, _, _) in TASKS.items():
        if family not in arguments.only:
            continue
        if family == "import":
            rows.append((task, task, None, [(name, False) for name in found]))
            continue
        for precision in arguments.precision:
            if precision == "bfloat16" and family != "inference":
                continue
            entries = [
                (name, xla == "on")
                for name in found
                for xla in arguments.xla
                if xla == "off" or found[name]["xla"]
            ]
            rows.append((f"{task}, {precision}", task, precision, entries))
    return rows


def run(arguments, rows):
    """Yields {"row", "participant", "xla", "round", and the child's answer}, round by round."""
    done, start = 0, time.perf_counter()
    total = arguments.rounds * sum(len(entries) for *_, entries in rows)
    settings = {key: getattr(arguments, key) for key in ("size", "warmup", "repeats")}
    for number in range(arguments.rounds):
        for row, task, precision, entries in rows:
            _, kind, shape = TASKS[task]
            for name, xla in entries:
                request = {"task": kind, "shape": shape, "precision": precision, "xla": xla}
                answer = ask(arguments, name, {**request, **settings})
                done += 1
                passed = time.perf_counter() - start
                log(
                    f"[{done}/{total}, {passed:.0f} s] round {number + 1}: {row}: "
                    f"{label(name, xla)}: {in_words(answer)}"
                )
                yield {"row": row, "participant": name, "xla": xla, "round": number, **answer}


def label(name, xla):
    return name + " + XLA" if xla else name


def summarize(rows, results):
    """Raw answers -> one line per participant of a row: seconds, ratio to ours, peak memory."""
    answers = {}
    for r in results:
        answers.setdefault((r["row"], r["participant"], r["xla"]), {})[r["round"]] = r
    lines = []
    for row, _, _, entries in rows:
        for name, xla in entries:
            mine, ours = (answers.get((row, who, xla), {}) for who in (name, OURS))
            if not mine:  # the run was stopped before its turn
                continue
            medians, reference = by_round(mine), by_round(ours)
            good = [mine[number] for number in medians]
            line = {"row": row, "participant": name, "xla": xla}
            line["seconds"] = median_or_none(medians.values())
            line["best"] = min((min(r["seconds"]) for r in good), default=None)
            line["added"] = median_or_none(r["added"][0] for r in good if "added" in r)
            line["ratio"] = median_or_none(
                medians[number] / reference[number] for number in medians if number in reference
            )
            line["peak_mb"] = median_or_none(r["peak_mb"] for r in good)
            line["error"] = next((in_words(r) for r in mine.values() if "seconds" not in r), None)
            lines.append(line)
    return lines


def by_round(answers):
    """{round: answer} -> {round: median seconds} of the rounds that succeeded."""
    return {n: statistics.median(r["seconds"]) for n, r in answers.items() if "seconds" in r}


def print_table(lines):
    width = max(len(label(line["participant"], line["xla"])) for line in lines) + 2
    row = None
    for line in lines:
        if line["row"] != row:
            row = line["row"]
            heads = f"{'seconds':>9}{'best':>9}{'peer/ours':>11}{'peak MB':>9}"
            print(f"\n{row}\n  {'':{width}}{heads}")
        name = f"  {label(line['participant'], line['xla']):{width}}"
        if line["seconds"] is None:
            print(name, line["error"])
            continue
        ratio = "-" if line["ratio"] is None else f"{line['ratio']:.2f}"
        note = f"   (a round {line['error']})" if line["error"] else ""
        if line["added"] is not None:
            note += f"   {line['added']:.3f} s of it on top of what it stands on"
        print(
            f"{name}{line['seconds']:9.3f}{line['best']:9.3f}{ratio:>11}{line['peak_mb']:9.0f}{note}"
        )
    print("\npeer/ours: against ours with the same XLA setting; above 1, ours is faster.")
    print("import: keras, tf.keras (tf_keras) or torch is what a participant stands on.")


def main():
    arguments = parse_arguments()
    found = find_participants(arguments)
    if not found:
        sys.exit("nothing to measure: no participant can be imported")
    rows = plan(arguments, found)
    answers = run(arguments, rows)
    measure_all(arguments, found, answers, lambda results: summarize(rows, results), print_table)


if __name__ == "__main__":
    main()
