"""The last position on JAX, compiled: what tests/generation asks of it, except whole searches."""

from tests.generation import test_last_token as everywhere

globals().update({name: x for name, x in vars(everywhere).items() if name.startswith("test_")})
del globals()["test_decoder_over_a_model_is_the_loop_over_its_predict"]
