"""The private names that the package reads are in the installed Keras and TensorFlow."""

import ast
import importlib
import re
from pathlib import Path

import keras
import pytest

from bert4keras_ext.backend import keras_internals
from bert4keras_ext.backend.keras_internals import PRIVATE_NAMES

PACKAGE = Path(keras_internals.__file__).parents[1]


def found_at(where):
    """The module, class or instance (built for one weight) that "module:path" names."""
    where = where.removeprefix("tensorflow backend:")
    module, _, path = where.partition(":")
    found = importlib.import_module(module)
    for part in filter(None, path.split(".")):
        name, _, arguments = part.partition("(")
        found = getattr(found, name)
        if arguments:
            found = found(**_arguments(arguments))
            if isinstance(found, keras.optimizers.Optimizer):
                found.build([keras.Variable([1.0], name="weight")])
    return found


def _arguments(text):
    call = ast.parse(f"f({text}", mode="eval").body
    return {each.arg: ast.literal_eval(each.value) for each in call.keywords}


@pytest.mark.parametrize(
    ("where", "name", "reason"), PRIVATE_NAMES, ids=[name for _, name, _ in PRIVATE_NAMES]
)
def test_is_there(where, name, reason):
    if where.startswith("tensorflow backend:") and keras.backend.backend() != "tensorflow":
        pytest.skip("another backend")
    assert hasattr(found_at(where), name), (
        f"Keras {keras.__version__} has no {name} in {where}, which {reason}"
    )


USED = r"(?:self|optimizer|super\(\))\.(_[a-z]\w*)"


def test_private_names_of_keras_optimizers_are_in_the_table_and_in_one_file():
    known = {name for _, name, _ in PRIVATE_NAMES}
    optimizer = keras.optimizers.Optimizer(0.1, use_ema=True)
    optimizer.build([keras.Variable([1.0])])
    of_keras = {name for name in dir(optimizer) if re.match("_[a-z]", name)}
    for path in (PACKAGE / "optimizers").glob("*.py"):
        foreign = of_keras & set(re.findall(USED, path.read_text()))
        assert foreign <= known, f"{path.name}: {foreign - known} of Keras' are not in the table"
        assert not foreign or path.name == "base.py", f"{path.name}: {foreign} belong into base.py"
