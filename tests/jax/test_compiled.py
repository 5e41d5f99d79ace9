"""Compiled functions on JAX: all that tests/backend asks of them."""

from tests.backend import test_compiled as everywhere

globals().update({name: x for name, x in vars(everywhere).items() if name.startswith("test_")})
