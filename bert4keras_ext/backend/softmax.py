"""Softmax of half the width, where TensorFlow's own kernel is as exact as float32."""

import functools

import keras
from keras import ops

from bert4keras_ext.backend.acceleration import has_gpu
from bert4keras_ext.backend.gradients import custom_gradient
from bert4keras_ext.backend.keras_internals import is_inside_xla


def wide(scores):
    """Softmax along the last axis; a single key, of which Keras would warn, has all the weight."""
    return ops.ones_like(scores) if scores.shape[-1] == 1 else ops.softmax(scores, axis=-1)


@custom_gradient
def narrow(scores):
    """Softmax along the last axis in the dtype of the scores, for which `is_exact` must hold.

    A gradient through it (a model called with ``training=False`` may still be trained) is worked
    out in float32, from weights rounded once.
    """
    weights = wide(scores)

    def gradient(*args, upstream=None):
        upstream = ops.cast(args[0] if upstream is None else upstream, "float32")
        wide = ops.cast(weights, "float32")
        along = ops.sum(upstream * wide, axis=-1, keepdims=True)
        return ops.cast((upstream - along) * wide, scores.dtype)

    return weights, gradient


def is_exact(dtype):
    """Whether softmax of this dtype, here and now, works in float32 inside and rounds once.

    It then equals the cast to float32, softmax and cast back, number for number, without writing
    the scores twice as wide: a twentieth of BERT's time for a text of 512 tokens on a CPU. That
    is so for bfloat16 in oneDNN's kernel; Eigen's and XLA's round in between (up to 8 % of a
    weight), and GPUs have not been tried.
    """
    if keras.backend.standardize_dtype(dtype) != "bfloat16":
        return False
    if keras.backend.backend() != "tensorflow" or has_gpu() or is_inside_xla():
        return False
    return _kernel_is_exact()


@functools.cache
def _kernel_is_exact():
    """Asks the kernel itself: which one TensorFlow takes depends on its build and processor."""
    import tensorflow as tf

    with tf.init_scope():
        scores = tf.cast(tf.reshape(tf.linspace(-8.0, 8.0, 1024), (1, 1, 2, 512)), "bfloat16")
        wide = tf.cast(tf.nn.softmax(tf.cast(scores, "float32")), "bfloat16")
        return bool(tf.reduce_all(tf.nn.softmax(scores) == wide))
