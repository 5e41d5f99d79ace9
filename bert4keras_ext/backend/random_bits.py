"""Random keep-or-drop decisions from few random bits."""

import keras
from keras import ops

from bert4keras_ext.backend.acceleration import has_gpu


def keep_mask(shape, rate, seed_generator):
    """A bool tensor that is False with probability ``rate``.

    On TensorFlow's CPU two decisions are made from each random 32-bit word (to 2^-16 of the rate
    asked for), which makes dropout cheaper there; elsewhere Keras' uniform numbers are used.

    Args:
        shape: of the result; entries may be scalar tensors.
        rate: probability of False, in (0, 1).
        seed_generator: a ``keras.random.SeedGenerator``.
    """
    if not has_gpu():
        return _from_words(shape, rate, seed_generator)
    return keras.random.uniform(shape, seed=seed_generator) >= rate


def _from_words(shape, rate, seed_generator):
    import tensorflow as tf

    count = ops.prod(ops.stack(shape)) if any(tf.is_tensor(d) for d in shape) else _product(shape)
    words = tf.random.stateless_uniform(
        [(count + 1) // 2], tf.cast(seed_generator.next(), "int32"), None, None, "int32"
    )
    halves = tf.reshape(tf.bitcast(words, "int16"), [-1])[:count]
    threshold = round(rate * 2**16) - 2**15  # int16 runs from -2^15
    return tf.reshape(halves, shape) >= tf.constant(threshold, "int16")


def _product(shape):
    result = 1
    for size in shape:
        result *= size
    return result
