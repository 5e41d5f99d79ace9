"""Learning curves as a picture."""

import os
from pathlib import Path


def plot_curves(panels, path, xlabel="epoch"):
    """Draws series of numbers side by side into a PNG.

    Args:
        panels: {title: {name: list of numbers}}, one panel a title; the history of a training
            is such a {name: list}.
        path: the file; it appears whole or not at all, and missing folders are made.
        xlabel: what is counted, from 1.

    Raises:
        ImportError: matplotlib is not installed.

    Example::

        plot_curves({"loss": {"train": history["loss"]}}, "runs/curve.png")
    """
    try:
        # A Figure of its own leaves the user's pyplot and its backend alone.
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("plot_curves needs matplotlib: pip install matplotlib") from error
    figure = Figure(figsize=(5 * len(panels), 3.6), layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axis, (title, series) in zip(axes, panels.items()):
        for name, values in series.items():
            axis.plot(range(1, len(values) + 1), values, marker="o", markersize=3, label=name)
        axis.set(title=title, xlabel=xlabel)
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid(alpha=0.3)
        axis.legend()
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{os.getpid()}.{path.name}")
    figure.savefig(draft, format="png", dpi=120)
    os.replace(draft, path)
