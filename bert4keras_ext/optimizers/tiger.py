"""Tiger: the sign of the momentum, in steps as large as the weights."""

import re

import keras
from keras import ops

from bert4keras_ext.backend.registration import register
from bert4keras_ext.optimizers import one_pass
from bert4keras_ext.optimizers.derive import UpdateRule, dense


@register
class Tiger(UpdateRule, keras.optimizers.Optimizer):
    """Tiger (tight-fisted optimizer): one slot, one learning rate for all sizes of models.

    ``m <- beta m + (1 - beta) g``, then ``w <- w - a (sign(m) + weight_decay * w)``, where a is
    lr times the root mean square of w; by rows for weights called "embeddings". Weights called
    bias, beta or gamma take ``a = lr / 2`` and no decay. Where a gradient holds a NaN its momentum
    stays, and the weight shrinks: ``w <- c + shrink_ratio * (w - c)`` with c = 1 for gamma, else 0.

    Args:
        learning_rate: relative to the size of the weights; 1e-3 for pretraining from scratch.
        beta: decay of the momentum; 0.965, or 0.945 for small models.
        weight_decay: decay, a part of the step and so relative to the size of the weights too.
        shrink_ratio: what is left of a weight after a NaN.
        minimum_scale: the least size that counts, so that weights at zero can leave it.
        **kwargs: those of every Keras optimizer.

    State: one slot a weight.

    Example:

    >>> optimizer = Tiger(1e-3)

    Source: article 9512.
    """

    decays_itself = True

    def __init__(
        self,
        learning_rate=1e-3,
        beta=0.965,
        weight_decay=0.01,
        shrink_ratio=0.99,
        minimum_scale=1e-3,
        name="Tiger",
        **kwargs,
    ):
        if not 0 <= beta < 1:
            raise ValueError(f"expected beta in [0, 1), received {beta}")
        super().__init__(learning_rate, weight_decay=weight_decay, name=name, **kwargs)
        self.beta = beta
        self.shrink_ratio = shrink_ratio
        self.minimum_scale = minimum_scale

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self._momentums = self.slots("momentum")
        self.keep(_names=[path.split("/")[-1] for path in self.paths(variables)])

    def update_step(self, gradient, variable, learning_rate):
        index = self.index_of(variable)
        name, m = self._names[index], self._momentums[index]
        gradient = ops.reshape(dense(gradient, variable.dtype), variable.shape)
        is_nan = one_pass.mean(ops.cast(ops.isnan(gradient), gradient.dtype)) > 0
        old = ops.convert_to_tensor(m)
        new = ops.where(is_nan, old, old + (gradient - old) * (1 - self.beta))
        self.assign(m, new)
        is_plain = re.search("bias|beta|gamma", name) is not None
        decay = 0 if is_plain else self.weight_decay or 0
        scale = 0.5 if is_plain else self._scale(name, variable)
        step = ops.cast(learning_rate, variable.dtype) * scale * (ops.sign(new) + decay * variable)
        center = 1 if "gamma" in name else 0
        shrunk = center + (variable - center) * self.shrink_ratio
        self.assign(variable, ops.where(is_nan, shrunk, variable - step))

    def _scale(self, name, variable):
        axis = -1 if "embeddings" in name else None
        size = ops.sqrt(one_pass.mean(ops.square(variable), axis))
        return ops.maximum(size, self.minimum_scale)

    def get_config(self):
        return {
            **super().get_config(),
            "beta": self.beta,
            "shrink_ratio": self.shrink_ratio,
            "minimum_scale": self.minimum_scale,
        }
