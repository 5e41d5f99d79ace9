"""Sweeps over many cases: a few of them in `make test`, all of them in `make test-all`."""

import pytest


def some_of(cases, *kept):
    """The cases for ``parametrize``; those that are not kept are marked as exhaustive.

    Args:
        cases: values, or tuples of values.
        kept: those that `make test` runs too; there must be such cases.
    """
    cases = list(cases)
    missing = [case for case in kept if case not in cases]
    assert not missing, f"expected cases among {cases}, found {missing}"
    return [case if case in kept else _exhaustive(case) for case in cases]


def _exhaustive(case):
    values = case if isinstance(case, tuple) else (case,)
    return pytest.param(*values, marks=pytest.mark.exhaustive)
