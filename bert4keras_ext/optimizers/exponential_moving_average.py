"""Exponential moving averages of the weights, for evaluation."""

from keras import ops

from bert4keras_ext.optimizers.checks import checked_number
from bert4keras_ext.optimizers.derive import Extension, derive


def extend_with_exponential_moving_average(BaseOptimizer, name=None):
    """A new optimizer class that averages the weights over the last updates, beside training.

    ``ema <- ema_momentum * ema + (1 - ema_momentum) * w`` after each update, from zero; what is
    used is ``ema / (1 - ema_momentum^t)`` after t updates, in which the zero has no part. Training
    itself goes on with w. `optimizer.apply_ema_weights()` puts the averages into the model, and
    `optimizer.reset_old_weights()` puts back what was there; `training.EvaluateWithEMA` does both
    around each evaluation. (Under a LossScaleOptimizer: `model.optimizer.inner_optimizer`.)
    Frozen weights are averaged, in case they are thawed, and stay in the model as they are.

    Args of the new class, besides those of the base:
        ema_momentum: in [0, 1); averages reach back over about 1 / (1 - ema_momentum) updates.

    State: one slot; between apply and reset a copy of the weights in the host's memory.

    Raises:
        ValueError: ema_momentum outside [0, 1), or Keras' own `use_ema` besides.
        RuntimeError: apply before the first update or twice, reset without apply.

    Example:

    >>> from bert4keras_ext.optimizers import Adam, extend_with_exponential_moving_average
    >>> AdamEMA = extend_with_exponential_moving_average(Adam, "AdamEMA")
    >>> optimizer = AdamEMA(1e-3, ema_momentum=0.999)

    Source: article 6575; arXiv 1412.6980, section 7.2.
    """
    return derive(BaseOptimizer, ExponentialMovingAverage, name)


class ExponentialMovingAverage(Extension, recipe_name="exponential_moving_average"):
    """See extend_with_exponential_moving_average."""

    def __init__(self, *args, ema_momentum=0.999, **kwargs):
        super().__init__(*args, **kwargs)
        if self.use_ema:
            raise ValueError("expected one average of the weights, received use_ema=True besides")
        self.ema_momentum = checked_number(
            "ema_momentum", ema_momentum, "in [0, 1)", lambda x: 0 <= x < 1
        )
        self.keep(_old_weights=None)

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self._averages = self.slots("ema")

    @property
    def ema_weights(self):
        """The averages as they are stored, before the correction; in the weights' order."""
        return list(self._averages)

    def whole_update(self, gradients, variables):
        super().whole_update(gradients, variables)
        # All weights: those without a gradient today, or frozen, are in the model all the same.
        self.for_each(self._average, self._averages, self.updated_weights, is_unfused=True)

    def _average(self, average, variable):
        self.assign_add(average, (variable - average) * (1 - self.ema_momentum))

    def apply_ema_weights(self, bias_correction=True):
        """Puts the averages into the model, until `reset_old_weights`."""
        if self._old_weights is not None:
            raise RuntimeError("the averages are applied already: reset_old_weights() comes first")
        updates = int(ops.convert_to_numpy(self.iterations)) if self.built else 0
        if updates == 0:
            raise RuntimeError("there are no averages before the first update of the weights")
        scale = 1 - self.ema_momentum**updates if bias_correction else 1
        pairs = zip(*self.unfrozen(self.model_weights, self._averages))
        pairs = [(variable, average) for variable, average in pairs if average is not None]
        self.keep(_old_weights=[(v, ops.convert_to_numpy(v)) for v, _ in pairs])
        for variable, average in pairs:
            variable.assign(ops.cast(ops.convert_to_numpy(average) / scale, variable.dtype))

    def reset_old_weights(self):
        """Puts the weights back that `apply_ema_weights` took away."""
        if self._old_weights is None:
            raise RuntimeError("there are no old weights: apply_ema_weights() comes first")
        for variable, old in self._old_weights:
            variable.assign(old)
        self.keep(_old_weights=None)

    def get_config(self):
        return {**super().get_config(), "ema_momentum": self.ema_momentum}
