"""Lion: the sign of an interpolated momentum."""

import keras
from keras import ops

from bert4keras_ext.backend.keras_internals import lion_slot
from bert4keras_ext.backend.registration import register
from bert4keras_ext.optimizers.derive import UpdateRule, dense


@register
class Lion(UpdateRule, keras.optimizers.Lion):
    """Lion with bert4keras' defaults.

    ``w <- w - lr * sign(b1 m + (1 - b1) g)``, then ``m <- b2 m + (1 - b2) g``. Every step moves
    every weight by lr: take a tenth to a third of Adam's learning rate, and a weight decay three to
    ten times as large.

    Args:
        learning_rate: a float, a schedule or a callable.
        beta_1: interpolation between momentum and gradient.
        beta_2: decay of the momentum.
        **kwargs: those of ``keras.optimizers.Lion``.

    State: one slot a weight.

    Example:

    >>> optimizer = Lion(3e-4, weight_decay=0.1)

    Source: arXiv 2302.06675.
    """

    def __init__(self, learning_rate=3e-4, beta_1=0.95, beta_2=0.98, name="Lion", **kwargs):
        super().__init__(learning_rate, beta_1=beta_1, beta_2=beta_2, name=name, **kwargs)

    def update_step(self, gradient, variable, learning_rate):
        m = lion_slot(self, self.index_of(variable))
        gradient = dense(gradient, variable.dtype)
        rate = ops.cast(learning_rate, variable.dtype)
        self.assign_sub(variable, rate * ops.sign(m + (gradient - m) * (1 - self.beta_1)))
        self.assign_add(m, (gradient - m) * (1 - self.beta_2))

    def update_rows(self, rows, idle, old, gradient, variable, learning_rate):
        """The new rows for the old ones; see lazy_optimization."""
        import tensorflow as tf

        slot = lion_slot(self, self.index_of(variable))
        m = tf.gather(slot.value, rows) * tf.pow(tf.cast(self.beta_2, old.dtype), idle)
        new = m + (gradient - m) * (1 - self.beta_2)
        self.assign(slot, tf.IndexedSlices(new, rows))
        update = tf.sign(m + (gradient - m) * (1 - self.beta_1))
        return old - tf.cast(learning_rate, old.dtype) * update
