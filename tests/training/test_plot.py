import pytest
from matplotlib.figure import Figure

from bert4keras_ext.training import plot_curves
from tests.training.limits import small_files


def test_writes_a_png_and_nothing_else(tmp_path):
    path = tmp_path / "new" / "curve.png"
    plot_curves({"loss": {"train": [2.0, 1.0]}, "accuracy": {"train": [0.1], "dev": [0.2]}}, path)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert list(path.parent.iterdir()) == [path]


def test_without_matplotlib_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match="pip install matplotlib"):
        plot_curves({"loss": {"train": [1.0]}}, tmp_path / "curve.png")


def drawn(monkeypatch, folder, *args, **options):
    """The figure that `plot_curves` saves."""
    figures = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, path, **_: figures.append(figure))
    with pytest.raises(FileNotFoundError):  # nothing was written
        plot_curves(*args, folder / "curve.png", **options)
    return figures[0]


def texts(axis):
    return [text.get_text() for text in axis.get_legend().get_texts()]


def test_title_best_epoch_and_levels(tmp_path, monkeypatch):
    panels = {"loss": {"train": [3.0, 2.0], "dev": [3.0, 2.0]}, "accuracy": {"dev": [1.0]}}
    figure = drawn(
        monkeypatch, tmp_path, panels, title="TNEWS: 55 %", best={"loss": 2},
        levels={"accuracy": {"majority class": 0.125}},
    )  # fmt: skip
    assert figure.get_suptitle() == "TNEWS: 55 %"
    loss, accuracy = figure.axes
    assert texts(loss) == ["train", "dev", "best epoch: 2"]
    assert texts(accuracy) == ["dev", "majority class: 0.125"]
    assert [line.get_xydata().tolist() for line in loss.lines if len(line.get_xdata()) == 1] == [
        [[2, 2.0]], [[2, 2.0]]
    ]  # fmt: skip
    assert accuracy.lines[-1].get_ydata()[0] == 0.125


def test_many_series_have_one_legend_beside_the_panels(tmp_path, monkeypatch):
    series = {f"optimizer {n}": [1.0, 0.5] for n in range(8)}
    levels = {"accuracy": {"majority class": 0.2}}
    panels = {"loss": series, "accuracy": series}
    figure = drawn(monkeypatch, tmp_path, panels, levels=levels)
    assert figure.axes[0].get_legend() is None
    assert texts(figure.axes[1]) == [*series, "majority class: 0.2"]


def test_one_epoch_is_marked_1(tmp_path, monkeypatch):
    figure = drawn(monkeypatch, tmp_path, {"loss": {"train": [1.0]}})
    low, high = figure.axes[0].get_xlim()
    ticks = [tick for tick in figure.axes[0].get_xticks() if low <= tick <= high]
    assert ticks == [1]


def test_a_picture_that_cannot_be_written_leaves_nothing(tmp_path):
    path = tmp_path / "curve.png"
    path.write_bytes(b"the former one")
    with small_files(2000), pytest.raises(OSError):
        plot_curves({"loss": {"train": [2.0, 1.0]}}, path)
    assert path.read_bytes() == b"the former one" and list(tmp_path.iterdir()) == [path]
