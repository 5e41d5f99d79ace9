"""What generation.py prints: each row, and then what several rows say together.

python benchmarks/generation_tables.py results.json         # of an earlier run's --json
"""

import json
import statistics
import sys

# (title, key or function of a line, format)
COLUMNS = [
    ("first call", "first", "11.3f"),
    ("later", "seconds", "9.3f"),
    ("best", "best", "9.3f"),
    ("shorter", "shorter", "9.3f"),
    ("ms/token", lambda line: 1000 * line["seconds"] / line["new"], "10.2f"),
    ("tokens/s", lambda line: line["batch"] * line["new"] / line["seconds"], "10.1f"),
    ("MB", "peak_mb", "7.0f"),
]


def print_all(lines):
    print_rows(lines)
    print_batches(lines)
    print_lengths(lines)
    print_growth(lines)


def print_rows(lines):
    title = None
    for line in lines:
        if line["row"] != title:
            title = line["row"]
            heads = "".join(f"{head:>{width_of(form)}}" for head, _, form in COLUMNS)
            print(f"\n{title}\n  {'':14}{heads}   peer/ours (each round)")
        name = f"  {line['participant']:14}"
        if line["seconds"] is None:
            print(name, line["error"])
            continue
        cells = "".join(cell(line, key, form) for _, key, form in COLUMNS)
        note = f"   (a round {line['error']})" if line["error"] else ""
        print(f"{name}{cells}   {ratios(line)}{note}")
    print("\nfirst call: with tracing and compiling; later: median of those after it; shorter: a")
    print("call with prompts an eighth shorter. peer/ours of later calls: above 1, ours is faster.")


def width_of(form):
    return int(form.split(".")[0])


def cell(line, key, form):
    value = key(line) if callable(key) else line[key]
    return f"{'-':>{width_of(form)}}" if value is None else format(value, form)


def ratios(line):
    values = line["ratios"]
    if not values:
        return "-"
    each = " ".join(f"{value:.2f}" for value in values)
    return f"{statistics.median(values):.2f} ({each})"


def print_batches(lines):
    """Tokens per second over batches, and the largest batch's relative to the smallest's."""
    table = pivot(lines, "batch", lambda line: line["batch"] * line["new"] / line["seconds"])
    print_table("tokens/s for batches of", table, ".1f", "last/first")


def print_lengths(lines):
    """Milliseconds per new token over the numbers of new tokens."""
    table = pivot(lines, "new", lambda line: 1000 * line["seconds"] / line["new"])
    print_table("ms per new token (prompt included), new tokens", table, ".2f", "last/first")
    print_marginal(table)


def print_marginal(table):
    """Of each further token: what two lengths differ by, without the prompt."""
    if table:
        print("\nms of each further token, between two of these lengths")
    for name, values in table.items():
        pairs = zip(sorted(values), sorted(values)[1:])
        costs = [(a, b, (b * values[b] - a * values[a]) / (b - a)) for a, b in pairs]
        cells = "".join(f"{f'{a} to {b}':>13}{cost:9.2f}" for a, b, cost in costs)
        print(f"  {name:52}{cells}")


def print_growth(lines):
    told = [line for line in lines if line["begin"]]
    if told:
        print("\nms of the first tokens and of the last ones, streamed")
    for line in told:
        first, last = 1000 * line["begin"], 1000 * line["end"]
        print(f"  {label(line):52}{first:10.2f}{last:10.2f}{last / first:12.2f}")


def pivot(lines, axis, value_of):
    """Greedy calls that differ in one thing alone -> {label: {its value: what it took}}."""
    calls = [r for r in lines if r["task"] == "call" and r["beams"] == 1 and r["seconds"]]
    other = "new" if axis == "batch" else "batch"
    smallest = min((line[other] for line in calls), default=None)
    table = {}
    for line in calls:
        if line[other] == smallest:
            table.setdefault(label(line), {})[line[axis]] = value_of(line)
    return {name: values for name, values in table.items() if len(values) > 1}


def label(line):
    xla = " + XLA" if line["xla"] else ""
    return f"{line['model']}, {line['precision']}, {line['participant']}{xla}"


def print_table(title, table, form, last):
    if not table:
        return
    axis = sorted({value for values in table.values() for value in values})
    heads = "".join(f"{value:>10}" for value in axis)
    print(f"\n{title}\n  {'':52}{heads}{last:>12}")
    for name, values in table.items():
        cells = "".join(f"{format(values[x], form) if x in values else '-':>10}" for x in axis)
        growth = f"{values[axis[-1]] / values[axis[0]]:.2f}" if axis[-1] in values else "-"
        print(f"  {name:52}{cells}{growth:>12}")


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        print_all(json.load(file)["lines"])
