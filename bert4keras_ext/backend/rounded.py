"""Weights of mixed precision rounded once for a whole program, instead of in every call."""

import contextlib

import keras
from keras import ops

from bert4keras_ext.backend.keras_internals import assign_now


@contextlib.contextmanager
def weights_rounded_once(layers):
    """Within it, dense layers and embeddings of 16-bit computation read 16-bit weights.

    Under mixed_bfloat16 and mixed_float16 such a layer casts its float32 weights whenever it is
    called. A program that calls it many times, as a loop over tokens does, then reads, writes and
    reads again all weights in every step. The numbers are the same either way.

    On other backends than TensorFlow, whose compilers take casts out of loops, it does nothing.

    Args:
        layers: those that will be called, those inside of them too.
    """
    short = list(_short_weights(layers))
    if keras.backend.backend() != "tensorflow" or not short:
        yield
        return
    with _Rounded() as scope:
        for variable, dtype in short:
            # Past the constructor, which would turn the value into the variable's dtype again.
            scope.state_mapping[id(variable)] = ops.cast(variable, dtype)
        yield


class _Rounded(keras.StatelessScope):
    """Lends values to some variables; assignments to others happen as they would without it."""

    def add_update(self, update):
        assign_now(*update)


def _short_weights(layers):
    """(variable, dtype) of the float32 tables and kernels that are computed with in 16 bits."""
    for layer in layers:
        dtype = getattr(layer, "compute_dtype", None)
        if dtype not in ("bfloat16", "float16"):
            continue
        for name in ("kernel", "embeddings"):
            variable = getattr(layer, name, None)  # a sum, no variable, under LoRA
            if isinstance(variable, keras.Variable) and variable.dtype == "float32":
                yield variable, dtype
