"""A Dense layer whose matrix product, bias and activation TensorFlow can fuse."""

import keras
from keras import ops

from bert4keras_ext.backend.activations import for_inference
from bert4keras_ext.backend.registration import register
from bert4keras_ext.layers.lora import KeepsLoRA


@register
class Dense(KeepsLoRA, keras.layers.Dense):
    """``activation(x W + b)`` along the last axis: Keras' Dense, faster on sequences.

    Keras multiplies a sequence as a tensor of rank 3, and the reshaping that TensorFlow puts
    around the product keeps it from fusing product, bias and activation. Here the sequence is made
    a matrix first; in inference the exact GELU then costs next to nothing on a CPU.

    Args: those of ``keras.layers.Dense``.

    Inputs: (batch, ..., dim); output: (batch, ..., units). The mask is passed on. LoRA and
    quantization work as in Keras, and errors are Keras' own; but a saved LoRA comes back.

    Example:

    >>> tuple(Dense(3, activation="relu")(ops.ones((2, 5, 4))).shape)
    (2, 5, 3)
    """

    lora_weights = ("_kernel", "lora_kernel_a", "lora_kernel_b")

    def call(self, inputs, training=None):
        shape = ops.shape(inputs)
        x = ops.matmul(ops.reshape(inputs, (-1, inputs.shape[-1])), self.kernel)
        if self.bias is not None:
            x = ops.add(x, self.bias)
        if self.activation is not None:
            x = (self.activation if training else for_inference(self.activation))(x)
        return ops.reshape(x, (*shape[:-1], self.units))

    def quantize(self, mode=None, type_check=True, **kwargs):
        # Keras checks for its own class exactly, not knowing that a subclass can do it too.
        return super().quantize(mode, type_check=False, **kwargs)
