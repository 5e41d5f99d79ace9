"""Runs example scripts as a user does: another process, another working directory."""

import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def command(script, *arguments):
    return [sys.executable, str(ROOT / "examples" / script), *map(str, arguments)]


def environment():
    # The folder of the shared data is hidden, so that every machine sees the same defaults.
    return {**os.environ, "PYTHONPATH": str(ROOT), "B4K_SHARED": "/nonexistent"}


def run_example(script, *arguments, folder):
    """The finished process, with its output in `stdout` and `stderr`."""
    return subprocess.run(
        command(script, *arguments), cwd=folder, env=environment(), capture_output=True, text=True
    )


def check_fails(result, *words):
    """A clear message that holds the words, an exit code, and no traceback."""
    assert result.returncode not in (0, None)
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in result.stderr, result.stderr


def check_quiet(result):
    """It went well, and Keras and Python had nothing to warn of."""
    assert result.returncode == 0, result.stdout + result.stderr
    for word in ("UserWarning", "DeprecationWarning", "retracing", "does not support masking"):
        assert word not in result.stdout + result.stderr, result.stderr


def run_here(module, *arguments, monkeypatch):
    """Calls main of a script in this process, which spares the import of TensorFlow."""
    name = Path(module.__file__).name
    monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
    # Some scripts of clue/ have the function that all of them share.
    own = not inspect.signature(module.read_arguments).parameters
    task = () if own else (name.removesuffix(".py"), "", 5)
    module.main(module.read_arguments(*task))


def message_of(module, *arguments, monkeypatch):
    """The one line with which a script ends that does not like its arguments."""
    with pytest.raises(SystemExit) as info:
        run_here(module, *arguments, monkeypatch=monkeypatch)
    assert "\n" not in str(info.value.code)
    return str(info.value.code)
