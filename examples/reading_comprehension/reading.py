"""Files, splits, tables and curves of all scripts here."""

import json
import unicodedata
from itertools import zip_longest

import checks
import finetuning
import numpy as np
import pretrained
import reports
from span_reading import article_of, split_by_article  # noqa: F401 (all in one place)

# ---- data -----------------------------------------------------------------------------------


def load_splits(args, read):
    """(train, dev): each {name of a file: its questions}; `read` is a function of a path."""
    train = _read_files(args.data, read, args.limit)
    if args.dev:
        dev = _read_files(args.dev, read, args.limit)
    else:
        splits = {name: split_by_article(rows, args.held_out) for name, rows in train.items()}
        train = {name: rows for name, (rows, _) in splits.items()}
        dev = {name: rows for name, (_, rows) in splits.items()}
    args.rows = finetuning.fingerprint(flat(train), flat(dev))
    return train, dev


def _read_files(paths, read, limit):
    paths = paths if isinstance(paths, list) else sorted(paths.glob("*.json"))
    for path in paths:
        checks.check_text(path)
    return {path.stem: read(path)[:limit] for path in paths}


def flat(files):
    """The questions of all files."""
    return [row for rows in files.values() for row in rows]


def random_spans(texts, lengths):
    """The baseline: of each text, {id: text}, a stretch anywhere, as long as one of `lengths`."""
    draw, spans = np.random.default_rng(0), {}
    for name, text in texts.items():
        length = min(int(draw.choice(lengths)), len(text))
        start = int(draw.integers(len(text) - length + 1))
        spans[name] = text[start : start + length]
    return spans


# ---- tables ---------------------------------------------------------------------------------


def show(row, votes, answer, wanted):
    """Prints a question: what was read, the vote of each part for an answer, and the outcome.

    Args:
        row: the question.
        votes: list of (vote, answer, text that was read), printed by falling votes.
        answer: what won.
        wanted: the right answers.
    """
    print(f"\n{row.question}   ({row.id})")
    ordered = sorted(votes, key=lambda vote: -vote[0])
    lines = [(f"{vote:.3f}", each or "-", text) for vote, each, text in ordered]
    print_table([("vote", "answer", "passage"), *lines], widths=(5, 20, 72))
    print(f"answer: {answer or '-'}   expected: {' | '.join(dict.fromkeys(wanted)) or '-'}")


def print_table(rows, widths):
    """Rows of texts in columns of these widths; long texts go on in the next line."""
    for row in rows:
        cells = [_lines(text, width) for text, width in zip(row, widths)]
        for line in zip_longest(*cells, fillvalue=""):
            padded = (part + " " * (w - _width(part)) for part, w in zip(line, widths))
            print("  ".join(padded).rstrip())


def _lines(text, width):
    lines = [""]
    for char in " ".join(text.split()):
        if _width(lines[-1] + char) > width:
            lines.append("")
        lines[-1] += char
    return lines


def _width(text):
    """Columns on a screen: ideographs take two."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


# ---- files ----------------------------------------------------------------------------------


def write_report(args, run, best, curves, baseline):
    """results.json and curve.png.

    Args:
        run: what `finetuning.train` reports.
        best: the `KeepBest`.
        curves: {score: its name in the picture}; the first is that of `best`.
        baseline: (its name, its scores).
    """
    name, scores = baseline
    main = next(iter(curves))
    reports.write_json(args.out / "results.json", {f"best_dev_{main}": best.best, **run})
    history = run["scores"]
    reports.draw_curves(
        {
            "loss": {"train": history["loss"]},
            "dev": {label: history[f"val_{each}"] for each, label in curves.items()},
        },
        args.out / "curve.png",
        title=f"{args.task}, {pretrained.model_name(args)}: dev {curves[main]} {best.best:.2f}",
        best={"dev": best.best_epoch},
        levels={"dev": {f"{curves[main]} of {name}": scores[main]}},
    )


def write_table(args, table):
    """Prints {name: {score: percent}}, one line a name, and puts it into results.json."""
    names = list(next(iter(table.values())))
    rows = [(name, *(f"{scores[each]:.2f}" for each in names)) for name, scores in table.items()]
    print_table([("", *names), *rows], widths=[max(map(_width, table)), *[10] * len(names)])
    path = args.out / "results.json"
    results = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    reports.write_json(path, {**results, "table": table})


def finish(args, table, shown):
    """The table of scores, --show of these arguments of `show`, and where the files are."""
    write_table(args, table)
    for each in shown[: args.show]:
        show(*each)
    print(f"predictions, weights and curves are in {args.out}")
