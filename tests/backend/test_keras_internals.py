"""The private names that the package reads are there: this fails first under a new release."""

import importlib

import pytest

from bert4keras_ext.backend.keras_internals import PRIVATE_NAMES


@pytest.mark.parametrize("where, name, reason", PRIVATE_NAMES)
def test_the_installed_versions_have_it(where, name, reason):
    module, _, path = where.partition(":")
    found = importlib.import_module(module)
    for part in filter(None, path.split(".")):
        found = getattr(found, part)
    assert hasattr(found, name), (
        f"{where} has no {name!r} any more: {reason}. Find what took its place and change "
        "backend/keras_internals.py"
    )
