import ast
import doctest
import importlib
import pkgutil
from pathlib import Path

import pytest

import bert4keras_ext.data

MODULES = [module.name for module in pkgutil.iter_modules(bert4keras_ext.data.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_imports_numpy_alone(name):
    source = Path(bert4keras_ext.data.__path__[0], f"{name}.py").read_text(encoding="utf-8")
    for node in ast.parse(source).body:  # imports inside functions are lazy, hence allowed
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [node.module]
        assert not {name.split(".")[0] for name in names} & {"keras", "tensorflow"}


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings(name):
    module = importlib.import_module(f"bert4keras_ext.data.{name}")
    assert doctest.testmod(module).failed == 0


def test_all_is_complete():
    assert all(hasattr(bert4keras_ext.data, name) for name in bert4keras_ext.data.__all__)
