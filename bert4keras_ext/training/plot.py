"""Learning curves as a picture."""

import os
from pathlib import Path

GREY = "0.45"
MANY = 6  # series, which would lie under their legend


def plot_curves(panels, path, xlabel="epoch", *, title=None, best=None, levels=None):
    """Draws series of numbers side by side into a PNG.

    Args:
        panels: {title: {name: list of numbers}}, one panel a title; the history of a training
            is such a {name: list}.
        path: the file; it appears whole or not at all, and missing folders are made.
        xlabel: what is counted, from 1.
        title: stands above all panels.
        best: {title of a panel: place on the x axis to mark}, such as the best epoch.
        levels: {title of a panel: {name: number}}, drawn as horizontal lines: what a curve is to
            be compared with.

    Raises:
        ImportError: matplotlib is not installed.

    Example::

        plot_curves(
            {"loss": {"train": [1.2, 0.7], "dev": [1.1, 0.9]}, "accuracy": {"dev": [0.5, 0.6]}},
            "runs/curve.png", title="TNEWS: 60.0 %", best={"accuracy": 2},
            levels={"accuracy": {"majority class": 0.11}},
        )
    """
    try:
        # A Figure of its own leaves the user's pyplot and its backend alone.
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("plot_curves needs matplotlib: pip install matplotlib") from error
    is_crowded = any(len(series) >= MANY for series in panels.values())
    size = 5 * len(panels) + 1.5 * is_crowded, 3.6 + 0.3 * bool(title)
    figure = Figure(figsize=size, layout="constrained")
    figure.suptitle(title, fontsize="large", fontweight="bold")
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axis, (name, series) in zip(axes, panels.items()):
        _draw(axis, series, (best or {}).get(name), (levels or {}).get(name, {}), xlabel)
        axis.set(title=name, xlabel=xlabel)
    _add_legends(axes, is_crowded)
    _save(figure, Path(path))


def _draw(axis, series, best, levels, xlabel):
    for name, values in series.items():
        line = axis.plot(range(1, len(values) + 1), values, marker="o", markersize=3, label=name)[0]
        if best is not None:
            ring = {"markersize": 9, "markerfacecolor": "none", "color": line.get_color()}
            axis.plot(best, values[best - 1], "o", **ring)
    if best is not None:
        axis.axvline(best, color=GREY, linestyle=":", linewidth=1, label=f"best {xlabel}: {best}")
    for name, value in levels.items():
        axis.axhline(value, color=GREY, linestyle="--", linewidth=1, label=f"{name}: {value:.3g}")
    axis.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(alpha=0.3)


def _add_legends(axes, is_crowded):
    """One in each panel; a long one beside the last panel, for all of them."""
    if not is_crowded:
        for axis in axes:
            axis.legend(fontsize="small", framealpha=0.8, edgecolor="none")
        return
    lines = {}
    for axis in axes:
        lines.update((line.get_label(), line) for line in axis.lines)
    lines = {label: line for label, line in lines.items() if not label.startswith("_")}
    place = {"loc": "upper left", "bbox_to_anchor": (1.02, 1)}
    axes[-1].legend(lines.values(), lines, fontsize="small", frameon=False, **place)


def _save(figure, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        figure.savefig(draft, format="png", dpi=120)
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
