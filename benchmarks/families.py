"""Base-size models of several families, random weights: each beside our BERT and beside its peers.

    python benchmarks/families.py                                   # ours
    python benchmarks/families.py --peer bert4keras=PYTHON --peer transformers=PYTHON --json FILE
    python benchmarks/families.py --families roformer,nezha --xla off --precision float32
    python benchmarks/families.py --size tiny --rounds 1 --repeats 2        # does it all still run?

BERT, RoFormer, NEZHA, RoFormerV2, ALBERT and the encoder of T5, each with 12 layers of width 768:
inference 8 x 128 and 1 x 512, and a training step 8 x 128 (Adam, dropout 0.1, a 2-class head on
[CLS]); in float32 and mixed_bfloat16, with XLA off and on. A family or a peer that is not there is
skipped with a message.

As in encoder.py, every measurement is a process of its own, and in each round all participants of
a row take their turn before the next row begins. A ratio is the median over rounds of the ratios
within a round; seconds are medians over rounds of the medians over repeats.
"""

import argparse
import os
import pathlib
import statistics
import sys
import time

import encoder as common

sys.path.insert(0, str(common.HERE / "peers"))
import child

PARTICIPANTS = [common.OURS, "bert4keras", "transformers"]
TASKS = {
    "inference 8x128": ("inference", (8, 128)),
    "inference 1x512": ("inference", (1, 512)),
    "training step 8x128": ("training", (8, 128)),
}


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    names = ", ".join(PARTICIPANTS)
    add("--peer", action="append", default=[], metavar="NAME=PYTHON", help=f"NAME: {names}")
    add("--families", type=several(child.FAMILIES), default=list(child.FAMILIES))
    add("--only", type=several(["inference", "training"]), default=["inference", "training"])
    precisions = ["float32", "mixed_bfloat16"]
    add("--precision", type=several(precisions), default=precisions, help=",".join(precisions))
    add("--xla", type=several(["off", "on"]), default=["off", "on"], help="off,on")
    add("--size", choices=["base", "tiny"], default="base")
    add("--rounds", type=int, default=3)
    add("--repeats", type=int, default=10, help="timed steps in each process")
    add("--warmup", type=int, default=3, help="steps before them (the first one compiles)")
    add("--threads", type=int, default=os.cpu_count(), help="the same for every participant")
    add("--timeout", type=float, default=900, help="seconds a single process may take")
    add("--json", type=pathlib.Path, metavar="FILE", help="write all that was measured here")
    arguments = parser.parse_args()
    arguments.python = {common.OURS: sys.executable}
    for item in arguments.peer:
        name, _, python = item.partition("=")
        if name not in PARTICIPANTS or not python:
            parser.error(f"--peer: expected NAME=PYTHON with NAME one of {names}; received {item}")
        arguments.python[name] = os.path.expanduser(python)
    return arguments


def several(choices):
    def parse(text):
        items = text.split(",")
        if unknown := set(items) - set(choices):
            raise argparse.ArgumentTypeError(
                f"expected some of {', '.join(choices)}; received {', '.join(sorted(unknown))}"
            )
        return items

    return parse


def find_participants(arguments):
    """{name: its families and XLA} of those that can be imported."""
    found = {}
    for name in arguments.python:
        answer = common.ask(arguments, name, {"task": "probe"})
        if "versions" not in answer:
            reason = answer.get("missing") or answer.get("error")
            common.log(f"{name}: skipped, {reason} (interpreter {arguments.python[name]})")
            continue
        found[name] = answer
        lacking = [family for family in arguments.families if family not in answer["families"]]
        note = f"; without {', '.join(lacking)}" if lacking else ""
        versions = ", ".join(f"{key} {value}" for key, value in answer["versions"].items())
        common.log(f"{name}: {versions}{note}")
    return found


