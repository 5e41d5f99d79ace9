"""The floors of the house: who may import whom, read from the source with ast."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "bert4keras_ext"
# From the ground up. A folder may import its own floor and those below it.
FLOORS = [
    {"backend", "tokenizers", "data", "numerics", "_version", "_old_names"},
    {"layers", "losses", "optimizers", "metrics", "generation"},
    {"models", "checkpoints"},
    {"training"},
    {"serving", "legacy", "snippets"},
]
# Where `tensorflow` may be imported: anywhere in the file, or inside functions only.
TENSORFLOW = {"checkpoints", "optimizers", "backend", "training", "serving"}
TENSORFLOW_IN = {"data/dataset.py"}  # to_dataset makes a tf.data pipeline
FILES = sorted(PACKAGE.rglob("*.py"))


def floor_of(folder):
    return next(i for i, floor in enumerate(FLOORS) if folder in floor)


def imports(tree):
    """(module name, node) of every import in a tree."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((f"{node.module}.{alias.name}", node) for alias in node.names)


def folder_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def parsed(path):
    return ast.parse(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_nothing_imports_anything_above_itself(path):
    if folder_of(path) == "__init__":
        return
    own = floor_of(folder_of(path))
    for name, _ in imports(parsed(path)):
        parts = name.split(".")
        if parts[0] == "bert4keras_ext" and len(parts) > 1:
            assert floor_of(parts[1]) <= own, f"{path.name} imports {name} from above"
        assert parts[0] not in ("examples", "benchmarks", "tests")


def test_checkpoints_know_no_models():
    for path in (PACKAGE / "checkpoints").rglob("*.py"):
        assert not any(
            name.startswith("bert4keras_ext.models") for name, _ in imports(parsed(path))
        )


def test_generation_knows_no_models_and_no_layers():
    ground = FLOORS[0] | {"generation"}
    for path in (PACKAGE / "generation").rglob("*.py"):
        for name, _ in imports(parsed(path)):
            parts = name.split(".")
            assert parts[0] != "bert4keras_ext" or parts[1] in ground, f"{path.name}: {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_tensorflow_is_imported_where_it_belongs_and_late(path):
    tree = parsed(path)
    at_top = {id(node) for node in tree.body}
    for name, node in imports(tree):
        if name.split(".")[0] != "tensorflow":
            continue
        relative = str(path.relative_to(PACKAGE))
        assert folder_of(path) in TENSORFLOW or relative in TENSORFLOW_IN, relative
        assert id(node) not in at_top, f"{relative} imports tensorflow at the top"


@pytest.mark.parametrize("folder", ["tokenizers", "data"])
def test_text_and_rows_need_neither_keras_nor_tensorflow_at_the_top(folder):
    for path in (PACKAGE / folder).rglob("*.py"):
        for name, node in imports(parsed(path)):
            if node in parsed(path).body:
                assert name.split(".")[0] not in ("keras", "tensorflow")


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_house_rules(path):
    text = path.read_text(encoding="utf-8")
    tree = parsed(path)
    assert len(text.splitlines()) <= 450, "a file of more than 450 lines holds two ideas"
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert all(alias.name != "*" for alias in node.names), "star import"
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called != "print" and not called.endswith("layers.Lambda"), called


def test_importing_the_package_loads_no_heavy_library():
    """Cheap to import beside Keras: what only some users need is loaded where it is used."""
    import subprocess
    import sys

    program = (
        "import keras, sys; before = set(sys.modules); import bert4keras_ext;"
        "print(*sorted({m.split('.')[0] for m in set(sys.modules) - before}))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    heavy = {"jieba", "sentencepiece", "matplotlib", "sklearn", "scipy", "safetensors", "torch"}
    assert not heavy & set(run.stdout.split())
