"""The last position on JAX, compiled: all that tests/generation asks of it."""

from tests.generation import test_last_token as everywhere

globals().update({name: x for name, x in vars(everywhere).items() if name.startswith("test_")})
