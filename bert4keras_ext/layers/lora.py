"""LoRA's factors in files: they come back as they were, beside the matrix they belong to.

Keras writes the matrix with the product added and, where LoRA is on, reads both factors as zero: a
training cannot go on from there, since each one's gradient is a multiple of the other. Here that
sum stays in its place, for models without LoRA, and the parts of it are written besides.
"""

import keras
from keras import ops

from bert4keras_ext.layers.parts import KeepsFrozenWeights

KEYS = ("lora_base", "lora_a", "lora_b")


class KeepsLoRA(KeepsFrozenWeights):
    """Mix-in of Dense and Embedding; ``lora_weights`` names the matrix and LoRA's factors.

    Quantized layers are saved as Keras does: the product added, the factors gone.
    """

    def save_own_variables(self, store):
        super().save_own_variables(store)
        if self.lora_enabled and not self.quantization_mode:
            for key, weight in zip(KEYS, self._lora_parts()):
                store[key] = weight

    def load_own_variables(self, store):
        super().load_own_variables({k: store[k] for k in store.keys() if k not in KEYS})
        if not self.lora_enabled:
            return
        parts = self._lora_parts()
        saved = [store[key] for key in KEYS] if KEYS[0] in store.keys() else []
        fits = [tuple(a.shape) == tuple(b.shape) for a, b in zip(parts, saved)]
        if fits and all(fits) and not self.quantization_mode:
            for part, value in zip(parts, saved):
                part.assign(value)
        else:  # a product of zero, from which the factors can learn
            parts[1].assign(keras.initializers.HeUniform()(parts[1].shape))
            parts[2].assign(ops.zeros(parts[2].shape))

    def _lora_parts(self):
        return [getattr(self, name) for name in self.lora_weights]

    def build(self, input_shape=None):
        alpha = self.lora_alpha  # Keras forgets it where it builds with a rank
        super().build(input_shape)
        if self.lora_enabled and alpha is not None:
            self.lora_alpha = alpha
