"""Time per new token as generation.py measured it: over lengths, and token by token.

python benchmarks/generation_plot.py results.json plot.png  # of an earlier run's --json
"""

import json
import statistics
import sys

import matplotlib

matplotlib.use("Agg")
from generation_tables import pivot
from matplotlib import pyplot

COLOURS = {
    "ours": "tab:blue",
    "bert4keras": "tab:red",
    "keras-hub": "tab:green",
    "transformers": "tab:orange",
}


def save(lines, path):
    """A column for each model and precision: above lengths, below the streamed tokens."""
    columns = sorted({(line["model"], line["precision"]) for line in lines})
    has_tokens = any(line["tokens"] for line in lines)
    heights = 1 + has_tokens
    size = (4.2 * len(columns), 3.6 * heights)
    figure, axes = pyplot.subplots(heights, len(columns), squeeze=False, figsize=size)
    for number, (model, precision) in enumerate(columns):
        chosen = [r for r in lines if (r["model"], r["precision"]) == (model, precision)]
        axes[0, number].set_title(f"{model}, {precision}")
        draw_lengths(axes[0, number], chosen)
        if has_tokens:
            draw_tokens(axes[1, number], chosen)
    for axis in axes.flat:
        axis.set_ylim(bottom=0)
        if axis.has_data():
            axis.legend(fontsize="small")
    axes[0, 0].set_ylabel("ms per new token, greedy, batch 1")
    axes[-1, 0].set_ylabel("ms of each token" if has_tokens else axes[-1, 0].get_ylabel())
    figure.tight_layout()
    figure.savefig(path, format="png", dpi=120)
    pyplot.close(figure)


def draw_lengths(axis, lines):
    lengths = set()
    for name, xla in participants(lines):
        mine = [r for r in lines if (r["participant"], r["xla"]) == (name, xla)]
        for points in pivot(mine, "new", lambda r: 1000 * r["seconds"] / r["new"]).values():
            places = sorted(points)
            axis.plot(places, [points[x] for x in places], marker="o", **style(name, xla))
            lengths.update(places)
    if lengths:
        axis.set_xscale("log", base=2)
        axis.set_xticks(sorted(lengths), [str(x) for x in sorted(lengths)])
    axis.set_xlabel("new tokens")


def draw_tokens(axis, lines, window=16):
    """Medians of so many neighbours: single tokens show what else the machine did."""
    for line in lines:
        if line["tokens"]:
            tokens = [1000 * seconds for seconds in line["tokens"][1:]]
            starts = range(0, len(tokens) - window + 1, window // 2)
            smooth = [statistics.median(tokens[i : i + window]) for i in starts]
            places = [i + window / 2 for i in starts]
            axis.plot(places, smooth, **style(line["participant"], line["xla"]))
    axis.set_xlabel("place of the token")


def participants(lines):
    return list(dict.fromkeys((line["participant"], line["xla"]) for line in lines))


def style(name, xla):
    return {
        "color": COLOURS.get(name, "gray"),
        "linestyle": "--" if xla else "-",
        "label": name + " + XLA" if xla else name,
    }


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        save(json.load(file)["lines"], sys.argv[2])
