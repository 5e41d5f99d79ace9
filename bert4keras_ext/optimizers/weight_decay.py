"""Decoupled weight decay."""

from keras import ops

from bert4keras_ext.optimizers.checks import checked_number
from bert4keras_ext.optimizers.derive import Extension, derive
from bert4keras_ext.optimizers.patterns import as_patterns


def extend_with_weight_decay(BaseOptimizer, name=None):
    """A new optimizer class that shrinks weights beside the update of the base.

    ``w <- w - lr * h - lr * weight_decay_rate * w`` with the base's update ``lr * h``, both from
    the weight before the step. Inside a layer adaptation the decay is a part of what is adapted
    (LAMB), outside it is not.

    Args of the new class, besides those of the base:
        weight_decay_rate: a number >= 0; 0.01 as BERT was trained.
        exclude_from_weight_decay: patterns searched in the paths of weights that keep their size,
            usually ["Norm", "bias"].

    State: no slot.

    Raises:
        ValueError: a negative rate, or a pattern that is no regular expression; the base's own
            `weight_decay` besides (keras.optimizers.AdamW and Tiger have one by default).

    Example:

    >>> from bert4keras_ext.optimizers import Adam, extend_with_weight_decay
    >>> AdamW = extend_with_weight_decay(Adam, "AdamW")
    >>> AdamW(2e-5, exclude_from_weight_decay=["Norm", "bias"]).weight_decay_rate
    0.01

    Source: arXiv 1711.05101.
    """
    return derive(BaseOptimizer, WeightDecay, name)


class WeightDecay(Extension, recipe_name="weight_decay"):
    """See extend_with_weight_decay."""

    def __init__(self, *args, weight_decay_rate=0.01, exclude_from_weight_decay=(), **kwargs):
        super().__init__(*args, **kwargs)
        weight_decay_rate = checked_number(
            "weight_decay_rate", weight_decay_rate, ">= 0", lambda x: x >= 0
        )
        if weight_decay_rate and self.weight_decay:
            raise ValueError(
                f"expected one decay, received weight_decay={self.weight_decay} of "
                f"{type(self).__name__}'s base besides weight_decay_rate={weight_decay_rate}: pass "
                "weight_decay=0.0, or weight_decay_rate=0"
            )
        patterns = as_patterns("exclude_from_weight_decay", exclude_from_weight_decay)
        self.keep(weight_decay_rate=weight_decay_rate, excluded_from_weight_decay=patterns)

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        patterns = self.excluded_from_weight_decay
        excluded = self.matching("exclude_from_weight_decay", patterns, variables)
        self.keep(_keeps_its_size=excluded)

    def is_fused(self, variable):
        return self._keeps_its_size[self.index_of(variable)] and super().is_fused(variable)

    def _decay(self, variable, learning_rate):
        """The part of the weight that this step takes away."""
        return ops.cast(learning_rate * self.weight_decay_rate, variable.dtype)

    def update_step(self, gradient, variable, learning_rate):
        if self._keeps_its_size[self.index_of(variable)]:
            return super().update_step(gradient, variable, learning_rate)
        # Before the update, as rules that look at the weight must see it whole.
        lost = ops.convert_to_tensor(variable) * self._decay(variable, learning_rate)
        super().update_step(gradient, variable, learning_rate)
        self.assign_sub(variable, lost)

    def update_rows(self, rows, idle, old, gradient, variable, learning_rate):
        new = super().update_rows(rows, idle, old, gradient, variable, learning_rate)
        if self._keeps_its_size[self.index_of(variable)]:
            return new
        return new - old * self._decay(variable, learning_rate)

    def get_config(self):
        return {
            **super().get_config(),
            "weight_decay_rate": self.weight_decay_rate,
            "exclude_from_weight_decay": self.excluded_from_weight_decay,
        }
