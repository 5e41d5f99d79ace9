"""The Python blocks of both README files run, in order, in one process."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def blocks(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("name", ["README.md", "README_zh.md"])
def test_code_blocks_run(name):
    found = blocks(name)
    assert found
    exec(compile("\n".join(found), name, "exec"), {})


@pytest.mark.parametrize("name", ["README.md", "README_zh.md"])
def test_links_lead_somewhere(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!http|#)([^)#]+)", text):
        assert (ROOT / target).exists(), target
