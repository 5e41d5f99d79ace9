"""Adam as one fused pass over each weight."""

import keras
from keras import ops

from bert4keras_ext.backend.keras_internals import adam_slots
from bert4keras_ext.backend.registration import register
from bert4keras_ext.optimizers.derive import UpdateRule, dense, is_tensorflow


@register
class Adam(UpdateRule, keras.optimizers.Adam):
    """Adam as in its paper, with a bias-correction switch, fused on TensorFlow.

    ``m = b1 m + (1 - b1) g``, ``v = b2 v + (1 - b2) g^2``, then
    ``w -= lr * m' / (sqrt(v') + epsilon)`` with ``m' = m / (1 - b1^t)``, ``v' = v / (1 - b2^t)``;
    without bias correction, as BERT was trained, ``m' = m`` and ``v' = v``.

    (Keras adds epsilon to the root of the uncorrected v, which makes it larger in early steps.
    This one equals bert4keras and PyTorch.) Keras writes each line as several operations over the
    whole weight; TensorFlow's kernel does all of them in one pass. Results differ by rounding.

    Args:
        learning_rate: a float, a schedule or a callable.
        beta_1, beta_2: decay of the two moments.
        epsilon: added to the root of the corrected moment; 1e-6 as in bert4keras.
        bias_correction: divide the moments by ``1 - b^t``.
        **kwargs: those of ``keras.optimizers.Adam`` (weight_decay, clipnorm, ...).

    State: two slots a weight (three with amsgrad). Gradients of embeddings (IndexedSlices) become
    dense once; see extend_with_lazy_optimization for where they need not.

    Example:

    >>> optimizer = Adam(2e-5, bias_correction=False)

    Source: arXiv 1412.6980.
    """

    def __init__(
        self,
        learning_rate=0.001,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-6,
        bias_correction=True,
        name="Adam",
        **kwargs,
    ):
        super().__init__(
            learning_rate, beta_1=beta_1, beta_2=beta_2, epsilon=epsilon, name=name, **kwargs
        )
        self.bias_correction = bias_correction

    def is_fused(self, variable):
        return not self.amsgrad

    def update_step(self, gradient, variable, learning_rate):
        if is_tensorflow() and not self.amsgrad:
            self._fused_step(gradient, variable, learning_rate)
        else:
            self._plain_step(gradient, variable, learning_rate)

    def _powers(self, dtype):
        """(b1^t, b2^t); zeros, for which nothing is corrected, where that is switched off."""
        if not self.bias_correction:
            return ops.zeros((), dtype), ops.zeros((), dtype)
        step = ops.cast(self.iterations + 1, dtype)
        return tuple(ops.power(ops.cast(b, dtype), step) for b in (self.beta_1, self.beta_2))

    def _fused_step(self, gradient, variable, learning_rate):
        import tensorflow as tf

        m, v, _ = adam_slots(self, self.index_of(variable))
        dtype = variable.dtype
        power_1, power_2 = self._powers(dtype)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=m.value.handle,
            v=v.value.handle,
            beta1_power=power_1,
            beta2_power=power_2,
            lr=tf.cast(learning_rate, dtype),
            beta1=tf.cast(self.beta_1, dtype),
            beta2=tf.cast(self.beta_2, dtype),
            # The kernel adds epsilon to sqrt(v): scaled like this it is added to sqrt(v').
            epsilon=tf.cast(self.epsilon, dtype) * tf.sqrt(1 - power_2),
            grad=dense(gradient, dtype),
        )

    def _plain_step(self, gradient, variable, learning_rate):
        m, v, largest = adam_slots(self, self.index_of(variable))
        gradient = dense(gradient, variable.dtype)
        self.assign(m, m + (gradient - m) * (1 - self.beta_1))
        self.assign(v, v + (ops.square(gradient) - v) * (1 - self.beta_2))
        if self.amsgrad:
            self.assign(largest, ops.maximum(largest, v))
            v = largest
        self.assign_sub(variable, self._step(m, v, learning_rate))

    def _step(self, m, v, learning_rate):
        power_1, power_2 = self._powers(m.dtype)
        root = ops.sqrt(v / (1 - power_2)) + self.epsilon
        return ops.cast(learning_rate, m.dtype) / (1 - power_1) * m / root

    def update_rows(self, rows, idle, old, gradient, variable, learning_rate):
        """The new rows for the old ones, of which nothing was heard for `idle` steps.

        Their moments fade over those steps first. See lazy_optimization.
        """
        m, v, largest = adam_slots(self, self.index_of(variable))
        m = self._fade(m, rows, idle, self.beta_1, gradient)
        v = self._fade(v, rows, idle, self.beta_2, ops.square(gradient))
        if self.amsgrad:
            v = ops.maximum(v, self._read(largest, rows))
            self._write(largest, rows, v)
        return old - self._step(m, v, learning_rate)

    def _fade(self, slot, rows, idle, beta, new):
        old = self._read(slot, rows) * ops.power(ops.cast(beta, new.dtype), idle)
        moment = old + (new - old) * (1 - beta)
        self._write(slot, rows, moment)
        return moment

    def _read(self, slot, rows):
        import tensorflow as tf

        return tf.gather(slot.value, rows)  # of the variable: ops.take would read all of it

    def _write(self, slot, rows, values):
        import tensorflow as tf

        self.assign(slot, tf.IndexedSlices(values, rows))

    def get_config(self):
        return {**super().get_config(), "bias_correction": self.bias_correction}
