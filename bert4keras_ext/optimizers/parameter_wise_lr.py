"""Other learning rates for some weights."""

import math

from bert4keras_ext.optimizers.checks import checked_number
from bert4keras_ext.optimizers.derive import Extension, derive
from bert4keras_ext.optimizers.patterns import as_patterns, which_match


def extend_with_parameter_wise_lr(BaseOptimizer, name=None):
    """A new optimizer class with a learning rate of its own for each weight.

    The learning rate of a weight is multiplied by the factors of all patterns found in its path;
    whatever stands inside (weight decay, layer adaptation) sees the product.

    Args of the new class, besides those of the base:
        paramwise_lr_schedule: {pattern: factor}, such as {"Embedding": 0.1, "bias": 2}; factors
            >= 0, and 0 leaves weights as they are.

    State: no slot. Cost: none.

    Raises:
        ValueError: a negative factor, or a pattern that is no regular expression.

    Example:

    >>> from bert4keras_ext.optimizers import Adam, extend_with_parameter_wise_lr
    >>> Adam2 = extend_with_parameter_wise_lr(Adam)
    >>> optimizer = Adam2(1e-4, paramwise_lr_schedule={"Transformer": 0.1, "CRF": 100})

    Source: article 6418; bert4keras.
    """
    return derive(BaseOptimizer, ParameterWiseLR, name)


class ParameterWiseLR(Extension, recipe_name="parameter_wise_lr"):
    """See extend_with_parameter_wise_lr."""

    def __init__(self, *args, paramwise_lr_schedule=None, **kwargs):
        super().__init__(*args, **kwargs)
        schedule = dict(paramwise_lr_schedule or {})
        as_patterns("paramwise_lr_schedule", list(schedule))
        for pattern, factor in schedule.items():
            wanted = f"with factors >= 0 (for {pattern!r})"
            schedule[pattern] = checked_number(
                "paramwise_lr_schedule", factor, wanted, lambda x: x >= 0
            )
        self.keep(paramwise_lr_schedule=schedule)

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        schedule = self.paramwise_lr_schedule
        self.matching("paramwise_lr_schedule", list(schedule), variables)
        factors = [
            math.prod(schedule[pattern] for pattern in which_match(schedule, path))
            for path in self.paths(variables)
        ]
        self.keep(_weight_factors=factors)

    def _rate_of(self, variable, learning_rate):
        return learning_rate * self._weight_factors[self.index_of(variable)]

    def update_step(self, gradient, variable, learning_rate):
        super().update_step(gradient, variable, self._rate_of(variable, learning_rate))

    def update_rows(self, rows, idle, old, gradient, variable, learning_rate):
        rate = self._rate_of(variable, learning_rate)
        return super().update_rows(rows, idle, old, gradient, variable, rate)

    def get_config(self):
        return {**super().get_config(), "paramwise_lr_schedule": self.paramwise_lr_schedule}
