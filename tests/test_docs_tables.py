"""The tables of docs/: every public name stands in one, with an example that uses it."""

import ast
import re
from pathlib import Path

import pytest

from bert4keras_ext import layers, losses, metrics, numerics
from tests.test_docs import blocks

DOCS = Path(__file__).resolve().parents[1] / "docs"


def page_of(module):
    return DOCS / f"{module.__name__.split('.')[-1]}.md"


def rows(path):
    """[(names, example cell)] of the tables that have an example column."""
    found, has_examples = [], False
    for line in path.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[0] == "name":
            has_examples = cells[-1] == "example"
        elif has_examples and line.startswith("| `"):
            found.append((re.findall(r"`(\w+)`", cells[0]), cells[-1]))
    return found


def anchor(heading):
    """The name a heading has in links."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def section(path, name):
    """The text under the heading of that anchor."""
    parts = re.split(r"^#+ (.*)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    sections = {anchor(heading): text for heading, text in zip(parts[1::2], parts[2::2])}
    assert name in sections, f"{path.name} has no heading #{name}, only {sorted(sections)}"
    return sections[name]


def code_behind(cell, page):
    """The code of all examples of a cell, as one text."""
    links = re.findall(r"\]\(([^)#]+)#?([^)]*)\)", cell)
    codes = blocks(page.read_text(encoding="utf-8")) if "this page" in cell else []
    for target, name in links:
        path = page.parent / target
        assert path.exists(), f"{page.name}: {target} is not there"
        if path.suffix == ".md":
            text = section(path, name) if name else path.read_text(encoding="utf-8")
            codes += blocks(text)
        else:
            codes.append(path.read_text(encoding="utf-8"))
    return "\n".join(codes)


def used_in(code):
    """The names a program uses; what it only imports is not among them."""
    nodes = list(ast.walk(ast.parse(code)))
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    return names | {node.attr for node in nodes if isinstance(node, ast.Attribute)}


@pytest.mark.parametrize("module", [layers, losses, metrics, numerics], ids=lambda m: m.__name__)
def test_all_public_names_are_listed(module):
    text = page_of(module).read_text(encoding="utf-8")
    assert [name for name in module.__all__ if f"`{name}`" not in text] == []


ROWS = [(page_of(m), names, cell) for m in (layers, losses) for names, cell in rows(page_of(m))]


@pytest.mark.parametrize("page, names, cell", ROWS, ids=lambda x: x[0] if type(x) is list else "")
def test_every_row_links_an_example_that_uses_its_names(page, names, cell):
    code = code_behind(cell, page)
    assert code, f"{page.name}: the example cell of {names} is empty"
    unused = set(names) - used_in(code)
    assert not unused, f"{page.name}: no example of {names} uses {unused}: {cell}"


def test_every_public_layer_and_loss_has_a_row():
    for module in (layers, losses):
        named = {name for names, _ in rows(page_of(module)) for name in names}
        assert set(module.__all__) == named, module.__name__
