"""Weights of 16 bits (a policy of "bfloat16" or "float16", not a mixed one) and their updates.

bfloat16 has 8 significant bits: Adam's 0.999 is 1 in it, a mean that moves by a thousandth does not
move, and a step of less than 1/256 of the weight is none. So slots of such weights are float32, and
beside each stands a float32 copy, which is what a rule sees and updates. The weight is that copy,
rounded, after each update. (4 bytes a number more: `mixed_bfloat16` does the same with less.)
"""

import keras
from keras import ops

# dtype -> (half a unit in the last place of 1, the same of the smallest numbers)
_HALF_UNITS = {"bfloat16": (2.0**-8, 0.0), "float16": (2.0**-11, 2.0**-25)}


def is_short(x):
    """Whether a tensor or variable holds floats of 16 bits."""
    return keras.backend.standardize_dtype(x.dtype) in _HALF_UNITS


def at_least_float32(dtype):
    dtype = keras.backend.standardize_dtype(dtype)
    return "float32" if dtype in _HALF_UNITS else dtype


def widened(gradient):
    """The gradient, or None, with float32 in place of 16 bits: its square has to be a number."""
    if not hasattr(gradient, "dtype") or not is_short(gradient):
        return gradient
    if keras.backend.backend() != "tensorflow":
        return ops.cast(gradient, "float32")
    import tensorflow as tf

    return tf.cast(gradient, "float32")  # sparse ones too


def renewed(copy, weight):
    """The copy where the weight is what it rounds to; the weight where something else was loaded.

    By distance: XLA compares numbers of 16 bits before it rounds them.
    """
    relative, absolute = _HALF_UNITS[keras.backend.standardize_dtype(weight.dtype)]
    weight = ops.cast(weight, "float32")
    is_rounded = ops.abs(copy - weight) <= ops.abs(weight) * relative + absolute
    return ops.where(is_rounded, ops.convert_to_tensor(copy), weight)
