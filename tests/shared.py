"""Where the real data, real weights and recorded oracles lie (never part of the project)."""

import os
from pathlib import Path

import pytest

ROOT = Path(os.environ.get("B4K_SHARED") or Path(__file__).resolve().parents[2] / "shared")


def shared(*parts):
    """The path of a shared file or folder; skips the test where it is absent, but fails in CI."""
    path = ROOT.joinpath(*parts)
    if not path.exists():
        message = f"{path} not found: set B4K_SHARED to the folder of shared data"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message, allow_module_level=True)
    return path


def oracle(*parts):
    return shared("oracle", *parts)
