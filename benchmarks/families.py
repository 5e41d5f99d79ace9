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
import statistics
import sys
import time

import comparing

sys.path.insert(0, str(comparing.HERE / "peers"))
import child

PARTICIPANTS = [comparing.OURS, "bert4keras", "transformers"]
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
    add("--families", type=comparing.several(child.FAMILIES), default=list(child.FAMILIES))
    kinds = ["inference", "training"]
    add("--only", type=comparing.several(kinds), default=kinds, help=",".join(kinds))
    comparing.add_model_options(parser, PARTICIPANTS, ["float32", "mixed_bfloat16"])
    arguments = parser.parse_args()
    given = comparing.named_interpreters(parser, arguments.peer, PARTICIPANTS)
    arguments.python = {comparing.OURS: sys.executable, **given}
    return arguments


def log_what_is_lacking(arguments, found):
    for name, answer in found.items():
        lacking = [family for family in arguments.families if family not in answer["families"]]
        if lacking:
            comparing.log(f"{name}: without {', '.join(lacking)}")


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
                answer = comparing.ask(arguments, name, request)
                done += 1
                passed = time.perf_counter() - start
                comparing.log(
                    f"[{done}/{total}, {passed:.0f} s] round {number + 1}: {task}, {precision}, "
                    f"XLA {xla}: {family} of {name}: {comparing.in_words(answer)}"
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
        bert = medians.get(("bert", comparing.OURS), {})
        for family, name in entries:
            mine = medians.get((family, name), {})
            ours = medians.get((family, comparing.OURS), {})
            lines.append({
                "task": task, "precision": precision, "xla": xla, "family": family,
                "participant": name, "seconds": comparing.median_or_none(mine.values()),
                "to_our_bert": ratio(mine, bert), "to_ours": ratio(mine, ours),
            })  # fmt: skip
    return lines


def ratio(mine, reference):
    return comparing.median_or_none(mine[n] / reference[n] for n in mine if n in reference)


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
    found = comparing.find_participants(arguments)
    log_what_is_lacking(arguments, found)
    tables = plan(arguments, found)
    if not tables:
        sys.exit("nothing to measure: no participant has any of these families")
    answers = run(arguments, tables)

    def summary(results):
        return summarize(tables, results)

    comparing.measure_all(arguments, found, answers, summary, print_tables)


if __name__ == "__main__":
    main()
