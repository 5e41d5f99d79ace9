"""What the loss tests share: gradients, numeric slopes, serialization."""

import keras
import numpy as np


def with_gradient(function, x):
    """(value, gradient of the sum of the value) of a function of one tensor."""
    import tensorflow as tf

    x = tf.convert_to_tensor(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = function(x)
        total = tf.reduce_sum(value)
    gradient = tape.gradient(total, x)
    return np.asarray(value), np.asarray(tf.cast(gradient, "float32"))


def slopes(function, x, step=1e-6):
    """The gradient of a NumPy function's sum by central differences in float64."""
    x = np.asarray(x, "float64")
    found = np.zeros_like(x)
    for place in np.ndindex(*x.shape):
        shift = np.zeros_like(x)
        shift[place] = step
        found[place] = (np.sum(function(x + shift)) - np.sum(function(x - shift))) / (2 * step)
    return found


def check_serialization(loss):
    """The loss comes back from its config with all its settings."""
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert type(again) is type(loss) and again.get_config() == loss.get_config()
    return again
