"""The base class of every layer here."""

import keras

from bert4keras_ext.backend.acceleration import recompute_enabled
from bert4keras_ext.layers import parts


class Layer(keras.layers.Layer):
    """A Keras layer that passes masks on, recomputes where asked to, and stays frozen.

    What is frozen, the layer or parts of it (``attention.q.trainable = False``, or a weight's), is
    so in files, clones and copies too, and so is LoRA in sub-layers.

    Args:
        recompute: make the activations again in the backward pass instead of keeping them
            (``call`` must be decorated with ``recompute_grad``). None reads the switch
            ``set_recompute`` at construction.
        part_states: what sub-layers and weights are otherwise than this layer's arguments say,
            {"q": {"trainable": False}, "v": {"lora_rank": 8, "lora_alpha": 8}}: whether they are
            trained, and LoRA.
        descriptions: of the models that the layer was built for, as a file has them.
        **kwargs: those of ``keras.layers.Layer``; ``trainable=False`` reaches sub-layers as well.

    Inputs, output: as the subclass has them. The mask of the first argument is passed on, unless
    ``compute_mask`` says otherwise.

    Example:

    >>> class Double(Layer):
    ...     def call(self, inputs):
    ...         return 2 * inputs
    """

    def __init__(self, recompute=None, part_states=None, descriptions=(), **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True
        self.recompute = recompute_enabled() if recompute is None else recompute
        self.descriptions = tuple(descriptions)
        # Waits for the weights to be there. Past Keras, which would make a tracked copy of it.
        vars(self)["_states_to_come"] = dict(part_states or {})

    def __setattr__(self, name, value):
        super().__setattr__(name, value)
        if name == "built" and value:
            self.settle_parts()
        elif parts.holds_layers(value):
            parts.freeze_new(self)

    def __call__(self, *args, **kwargs):
        outputs = super().__call__(*args, **kwargs)
        if not vars(self).get("_is_settled"):  # what is built when it is called is there now
            vars(self)["_is_settled"] = True
            self.settle_parts()
        return outputs

    def settle_parts(self):
        """Passes what is frozen, and states from a config, on to sub-layers, once they exist."""
        parts.freeze_new(self)
        parts.freeze_inside(self)
        waiting = vars(self).get("_states_to_come")
        if waiting:
            vars(self)["_states_to_come"] = parts.restore(self, waiting)

    def get_config(self):
        config = super().get_config()
        states = {**parts.states(self), **vars(self).get("_states_to_come", {})}
        if states:
            config["part_states"] = states
        if self.descriptions:
            config["descriptions"] = list(self.descriptions)
        # A run-time choice, not a part of what the layer computes: written only where it is on,
        # so that a saved model follows the switches of the program that loads it.
        return {**config, "recompute": True} if self.recompute else config
