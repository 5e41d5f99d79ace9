"""Adam as one fused pass over each weight."""

import keras
from keras import ops

from bert4keras_ext.backend.registration import register


@register
class Adam(keras.optimizers.Adam):
    """Adam with a bias-correction switch, and a fused update on TensorFlow.

    ``m = b1 m + (1 - b1) g``, ``v = b2 v + (1 - b2) g^2``,
    ``w -= lr * c * m / (sqrt(v) + epsilon)`` with ``c = sqrt(1 - b2^t) / (1 - b1^t)``, or
    ``c = 1`` without bias correction, as BERT was trained.

    Keras writes each of these lines as several operations over the whole weight; TensorFlow's
    kernel does all of them in one pass. Results differ by rounding
    only.

    Args:
        learning_rate: a float, a schedule or a callable.
        beta_1, beta_2: decay of the two moments.
        epsilon: added to the root; 1e-6 as in bert4keras.
        bias_correction: divide the moments by ``1 - b^t``.
        **kwargs: those of ``keras.optimizers.Adam`` (weight_decay, clipnorm, ...).

    State: two slots a weight. Gradients of embeddings (IndexedSlices) become dense once.

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

    def update_step(self, gradient, variable, learning_rate):
        fused = keras.backend.backend() == "tensorflow" and not self.amsgrad
        if fused:
            self._fused_step(gradient, variable, learning_rate)
        elif self.bias_correction:
            super().update_step(gradient, variable, learning_rate)
        else:
            # Keras corrects always: its factor is divided out of the learning rate again.
            super().update_step(gradient, variable, learning_rate / self._correction())

    def _powers(self, dtype="float32"):
        """(b1^t, b2^t); zeros, for which the correction is 1, where it is switched off."""
        if not self.bias_correction:
            return ops.zeros((), dtype), ops.zeros((), dtype)
        step = ops.cast(self.iterations + 1, dtype)
        return tuple(ops.power(ops.cast(b, dtype), step) for b in (self.beta_1, self.beta_2))

    def _correction(self):
        step = ops.cast(self.iterations + 1, "float32")
        return ops.sqrt(1 - self.beta_2**step) / (1 - self.beta_1**step)

    def _fused_step(self, gradient, variable, learning_rate):
        import tensorflow as tf

        index = self._get_variable_index(variable)
        dtype = variable.dtype
        beta_1_power, beta_2_power = self._powers(dtype)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=beta_1_power,
            beta2_power=beta_2_power,
            lr=tf.cast(learning_rate, dtype),
            beta1=tf.cast(self.beta_1, dtype),
            beta2=tf.cast(self.beta_2, dtype),
            epsilon=tf.cast(self.epsilon, dtype),
            grad=tf.cast(tf.convert_to_tensor(gradient), dtype),
        )

    def get_config(self):
        return {**super().get_config(), "bias_correction": self.bias_correction}
