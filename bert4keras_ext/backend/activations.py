"""Activations by name, and what the name ``"gelu"`` means.

Google's TensorFlow BERT used the tanh form of GELU, Hugging Face's ``"gelu"`` is the erf form,
and bert4keras switches between them with :func:`set_gelu` (default: erf). Here the switch is
read once, when a layer is *constructed*, and the resolved name (``"gelu_erf"`` or
``"gelu_tanh"``) is what the layer keeps in its config: a saved model never changes its meaning.
"""

import math

import keras
from keras import ops

from bert4keras_ext.backend.gradients import custom_gradient
from bert4keras_ext.backend.registration import register

_gelu_form = "erf"


def set_gelu(version):
    """Chooses what the string ``"gelu"`` means for layers built from now on.

    Args:
        version: ``"erf"`` (exact, the default) or ``"tanh"`` (Google's approximation).

    Raises:
        ValueError: for any other name.
    """
    global _gelu_form
    if version not in ("erf", "tanh"):
        raise ValueError(f"set_gelu expects 'erf' or 'tanh', received {version!r}")
    _gelu_form = version


def get_gelu():
    """The form that ``"gelu"`` stands for at present: ``"erf"`` or ``"tanh"``."""
    return _gelu_form


@custom_gradient
def _gelu_erf(x):
    # The derivative of x * Phi(x) is Phi(x) + x * phi(x). Written out it takes three passes over
    # the largest activation of a Transformer where differentiating the formula takes seven.
    # In half precision float32 is faster here (no rounding between operations), and exact.
    wide = ops.cast(x, "float32")
    cdf = 0.5 * ops.erf(wide * math.sqrt(0.5)) + 0.5
    kept = ops.cast(cdf, x.dtype)

    def gradient(*args, upstream=None):
        upstream = args[0] if upstream is None else upstream
        density = ops.exp(-0.5 * ops.square(x)) * (1.0 / math.sqrt(2.0 * math.pi))
        return upstream * (kept + x * density)

    return ops.cast(wide * cdf, x.dtype), gradient


@register
def gelu_erf(x):
    """Exact GELU, ``x * Phi(x)`` with the normal distribution function Phi (arXiv 1606.08415)."""
    x = ops.convert_to_tensor(x)
    if keras.backend.standardize_dtype(x.dtype) == "float64":
        return ops.gelu(x, approximate=False)
    return _gelu_erf(x)


@register
def gelu_tanh(x):
    """GELU by tanh: ``x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3)))``."""
    return ops.gelu(x, approximate=True)


@custom_gradient
def _swish(x):
    # TensorFlow's own keeps the graph for good. This one, too, computes the sigmoid again.
    def gradient(*args, upstream=None):
        upstream = args[0] if upstream is None else upstream
        share = ops.sigmoid(x)
        return upstream * (share * (1.0 + x * (1.0 - share)))

    return x * ops.sigmoid(x), gradient


@register
def swish(x):
    """``x * sigmoid(x)``, also called SiLU (arXiv 1710.05941)."""
    if keras.backend.backend() != "tensorflow" or isinstance(x, keras.KerasTensor):
        return ops.silu(x)
    return _swish(ops.convert_to_tensor(x))


@register
def leaky_relu(x, alpha=0.2):
    """``max(x, alpha * x)``; bert4keras' slope of 0.2."""
    return ops.leaky_relu(x, negative_slope=alpha)


def exact_gelu(x):
    """GELU in the form that TensorFlow's graph optimizer fuses into the product before it."""
    return ops.gelu(x, approximate=False)


def for_inference(function):
    """The form of an activation to use where no gradient is needed; the values are the same.

    ``gelu_erf`` brings its own gradient, which saves passes over memory in training but hides the
    formula from the graph optimizer.
    """
    return exact_gelu if function is gelu_erf else function


_OURS = {
    "gelu_erf": gelu_erf,
    "gelu_tanh": gelu_tanh,
    # Hugging Face's spellings of the same functions.
    "gelu_new": gelu_tanh,
    "gelu_pytorch_tanh": gelu_tanh,
    "gelu_fast": gelu_tanh,
    "swish": swish,
    "silu": swish,
    "leaky_relu": leaky_relu,
}


def get_activation(identifier):
    """The activation function for a name, a config, a callable or None.

    Raises:
        ValueError: for an unknown name; the message lists ours beside Keras' own.

    Example:

    >>> get_activation("gelu") is gelu_erf
    True
    """
    if identifier == "gelu":
        identifier = f"gelu_{_gelu_form}"
    if isinstance(identifier, str) and identifier in _OURS:
        return _OURS[identifier]
    try:
        return keras.activations.get(identifier)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"unknown activation {identifier!r}: expected a callable, one of "
            f"{sorted(_OURS)} or a name from keras.activations (relu, tanh, linear, ...)"
        ) from error


def serialize_activation(function):
    """A JSON-able identifier that :func:`get_activation` turns back into ``function``."""
    for name, ours in _OURS.items():
        if function is ours:
            return name
    return keras.activations.serialize(function)
