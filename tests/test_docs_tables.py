"""Every public layer, loss and function of numerics stands in the table of its page."""

from pathlib import Path

import pytest

from bert4keras_ext import layers, losses, numerics

DOCS = Path(__file__).resolve().parents[1] / "docs"


@pytest.mark.parametrize("module", [layers, losses, numerics], ids=lambda m: m.__name__)
def test_all_public_names_are_listed(module):
    text = (DOCS / f"{module.__name__.split('.')[-1]}.md").read_text(encoding="utf-8")
    assert [name for name in module.__all__ if f"`{name}`" not in text] == []
