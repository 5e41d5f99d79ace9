import pytest

from bert4keras_ext.training import plot_curves


def test_writes_a_png_and_nothing_else(tmp_path):
    path = tmp_path / "new" / "curve.png"
    plot_curves({"loss": {"train": [2.0, 1.0]}, "accuracy": {"train": [0.1], "dev": [0.2]}}, path)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert list(path.parent.iterdir()) == [path]


def test_without_matplotlib_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match="pip install matplotlib"):
        plot_curves({"loss": {"train": [1.0]}}, tmp_path / "curve.png")
