"""Functions with a gradient of their own, which leave nothing behind once their model is gone."""

import functools

import keras
from keras import ops, tree

from bert4keras_ext.backend.keras_internals import forget_gradient_with_its_graph


def custom_gradient(function):
    """``keras.ops.custom_gradient`` without its leak: on TensorFlow every call in a graph stays
    in a registry there, with the graph, for as long as the process lives.

    Args:
        function: of positional tensors; returns ``(outputs, gradient)``, where ``gradient`` takes
            one upstream gradient for each output (JAX passes it as ``upstream=``) and, if the
            function reads variables, ``variables=``.

    Example:

    >>> @custom_gradient
    ... def clipped_square(x):
    ...     def gradient(*args, upstream=None):
    ...         upstream = args[0] if upstream is None else upstream
    ...         return upstream * ops.clip(2 * x, -1, 1)
    ...     return ops.square(x), gradient
    >>> float(clipped_square(ops.convert_to_tensor(3.0)))
    9.0
    """
    if keras.backend.backend() != "tensorflow":
        return ops.custom_gradient(function)
    import tensorflow as tf

    with_gradient = tf.custom_gradient(function)

    @functools.wraps(function)
    def wrapper(*args):
        outputs = with_gradient(*args)
        tensors = [x for x in tree.flatten(outputs) if tf.is_tensor(x)]
        if tf.is_symbolic_tensor(tensors[0]):
            forget_gradient_with_its_graph(tensors)
        return outputs

    return wrapper
