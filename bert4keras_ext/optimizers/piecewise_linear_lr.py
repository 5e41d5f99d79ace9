"""A learning rate that rises and falls along straight lines."""

import math

from keras import ops

from bert4keras_ext.optimizers.derive import Extension, derive


def extend_with_piecewise_linear_lr(BaseOptimizer, name=None):
    """A new optimizer class whose learning rate is multiplied by a function of the step.

    The function goes in straight lines through the points of `lr_schedule`, from 0 at step 0
    unless step 0 is given, and stays where it is after the last: {1000: 1, 2000: 0.1} is a warm-up
    of 1000 steps, a decay to a tenth until step 2000, and a tenth from there on. Steps are
    updates of the weights, counted from 0: gradient accumulation does not advance them in between
    (in bert4keras it does: divide such schedules by grad_accum_steps).

    `optimizer.learning_rate` reads as the rate in force; everything that uses the learning rate
    (weight decay inside or outside) follows the schedule. It cannot be set, as with Keras'
    schedules: what reads it and writes it back, as callbacks do, would put the rate in force (0 at
    the start) in the place of the one that is multiplied. That is `optimizer.base_learning_rate`,
    to read and to set.

    Args of the new class, besides those of the base:
        lr_schedule: {step: factor}, steps >= 0 in ascending order, factors >= 0.

    State: no slot.

    Raises:
        ValueError: an empty schedule, steps that are no integers, negative or out of order, or a
            factor that is negative or no finite number.
        TypeError: `optimizer.learning_rate` is set, also by Keras' LearningRateScheduler and
            ReduceLROnPlateau.

    Example:

    >>> from bert4keras_ext.optimizers import Adam, extend_with_piecewise_linear_lr
    >>> AdamLR = extend_with_piecewise_linear_lr(Adam, "AdamLR")
    >>> optimizer = AdamLR(2e-5, lr_schedule={1000: 1, 2000: 0.1})
    >>> float(optimizer.learning_rate)
    0.0

    Source: article 7094.
    """
    return derive(BaseOptimizer, PiecewiseLinearLR, name)


class PiecewiseLinearLR(Extension, recipe_name="piecewise_linear_lr"):
    """See extend_with_piecewise_linear_lr."""

    def __init__(self, *args, lr_schedule=None, **kwargs):
        super().__init__(*args, **kwargs)
        # Not a tracked attribute: checkpoints know no dictionaries with numbers for keys.
        self.keep(lr_schedule=_check({0: 1} if lr_schedule is None else lr_schedule))

    def rate_in_force(self):
        factor = piecewise_linear(self.iterations, self.lr_schedule)
        return super().rate_in_force() * factor

    @property
    def base_learning_rate(self):
        """What the schedule multiplies."""
        return super().rate_in_force()

    @base_learning_rate.setter
    def base_learning_rate(self, learning_rate):
        super().set_rate(learning_rate)

    def set_rate(self, learning_rate):
        raise TypeError(
            f"expected lr_schedule to rule the learning rate, received {learning_rate!r} to set: "
            "LearningRateScheduler and ReduceLROnPlateau do not go with piecewise_linear_lr, whose "
            "rate in force they would multiply once more. Write it into lr_schedule, or set "
            "optimizer.base_learning_rate, which the schedule multiplies"
        )

    def get_config(self):
        # Strings, as JSON would make of them.
        schedule = {str(step): factor for step, factor in self.lr_schedule.items()}
        return {**super().get_config(), "lr_schedule": schedule}


def piecewise_linear(step, schedule):
    """The schedule's factor at a step, a float32 scalar."""
    points = list(schedule.items())
    if points[0][0] > 0:
        points.insert(0, (0, 0.0))
    step = ops.cast(step, "float32")
    factor = ops.cast(points[-1][1], "float32")
    for (start, low), (end, high) in reversed(list(zip(points, points[1:]))):
        line = low + (high - low) / (end - start) * (step - start)
        factor = ops.where(step < end, line, factor)
    return factor


def _check(schedule):
    """{int: float} of what the user gave; the keys are strings when they come from a file."""
    message = "expected lr_schedule as {step: factor} with integer steps >= 0 in ascending order "
    message += f"and factors >= 0, such as {{1000: 1, 2000: 0.1}}; received {schedule}"
    try:
        points = [(int(step), float(factor)) for step, factor in schedule.items()]
        is_whole = all(int(step) == float(step) for step in schedule)
    except (AttributeError, OverflowError, TypeError, ValueError):
        raise ValueError(message) from None
    steps = [step for step, _ in points]
    is_ordered = bool(steps) and steps[0] >= 0 and all(a < b for a, b in zip(steps, steps[1:]))
    if not (is_whole and is_ordered and all(f >= 0 and math.isfinite(f) for _, f in points)):
        raise ValueError(message)
    return dict(points)
