"""Every private name of Keras that the package needs, each with the reason."""

# A tensor of JAX takes no attributes; Keras' masks travel by these two, and so do our marks.
from keras.src.backend.common.tensor_attributes import get_tensor_attr, set_tensor_attr

__all__ = ["TRACKED", "freezable_weights", "get_tensor_attr", "set_tensor_attr", "sublayers"]


def sublayers(layer):
    """The layers that a layer holds itself; Keras lists those of models only."""
    return layer._flatten_layers(include_self=False, recursive=False)


def freezable_weights(layer):
    """A layer's own weights but those made with trainable=False: what its `trainable` sets."""
    return list(layer._trainable_variables)


# Attributes of a layer in which Keras keeps once more what other attributes hold.
TRACKED = ("_layers", "_trainable_variables", "_non_trainable_variables", "_tracker")
