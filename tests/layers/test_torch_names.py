"""On Keras' PyTorch backend every layer is a torch.nn.Module, whose methods stay what they are."""

import pytest

from bert4keras_ext import layers, losses

# The public methods of torch.nn.Module 2.13, without those for hooks.
OF_MODULES = """
add_module apply bfloat16 buffers children compile cpu cuda double eval extra_repr float forward
get_buffer get_extra_state get_parameter get_submodule half ipu load_state_dict modules mtia
named_buffers named_children named_modules named_parameters parameters register_buffer
register_module register_parameter requires_grad_ set_extra_state set_submodule share_memory
state_dict to to_empty train training type xpu zero_grad
""".split()
CLASSES = [getattr(module, name) for module in (layers, losses) for name in module.__all__]


@pytest.mark.parametrize("cls", [x for x in CLASSES if isinstance(x, type)])
def test_no_layer_hides_a_method_of_modules(cls):
    ours = {n for c in cls.__mro__ if c.__module__.startswith("bert4keras_ext") for n in vars(c)}
    assert not ours & {*OF_MODULES, "_parameters", "_buffers", "_modules"}
