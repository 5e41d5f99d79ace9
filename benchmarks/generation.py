"""Writing texts, random weights: how fast is generate() beside its peers, in one run, here?

    python benchmarks/generation.py                    # ours, and peers found in this environment
    python benchmarks/generation.py --peer bert4keras=PYTHON --peer keras-hub=PYTHON \\
                                    --peer transformers=PYTHON --json results.json --plot plot.png
    python benchmarks/generation.py --only beam --models unilm --xla off
    python benchmarks/generation.py --size tiny --rounds 1 --repeats 1      # does it all still run?

PYTHON is the interpreter of an environment where that peer is installed (README.md says how to
make one). Models: BERT-base as a UniLM, mt5-small's shape with 50000 tokens, GPT-2 small. Prompts
have 128 tokens, and no text ends before its last token:

    beam     beam search 3 wide, batch 1, 32 new tokens (UniLM and mt5)
    greedy   greedy search, batch 1, 32 new tokens
    batch    the same for batches of 1, 4 and 16: tokens per second
    length   the same for 32, 128 and 512 new tokens: time per new token
    growth   the 512 one by one (streamed): time of the first and of the last 32

Every measurement is a process of its own, which tells of its first call (tracing and compiling),
of later ones, and of one whose prompts are an eighth shorter. In each round all participants take
their turn at a row before the next row begins. A ratio is peer / ours within a round: above 1,
ours is faster; printed are its median and that of each round. Seconds are medians over rounds of
the medians over repeats. bert4keras, which has no cache, takes part in batches of 1 (it has no
others) and up to 128 new tokens (--uncached 512 for all).
"""

import argparse
import itertools
import pathlib
import statistics
import sys
import time
from typing import NamedTuple

import comparing
import generation_tables
from comparing import OURS

sys.path.insert(0, str(comparing.HERE / "peers"))
import generation_child as child

SCRIPTS = {
    OURS: "ours_generation.py",
    "bert4keras": "bert4keras_generation.py",
    "keras-hub": "keras_hub_generation.py",
    "transformers": "transformers_generation.py",
}
MODELS = list(child.SIZES["base"])
PRECISIONS = ["float32", "mixed_bfloat16", "bfloat16"]  # the last one: weights too
BEAMS, BATCHES = 3, [1, 4, 16]
# --only -> [(task of the child, beams, batch, which of the lengths), ...]
KINDS = {
    "beam": [("call", BEAMS, 1, 0)],
    "greedy": [("call", 1, 1, 0)],
    "batch": [("call", 1, batch, 0) for batch in BATCHES],
    "length": [("call", 1, 1, length) for length in range(3)],
    "growth": [("told", 1, 1, 2)],
}


class Row(NamedTuple):
    """What is measured, of each participant in turn."""

    task: str
    model: str
    beams: int
    batch: int
    new: int
    precision: str
    xla: bool

    def __str__(self):
        search = f"beam {self.beams}" if self.beams > 1 else "greedy"
        told = ", streamed" if self.task == "told" else ""
        xla = ", XLA" if self.xla else ""
        size = f"batch {self.batch}, {self.new} new tokens{told}"
        return f"{self.model}, {search}, {size}, {self.precision}{xla}"


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--only", type=comparing.several(KINDS), default=list(KINDS), help=",".join(KINDS))
    add("--models", type=comparing.several(MODELS), default=MODELS, help=",".join(MODELS))
    comparing.add_model_options(parser, SCRIPTS, PRECISIONS)
    add("--without", type=comparing.several(SCRIPTS), default=[], help="participants to leave out")
    add("--uncached", type=int, default=128, help="new tokens at most of who has no cache")
    add("--budget", type=float, default=60, help="seconds after which nothing is repeated")
    add("--plot", type=pathlib.Path, metavar="FILE", help="a PNG of time per new token")
    parser.set_defaults(precision=["float32", "bfloat16"], repeats=5, warmup=1, timeout=1800)
    arguments = parser.parse_args()
    arguments.python = dict.fromkeys(SCRIPTS, sys.executable)
    arguments.python |= comparing.named_interpreters(parser, arguments.peer, SCRIPTS)
    for name in arguments.without:
        del arguments.python[name]
    if arguments.plot:
        import generation_plot  # noqa: F401  without matplotlib it stops here, not after hours
    return arguments


