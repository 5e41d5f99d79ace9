"""The base class of every layer here."""

import keras

from bert4keras_ext.backend.acceleration import recompute_enabled
from bert4keras_ext.layers import parts


class Layer(keras.layers.Layer):
    """A Keras layer that passes masks on, recomputes where asked to, and stays frozen.

    What is frozen, the layer or parts of it (``attention.q.trainable = False``, or a weight's), is
    so in files, clones and copies too.

    Args:
        recompute: make the activations again in the backward pass instead of keeping them
            (``call`` must be decorated with ``recompute_grad``). None reads the switch
            ``set_recompute`` at construction.
        trainable_parts: {path of a sub-layer or weight: whether it is trained}, where that is not
            as the layer around it is, such as {"q": False, "o/bias": False}.
        descriptions: of the models that the layer was built for, as a file has them.
        **kwargs: those of ``keras.layers.Layer``; ``trainable=False`` reaches sub-layers as well.

    Inputs, output: as the subclass has them. The mask of the first argument is passed on, unless
    ``compute_mask`` says otherwise.

    Example:

    >>> class Double(Layer):
    ...     def call(self, inputs):
    ...         return 2 * inputs
    """

    def __init__(self, recompute=None, trainable_parts=None, descriptions=(), **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True
        self.recompute = recompute_enabled() if recompute is None else recompute
        self.descriptions = tuple(descriptions)
        # Waits for the weights to be there. Past Keras, which would make a tracked copy of it.
        vars(self)["_parts_to_come"] = dict(trainable_parts or {})

    def __setattr__(self, name, value):
        super().__setattr__(name, value)
        if name == "built" and value:
            parts.freeze_new(self)
            parts.restore(self, vars(self).pop("_parts_to_come", {}))
        elif parts.holds_layers(value):
            parts.freeze_new(self)

    def get_config(self):
        config = super().get_config()
        exceptions = {**parts.exceptions(self), **vars(self).get("_parts_to_come", {})}
        if exceptions:
            config["trainable_parts"] = exceptions
        if self.descriptions:
            config["descriptions"] = list(self.descriptions)
        # A run-time choice, not a part of what the layer computes: written only where it is on,
        # so that a saved model follows the switches of the program that loads it.
        return {**config, "recompute": True} if self.recompute else config
