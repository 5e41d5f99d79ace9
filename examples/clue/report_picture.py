"""report.png: scores of all seeds beside the published ones, time, memory."""

import os

import matplotlib
from matplotlib.figure import Figure

OURS, BERT, ROBERTA, BAR = "#1f5fa8", "#d9822b", "#3b8f5a", "#9db7d5"


def draw(rows, path):
    """One line a task, from above as in the table; three panels beside each other."""
    figure = Figure(figsize=(11, 1.6 + 0.42 * len(rows)), layout="constrained")
    axes = figure.subplots(1, 3, sharey=True, width_ratios=[4, 1, 1])
    _scores(axes[0], rows)
    _bars(axes[1], [row["seconds"] / 60 for row in rows], "minutes a run")
    _bars(axes[2], [row["peak_memory_bytes"] / 2**30 for row in rows], "peak memory, GiB")
    axes[0].set_yticks(range(len(rows)), [f"{row['task']}, {row['metric']}" for row in rows])
    axes[0].invert_yaxis()
    figure.legend(loc="outside lower center", ncols=4, frameon=False)
    figure.suptitle("CLUE: our dev scores, and published test scores")
    draft = path.with_name(f".{os.getpid()}.{path.name}")
    with matplotlib.rc_context({"savefig.dpi": 150}):
        figure.savefig(draft, format="png")
    os.replace(draft, path)


def _scores(axes, rows):
    for place, row in enumerate(rows):
        values = list(row["scores"].values())
        axes.plot(
            values,
            [place] * len(values),
            "o",
            color=OURS,
            alpha=0.5,
            label=_once(place, "ours, each seed"),
        )
        if row["mean"] is not None:
            axes.errorbar(
                row["mean"], place, xerr=row["deviation"], fmt="D", color=OURS, capsize=4,
                label=_once(place, "ours, mean and deviation"),
            )  # fmt: skip
            axes.annotate(f"{row['mean']:.1f}", (row["mean"], place), (0, 7), fontsize=8,
                          textcoords="offset points", ha="center", color=OURS)  # fmt: skip
        for name, color, label in (("bert", BERT, "BERT-base"), ("roberta", ROBERTA, "RoBERTa")):
            published = [value for value in row[name] if value is not None]
            axes.plot(published, [place] * len(published), "|", color=color, markersize=16,
                      markeredgewidth=2, label=_once(place, f"{label}, published"))  # fmt: skip
    axes.set_xlabel("percent")
    axes.grid(axis="x", alpha=0.3)


def _once(place, label):
    return label if place == 0 else None


def _bars(axes, values, label):
    axes.barh(range(len(values)), values, color=BAR)
    for place, value in enumerate(values):
        axes.annotate(f"{value:.1f}", (value, place), (2, 0), textcoords="offset points",
                      va="center", fontsize=8)  # fmt: skip
    axes.set_xlim(0, max([*values, 0.1]) * 1.3)
    axes.set_xlabel(label)
