"""The base class of every layer here."""

import keras

from bert4keras_ext.backend.acceleration import recompute_enabled


class Layer(keras.layers.Layer):
    """A Keras layer that passes masks on, and remembers whether it recomputes its activations.

    Args:
        recompute: make the activations again in the backward pass instead of keeping them
            (``call`` must be decorated with ``recompute_grad``). None reads the switch
            ``set_recompute`` at construction.

    Inputs, output: as the subclass has them. The mask of the first argument is passed on, unless
    ``compute_mask`` says otherwise.

    Example:

    >>> class Double(Layer):
    ...     def call(self, inputs):
    ...         return 2 * inputs
    """

    def __init__(self, recompute=None, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True
        self.recompute = recompute_enabled() if recompute is None else recompute

    def get_config(self):
        config = super().get_config()
        # A run-time choice, not a part of what the layer computes: written only where it is on,
        # so that a saved model follows the switches of the program that loads it.
        return {**config, "recompute": True} if self.recompute else config
