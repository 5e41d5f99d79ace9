"""What losses and span layers cost: sparse labels, CRF or GlobalPointer, whole-batch losses.

    python benchmarks/losses.py                     # ours alone
    python benchmarks/losses.py --peer PYTHON       # GlobalPointer beside bert4keras' as well
    python benchmarks/losses.py --size tiny --rounds 1 --repeats 2      # does it all still run?

PYTHON is the interpreter of an environment with bert4keras and tf-keras (README.md says how to
make one). Within a row everything is compared with its first line, in this run:

- ZLPR with dense and with sparse labels, on the shapes of relation extraction (batch 64, 50 types,
  128 tokens; the batch is smaller where memory is short): loss and gradient alone, and a training
  step of a GlobalPointer head on given states;
- a training step of GlobalPointer (batch 16, 256 tokens, 10 types) with dense and sparse labels,
  beside bert4keras';
- a training step of a CRF beside GlobalPointer's, same states, same number of types;
- CoSENT, InfoNCE and FlatNCE over a batch of 2048: loss and gradient.

Every measurement is a process of its own, and in each round all take their turn (A B C, A B C).
Ratios are medians over rounds of line / first line within the round; "MB" is the peak above what
the imports took: data, compiling and the step.
"""

import argparse
import os
import statistics
import sys

from comparing import add_options, ask, failure, find_participants

SCRIPTS = {"ours": "ours_losses.py", "bert4keras": "bert4keras_losses.py"}
# row -> [(line, participant, task, kind)]; ratios are to the first line
ROWS = {
    "ZLPR of relations: loss and gradient": [
        ("sparse labels", "ours", "spans loss", "sparse"),
        ("dense labels", "ours", "spans loss", "dense"),
    ],
    "ZLPR of relations: training step of the head": [
        ("sparse labels", "ours", "relation step", "sparse"),
        ("dense labels", "ours", "relation step", "dense"),
    ],
    "GlobalPointer 16 x 256 x 10: training step": [
        ("ours, dense labels", "ours", "span step", "dense"),
        ("ours, sparse labels", "ours", "span step", "sparse"),
        ("bert4keras, dense labels", "bert4keras", "span step", "dense"),
    ],
    "CRF and GlobalPointer: training step": [
        ("GlobalPointer, sparse", "ours", "span step", "sparse"),
        ("CRF", "ours", "tagging step", "crf"),
    ],
    "a batch of 2048 sentences: loss and gradient": [
        ("InfoNCE (SimCSE)", "ours", "sentence loss", "InfoNCE"),
        ("FlatNCE", "ours", "sentence loss", "FlatNCE"),
        ("CoSENT", "ours", "sentence loss", "CoSENT"),
    ],
}


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--peer", metavar="PYTHON", help="interpreter with bert4keras and tf-keras")
    add("--xla", choices=["off", "on", "both"], default="both")
    add("--only", help="rows whose name holds this text")
    add("--size", choices=["full", "tiny"], default="full")
    add("--batch", type=int, default=64, help="of the relations, at most (default 64)")
    add_options(parser, repeats=5)
    arguments = parser.parse_args()
    arguments.python = {"ours": sys.executable}
    if arguments.peer:
        arguments.python["bert4keras"] = os.path.expanduser(arguments.peer)
    arguments.batch = min(arguments.batch, fitting_batch()) if arguments.size == "full" else 2
    return arguments


def fitting_batch(bytes_per_row=50 * 128 * 128 * 4, copies=15):
    """Rows of relations whose logits fit into memory so many times."""
    try:
        pages = os.sysconf("SC_AVPHYS_PAGES")
    except (ValueError, OSError):
        return 16
    return max(pages * os.sysconf("SC_PAGE_SIZE") // (copies * bytes_per_row), 1)


def measure(arguments, lines, xla):
    """{line: [answer of each round]}; in a round every line has its turn."""
    settings = {key: getattr(arguments, key) for key in ("size", "batch", "warmup", "repeats")}
    answers = {line: [] for line, *_ in lines}
    for _ in range(arguments.rounds):
        for line, name, task, kind in lines:
            request = {"task": task, "kind": kind, "xla": xla, **settings}
            answers[line].append(ask(arguments, name, request, SCRIPTS))
    return answers


def summary(answers, first):
    """(seconds, ratio, MB, MB ratio) as medians over rounds, or the first error."""
    for answer in answers:
        if "seconds" not in answer:
            return failure(answer)
    seconds = [statistics.median(answer["seconds"]) for answer in answers]
    peaks = [answer["peak_mb"] for answer in answers]
    result = [statistics.median(seconds), None, statistics.median(peaks), None]
    if all("seconds" in answer for answer in first):
        of_first = [statistics.median(answer["seconds"]) for answer in first]
        result[1] = statistics.median(a / b for a, b in zip(seconds, of_first))
        memory = [max(answer["peak_mb"], 1) for answer in first]
        result[3] = statistics.median(a / b for a, b in zip(peaks, memory))
    return result


def print_row(row, lines, answers):
    print(f"\n{row}\n  {'':26}{'seconds':>9}{'ratio':>7}{'MB':>7}{'ratio':>7}")
    for line, *_ in lines:
        found = summary(answers[line], answers[lines[0][0]])
        if isinstance(found, str):
            print(f"  {line:26}{found}")
            continue
        cells = ["-" if value is None else format(value, form)
                 for value, form in zip(found, (".4f", ".2f", ".0f", ".2f"))]  # fmt: skip
        print(f"  {line:26}{cells[0]:>9}{cells[1]:>7}{cells[2]:>7}{cells[3]:>7}", flush=True)


def main():
    arguments = parse_arguments()
    found = find_participants(arguments, SCRIPTS)
    if "ours" not in found:
        sys.exit("nothing to measure: bert4keras_ext cannot be imported")
    print(f"relations: batch {arguments.batch}; {arguments.threads} threads")
    for row, lines in ROWS.items():
        if arguments.only and arguments.only not in row:
            continue
        lines = [line for line in lines if line[1] in found]
        for xla in {"off": [False], "on": [True], "both": [False, True]}[arguments.xla]:
            print_row(row + (", XLA" if xla else ""), lines, measure(arguments, lines, xla))
    print("\nratio: to the first line of its row, above 1 is slower or larger than that.")


if __name__ == "__main__":
    main()