def plan(arguments, found):
    """[(task, precision, xla, [(family, participant), ...]), ...]: one table each."""
    tables = []
    for task, (kind, _) in TASKS.items():
        for precision in arguments.precision:
            for xla in arguments.xla:
                entries = [
                    (family, name)
                    for family in arguments.families
                    for name, answer in found.items()
                    if family in answer["families"] and (xla == "off" or answer["xla"])
                ]
                if kind in arguments.only and entries:
                    tables.append((task, precision, xla, entries))
    return tables


def run(arguments, tables):
    """Yields the answer of every process, with what it was asked, round by round."""
    done, start = 0, time.perf_counter()
    total = arguments.rounds * sum(len(entries) for *_, entries in tables)
    settings = {key: getattr(arguments, key) for key in ("size", "warmup", "repeats")}
    for number in range(arguments.rounds):
        for task, precision, xla, entries in tables:
            kind, shape = TASKS[task]
            for family, name in entries:
                request = {
                    "task": kind, "shape": shape, "family": family, "precision": precision,
                    "xla": xla == "on", **settings,
                }  # fmt: skip
                answer = common.ask(arguments, name, request)
                done += 1
                passed = time.perf_counter() - start
                common.log(
                    f"[{done}/{total}, {passed:.0f} s] round {number + 1}: {task}, {precision}, "
                    f"XLA {xla}: {family} of {name}: {common.in_words(answer)}"
                )
                yield {
                    "task": task, "precision": precision, "xla": xla, "family": family,
                    "participant": name, "round": number, **answer,
                }  # fmt: skip


def summarize(tables, results):
    """One line for each family of a table: seconds, and ratios within rounds."""
    lines = []
    for task, precision, xla, entries in tables:
        medians = {}
        for r in results:
            if (r["task"], r["precision"], r["xla"]) == (task, precision, xla) and "seconds" in r:
                key = (r["family"], r["participant"])
                medians.setdefault(key, {})[r["round"]] = statistics.median(r["seconds"])
        bert = medians.get(("bert", common.OURS), {})
        for family, name in entries:
            mine = medians.get((family, name), {})
            ours = medians.get((family, common.OURS), {})
            lines.append({
                "task": task, "precision": precision, "xla": xla, "family": family,
                "participant": name, "seconds": common.median_or_none(mine.values()),
                "to_our_bert": ratio(mine, bert), "to_ours": ratio(mine, ours),
            })  # fmt: skip
    return lines


def ratio(mine, reference):
    return common.median_or_none(mine[n] / reference[n] for n in mine if n in reference)


def print_tables(lines):
    title = None
    for line in lines:
        if title != (title := f"{line['task']}, {line['precision']}, XLA {line['xla']}"):
            print(f"\n{title}\n  {'':26}{'seconds':>9}{'/our BERT':>11}{'/ours':>8}")
        cells = [("seconds", "9.3f"), ("to_our_bert", "11.2f"), ("to_ours", "8.2f")]
        text = "".join(
            f"{'-':>{form.split('.')[0]}}" if line[key] is None else format(line[key], form)
            for key, form in cells
        )
        print(f"  {line['family']:12}{line['participant']:14}{text}")
    print("\n/our BERT: against our BERT in the same table; /ours: above 1, ours is faster.")


def main():
    arguments = parse_arguments()
    found = find_participants(arguments)
    tables = plan(arguments, found)
    if not tables:
        sys.exit("nothing to measure: no participant has any of these families")
    keys = ("size", "rounds", "repeats", "warmup", "threads")
    content = {"settings": {key: getattr(arguments, key) for key in keys}, "participants": found}
    results = []
    try:
        for result in run(arguments, tables):
            results.append(result)
            content.update(lines=summarize(tables, results), results=results)
            if arguments.json:
                common.write_json(arguments.json, content)
    except KeyboardInterrupt:
        common.log("stopped: this is what was measured so far")
    if results:
        print_tables(content["lines"])


if __name__ == "__main__":
    main()
