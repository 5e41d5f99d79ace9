"""Methods of layers as losses and metrics of a model, which come back when it is loaded."""

import functools
import weakref

import keras

from bert4keras_ext.backend.keras_internals import get_tensor_attr, set_tensor_attr
from bert4keras_ext.backend.registration import register

_OWNER = "_b4k_owner"


@register
class LayerMethod(keras.losses.Loss):
    """``layer.sparse_loss``: a bound method that Keras can write into a file and read again.

    Called with labels and outputs it is the method. As the loss of ``compile`` it is called with
    sample weights besides (or None in their place), and then gives the mean that Keras wants.

    One that comes from a file, a clone or a copy knows its layer's name only, and names are not
    unique. It belongs to whichever layer made the outputs it is called with, as Keras' masks do:
    to the layer of the loaded model, so that its weights are trained.

    Args:
        method: the method's name.
        layer: the layer, or the name it had.

    Inputs: y_true and y_pred as the method has them, and optionally sample_weight.

    Raises:
        ValueError: when called without a layer on outputs that no layer with such a method made,
            or that went through another operation since.

    Example:

    >>> from bert4keras_ext.layers import ConditionalRandomField
    >>> crf = ConditionalRandomField()
    >>> logits = crf(keras.ops.zeros((2, 3, 4)))
    >>> loss = keras.losses.get(keras.losses.serialize(crf.sparse_loss))
    >>> tuple(loss(keras.ops.zeros((2, 3)), logits).shape)
    (2,)
    """

    def __init__(self, method, layer, function=None):
        super().__init__(name=method)
        self.__name__ = method
        self.method = method
        self.layer_name = layer if isinstance(layer, str) else layer.name
        # Not an attribute of its own: Keras would save the layer a second time, under this one.
        self._bound = None if isinstance(layer, str) else functools.partial(function, layer)

    def __call__(self, y_true, y_pred, *args, **kwargs):
        bound = self._bound or self._of(y_pred)
        if not args and not kwargs:
            return bound(y_true, y_pred)
        return _Mean(bound, self.name)(y_true, y_pred, *args, **kwargs)

    def _of(self, y_pred):
        owner = get_tensor_attr(y_pred, _OWNER)
        layer = owner and owner()
        if layer is None or not hasattr(layer, self.method):
            found = "no such layer" if layer is None else f"the layer {layer.name!r}"
            raise ValueError(
                f"{self.method!r} of the layer {self.layer_name!r}, loaded with a model, expected "
                f"outputs that come straight from that layer, found those of {found}. Compile the "
                f"model again with the method of its own layer: layer = model.get_layer("
                f"{self.layer_name!r}); model.compile(..., loss=layer.{self.method})"
            )
        return getattr(layer, self.method)

    def __reduce__(self):
        if self._bound is None:
            return type(self), (self.method, self.layer_name)
        return getattr, (self._bound.args[0], self.method)

    def get_config(self):
        return {"method": self.method, "layer": self.layer_name}


class _Mean(keras.losses.Loss):
    """Keras' weighted mean of the values of a function."""

    def __init__(self, function, name):
        super().__init__(name=name)
        self.call = function


class layer_method:
    """Decorator of a layer's method ``(self, y_true, y_pred)``: makes it a `LayerMethod`."""

    def __init__(self, function):
        functools.update_wrapper(self, function)
        self.function = function

    def __get__(self, layer, owner=None):
        if layer is None:
            return self.function
        return LayerMethod(self.function.__name__, layer, self.function)


def with_owner(outputs, layer):
    """The outputs, which tell from now on what layer made them."""
    # A weak reference: graphs keep their tensors, and would keep the layer.
    set_tensor_attr(outputs, _OWNER, weakref.ref(layer))
    return outputs
