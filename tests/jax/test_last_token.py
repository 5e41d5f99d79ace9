"""The last position on JAX, compiled."""

from tests.generation import test_last_token as everywhere

NAMES = ("is_the_model_s_last_position", "changed_weights_are_seen", "lora", "several_outputs")
globals().update({k: x for k, x in vars(everywhere).items() if any(name in k for name in NAMES)})