def plan(arguments, found):
    """[(Row, its participants), ...]."""
    lengths = child.LENGTHS[arguments.size]["new"]
    choices = itertools.product(
        arguments.only, arguments.models, arguments.precision, arguments.xla
    )
    rows = {}
    for kind, model, precision, xla in choices:
        for task, beams, batch, length in KINDS[kind]:
            row = Row(task, model, beams, batch, lengths[length], precision, xla == "on")
            names = [name for name in found if takes_part(arguments, found[name], row)]
            if names and not (kind == "beam" and model == "gpt2"):
                rows[row] = names
    return list(rows.items())


def takes_part(arguments, abilities, row):
    return (
        row.model in abilities["models"]
        and (abilities["xla"] or not row.xla)
        and (abilities["tells"] or row.task != "told")
        and (abilities["cached"] or (row.batch == 1 and row.new <= arguments.uncached))
    )


def run(arguments, rows):
    """Yields {"participant", "round", what a Row says, and the child's answer}."""
    done, start = 0, time.perf_counter()
    total = arguments.rounds * sum(len(names) for _, names in rows)
    settings = {key: getattr(arguments, key) for key in ("size", "warmup", "repeats", "budget")}
    for number in range(arguments.rounds):
        for row, names in rows:
            for name in names:
                request = {**row._asdict(), **settings}
                answer = comparing.ask(arguments, name, request, SCRIPTS)
                done += 1
                passed = time.perf_counter() - start
                comparing.log(
                    f"[{done}/{total}, {passed:.0f} s] round {number + 1}: {row}: {name}: "
                    f"{comparing.in_words(answer)}"
                )
                yield {"participant": name, "round": number, **row._asdict(), **answer}


def summarize(rows, results):
    """One line for each participant of a row: medians over rounds, ratios within rounds."""
    answers = {}
    for r in results:
        row = Row(*(r[field] for field in Row._fields))
        answers.setdefault((row, r["participant"]), {})[r["round"]] = r
    lines = []
    for row, names in rows:
        for name in names:
            mine, ours = (answers.get((row, who), {}) for who in (name, OURS))
            if mine:  # else the run was stopped before its turn
                title = {"row": str(row), "participant": name}
                lines.append({**title, **row._asdict(), **line_of(mine, ours)})
    return lines


def line_of(mine, ours):
    """{round: answer} of a participant and of ours -> what is printed."""
    good = {n: answer for n, answer in mine.items() if "seconds" in answer}
    medians, reference = by_round(mine), by_round(ours)
    line = {
        key: comparing.median_or_none(answer[key] for answer in good.values() if key in answer)
        for key in ("build", "first", "shorter", "begin", "end", "peak_mb")
    }
    line["seconds"] = comparing.median_or_none(medians.values())
    line["best"] = min((min(answer["seconds"]) for answer in good.values()), default=None)
    line["ratios"] = [medians[n] / reference[n] for n in medians if n in reference]
    line["tokens"] = next((r["tokens"] for r in good.values() if "tokens" in r), None)
    failed = (answer for n, answer in mine.items() if n not in good)
    line["error"] = next(map(comparing.in_words, failed), None)
    return line


def by_round(answers):
    """{round: answer} -> {round: median seconds} of the rounds that succeeded."""
    return {n: statistics.median(r["seconds"]) for n, r in answers.items() if "seconds" in r}


def main():
    arguments = parse_arguments()
    found = comparing.find_participants(arguments, SCRIPTS)
    rows = plan(arguments, found)
    if not rows:
        sys.exit("nothing to measure: no participant has any of these rows")
    answers = run(arguments, rows)

    def show(lines):
        generation_tables.print_all(lines)
        if arguments.plot:
            import generation_plot

            generation_plot.save(lines, arguments.plot)
            comparing.log(f"plotted: {arguments.plot}")

    comparing.measure_all(arguments, found, answers, lambda results: summarize(rows, results), show)


if __name__ == "__main__":
    main()
