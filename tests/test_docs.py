"""The Python blocks of every page in docs/ run, in order."""

import re
from pathlib import Path

import pytest

from bert4keras_ext.checkpoints.names import TABLES
from bert4keras_ext.models.registry import HUGGING_FACE_TYPES, MODELS

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted((ROOT / "docs").glob("**/*.md"))


@pytest.fixture
def registries():
    """What a page registers is gone after it."""
    kept = [(registry, dict(registry)) for registry in (MODELS, HUGGING_FACE_TYPES, TABLES)]
    yield
    for registry, content in kept:
        registry.clear()
        registry.update(content)


def blocks(text):
    return re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_code_blocks_run(path, tmp_path, monkeypatch, registries):
    monkeypatch.chdir(tmp_path)
    code = "\n".join(blocks(path.read_text(encoding="utf-8")))
    exec(compile(code, path.name, "exec"), {"__name__": "docs"})


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\((?!http|#)([^)#]+)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), target


def test_there_are_pages():
    assert any("```python" in path.read_text(encoding="utf-8") for path in PAGES)
