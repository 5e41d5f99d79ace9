"""Rows a second that reach the model: a cache of tokens, generators, tf.data.

    python benchmarks/pipeline.py --peer bert4keras=PYTHON [--json FILE]
    python benchmarks/pipeline.py --rows 500 --rounds 1 --repeats 1     # does it all still run?

PYTHON is the interpreter of an environment with bert4keras and tf-keras (README.md says how to make
one); without it ours and tf.data are measured alone. Within a set of texts all do the same work:
one pass over the same shuffled rows, tokenized with the same vocabulary, cut to --maxlen, in padded
batches with segment ids and labels. That all see the same ids is checked.

    first pass        TokenCache makes the cache (reads, tokenizes, writes), TokenBatches reads it
    cached            TokenBatches from the cache: every later pass, and every later run
    cached, tensors   the same through to_dataset, which is how fit sees them on TensorFlow
    generator         our BucketedGenerator, the tokenizer in its loop
    bert4keras        its DataGenerator, its tokenizer in the loop
    tf.data map       shuffle, map(py_function of our tokenizer), padded_batch, prefetch

Every measurement is a process of its own, and in each round all take their turn. Rows a second are
medians, by the clock and by processor time (of all threads: what a busy machine does not change);
ratios are to bert4keras (or else to the generator), medians over rounds.
"""

import argparse
import json
import pathlib
import statistics
import sys
import tempfile

from comparing import (
    HERE,
    add_options,
    ask,
    failure,
    find_participants,
    log,
    median_or_none,
    named_interpreters,
    write_json,
)

SCRIPTS = {"ours": "ours_pipeline.py", "bert4keras": "bert4keras_pipeline.py"}
LINES = [  # (line, participant, task)
    ("first pass", "ours", "first"),
    ("cached", "ours", "cached"),
    ("cached, tensors", "ours", "cached dataset"),
    ("generator", "ours", "generator"),
    ("bert4keras", "bert4keras", "generator"),
    ("tf.data map", "ours", "map"),
]
SHARED = HERE.parents[1] / "shared" / "data"


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--peer", action="append", default=[], metavar="NAME=PYTHON", help="NAME: bert4keras")
    texts = [SHARED / "tnews" / "train.json", SHARED / "iflytek" / "dev.json"]
    add(
        "--data",
        type=pathlib.Path,
        nargs="+",
        default=texts,
        metavar="FILE",
        help="JSON lines with sentence and label, a set each (TNEWS: short, IFLYTEK: long texts)",
    )
    vocabulary = SHARED / "vocab" / "google_chinese_bert_vocab_21128.txt"
    add("--vocab", type=pathlib.Path, default=vocabulary)
    add("--rows", type=int, default=5000, help="of a set; a smaller file is gone through again")
    add("--maxlen", type=int, default=128)
    add("--batch", type=int, default=32)
    add("--prefetch", type=int, default=2, help="batches that TokenBatches makes ahead")
    add("--json", type=pathlib.Path, metavar="FILE", help="write all that was measured here")
    add_options(parser, repeats=3)  # fmt: skip
    arguments = parser.parse_args()
    peers = named_interpreters(parser, arguments.peer, ["bert4keras"])
    arguments.python = {"ours": sys.executable, **peers}
    return arguments


def write_rows(arguments, source, path):
    """So many rows of a file, with numbers for labels."""
    with open(source, encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    names = sorted({str(row["label"]) for row in rows})
    with open(path, "w", encoding="utf-8") as file:
        for number in range(arguments.rows):
            row = rows[number % len(rows)]
            row = {"sentence": row["sentence"], "label": names.index(str(row["label"]))}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def measure(arguments, lines, file, folder):
    """{line: [answer of each round]}; in a round every line has its turn."""
    keys = ("maxlen", "batch", "prefetch", "warmup", "repeats")
    settings = {key: getattr(arguments, key) for key in keys}
    settings.update(file=str(file), folder=str(folder), vocab=str(arguments.vocab.absolute()))
    answers = {line: [] for line, *_ in lines}
    for _ in range(arguments.rounds):
        for line, name, task in lines:
            answer = ask(arguments, name, {"task": task, **settings}, SCRIPTS)
            answers[line].append(answer)
            log(f"  {line}: {failure(answer) or round(rate(answer))}")
    check_same(answers)
    return answers


def rate(answer, clock="seconds"):
    """Rows a second."""
    return answer["content"][0] / statistics.median(answer[clock])


def check_same(answers):
    found = {line: given[0]["content"] for line, given in answers.items() if "content" in given[0]}
    if len(set(map(tuple, found.values()))) > 1:
        sys.exit(f"expected the same rows, ids and labels everywhere, found {found}")


def summary(answers, base):
    """[{line, rows/s, ratio to the base, the same by processor time, MB} or {line, error}]."""
    result = []
    for line, given in answers.items():
        if errors := [failure(answer) for answer in given if "seconds" not in answer]:
            result.append({"line": line, "error": errors[0]})
            continue
        cells = {"line": line}
        for clock in ("seconds", "cpu_seconds"):
            pairs = [(own, its) for own, its in zip(given, answers[base]) if clock in its]
            cells[clock] = statistics.median(rate(answer, clock) for answer in given)
            cells[f"{clock} ratio"] = median_or_none(
                rate(own, clock) / rate(its, clock) for own, its in pairs
            )
        cells["peak_mb"] = statistics.median(answer["peak_mb"] for answer in given)
        result.append(cells)
    return result


def print_table(title, base, lines):
    ratio = f"x {base}"
    print(f"\n{title}\n  {'':18}{'rows/s':>10}{ratio:>14}{'rows/CPU s':>12}{ratio:>14}{'MB':>7}")
    for cells in lines:
        line, *cells = cells.values()
        if isinstance(cells[0], str):
            print(f"  {line:18}{cells[0]}")
            continue
        texts = ["-" if value is None else format(value, form)
                 for value, form in zip(cells, (".0f", ".2f", ".0f", ".2f", ".0f"))]  # fmt: skip
        print("  {:18}{:>10}{:>14}{:>12}{:>14}{:>7}".format(line, *texts), flush=True)


def main():
    arguments = parse_arguments()
    found = find_participants(arguments, SCRIPTS)
    if "ours" not in found:
        sys.exit("nothing to measure: bert4keras_ext cannot be imported")
    lines = [line for line in LINES if line[1] in found]
    base = "bert4keras" if "bert4keras" in found else "generator"
    content = {"participants": found, "sets": {}}
    for source in arguments.data:
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "rows.json"
            write_rows(arguments, source, file)
            title = f"{source.parent.name}/{source.name}, {arguments.rows} rows, " \
                    f"at most {arguments.maxlen} tokens"  # fmt: skip
            log(title)
            answers = measure(arguments, lines, file, folder)
        rows = summary(answers, base)
        print_table(title, base, rows)
        content["sets"][title] = {"lines": rows, "answers": answers}
        if arguments.json:
            write_json(arguments.json, content)


if __name__ == "__main__":
    main()
