"""Lookahead: slow weights that follow fast ones."""

from keras import ops

from bert4keras_ext.optimizers.checks import checked_count, checked_number
from bert4keras_ext.optimizers.derive import Extension, derive


def extend_with_lookahead(BaseOptimizer, name=None):
    """A new optimizer class that, every k updates, goes back part of the way it came.

    After each group of `steps_per_slow_update` updates of the base
    ``slow <- slow + slow_step_size * (w - slow); w <- slow``, where slow is what the weights were
    when the group began: the very first time the weights as they are, not zeros as in bert4keras.

    Args of the new class, besides those of the base:
        steps_per_slow_update: updates a group (k of the paper), >= 1.
        slow_step_size: the part of the way that is kept (alpha), in (0, 1].

    State: one slot, read and written in two of k updates.

    Raises:
        ValueError: k < 1, or alpha outside (0, 1].

    Example:

    >>> from bert4keras_ext.optimizers import Adam, extend_with_lookahead
    >>> AdamLookahead = extend_with_lookahead(Adam)
    >>> optimizer = AdamLookahead(1e-3, steps_per_slow_update=5, slow_step_size=0.5)

    Source: arXiv 1907.08610.
    """
    return derive(BaseOptimizer, Lookahead, name)


class Lookahead(Extension, recipe_name="lookahead"):
    """See extend_with_lookahead."""

    def __init__(self, *args, steps_per_slow_update=5, slow_step_size=0.5, **kwargs):
        super().__init__(*args, **kwargs)
        self.steps_per_slow_update = checked_count("steps_per_slow_update", steps_per_slow_update)
        self.slow_step_size = checked_number(
            "slow_step_size", slow_step_size, "in (0, 1]", lambda x: 0 < x <= 1
        )

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self._slow_weights = self.slots("slow_weight")

    def whole_update(self, gradients, variables):
        # All weights: those without a gradient in this update may have one in others of its group.
        fast, slow = self.updated_weights, self._slow_weights
        # Taken anew for each group, also of frozen weights: what was loaded or thawed in between
        # goes back to where it was when the group began, not to some earlier place.
        self.for_each(self.assign, slow, fast, when=lambda: self._is_step(0))
        super().whole_update(gradients, variables)
        fast, slow = self.unfrozen(fast, slow)
        self.for_each(self._go_back, fast, slow, when=lambda: self._is_step(-1))

    def _is_step(self, place):
        """Whether the present update is the one at this place of its group."""
        k = self.steps_per_slow_update
        return ops.equal(ops.mod(self.iterations, k), place % k)

    def _go_back(self, variable, slow):
        way = ops.convert_to_tensor(slow) - variable
        self.assign_add(variable, way * (1 - self.slow_step_size))

    def get_config(self):
        return {
            **super().get_config(),
            "steps_per_slow_update": self.steps_per_slow_update,
            "slow_step_size": self.slow_step_size,
        }
