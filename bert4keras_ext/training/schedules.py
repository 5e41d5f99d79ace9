"""Learning-rate schedules."""

import keras
from keras import ops

from bert4keras_ext.backend.registration import register


@register
class WarmupDecay(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up to a learning rate, then linear decay to zero, as BERT was trained.

    ``rate(t) = learning_rate * min((t + 1) / warmup_steps, (total_steps - t) / (total_steps -
    warmup_steps))``, never below zero, with the steps ``t`` counted from 0.

    Args:
        learning_rate: the highest rate.
        total_steps: steps of the whole training.
        warmup_steps: steps of the rise; 0 starts at the highest rate.

    Raises:
        ValueError: not ``0 <= warmup_steps < total_steps``.

    Example:

    >>> rate = WarmupDecay(1.0, total_steps=12, warmup_steps=4)
    >>> [round(float(rate(step)), 3) for step in (0, 3, 4, 8, 12)]
    [0.25, 1.0, 1.0, 0.5, 0.0]

    Source: arXiv 1810.04805, appendix A.2.
    """

    def __init__(self, learning_rate, total_steps, warmup_steps=0):
        if not 0 <= warmup_steps < total_steps:
            raise ValueError(
                "expected 0 <= warmup_steps < total_steps, "
                f"received warmup_steps={warmup_steps}, total_steps={total_steps}"
            )
        self.learning_rate = learning_rate
        self.total_steps = total_steps
        self.warmup_steps = warmup_steps

    def __call__(self, step):
        step = ops.cast(step, "float32")
        rising = (step + 1) / max(self.warmup_steps, 1)
        falling = (self.total_steps - step) / (self.total_steps - self.warmup_steps)
        return self.learning_rate * ops.clip(ops.minimum(rising, falling), 0.0, 1.0)

    def get_config(self):
        return {
            "learning_rate": self.learning_rate,
            "total_steps": self.total_steps,
            "warmup_steps": self.warmup_steps,
        }
