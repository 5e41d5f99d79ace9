"""AdaFactor: second moments as the product of a row and a column."""

import keras
from keras import ops

from bert4keras_ext.backend.registration import register
from bert4keras_ext.optimizers import one_pass
from bert4keras_ext.optimizers.derive import UpdateRule, dense
from bert4keras_ext.optimizers.patterns import as_patterns


@register
class AdaFactor(UpdateRule, keras.optimizers.Optimizer):
    """AdaFactor with all of bert4keras' arguments.

    With the squared gradient ``s = g^2 + epsilon1`` and ``b2 = 1 - t^-0.8`` (or beta2): weights
    whose two largest axes have min_dim_size_to_factor or more keep the means of s over either,
    ``r <- b2 r + (1 - b2) mean_1(s)`` and ``c <- b2 c + (1 - b2) mean_2(s)``, of which
    ``v = r c / mean(r)``; others keep ``v <- b2 v + (1 - b2) s``. Then
    ``u = g / sqrt(v + epsilon1)``, divided by ``rms(u) / clipping_threshold`` where that exceeds 1;
    ``u = m <- beta1 m + (1 - beta1) u`` with beta1 > 0; and
    ``w <- w - lr * u * max(rms(w), epsilon2)``, without the last factor where weights are excluded
    or multiply_by_parameter_scale is off.

    Args:
        learning_rate: a float, a schedule, a callable, or None: ``min(1 / sqrt(t), 0.01)``, times
            0.05 without parameter scale.
        beta1: decay of the momentum; 0 needs no slot for it.
        beta2: decay of the squares, or None.
        epsilon1, epsilon2: see above.
        multiply_by_parameter_scale: make updates relative to the size of the weights.
        clipping_threshold: the largest root mean square of an update, or None.
        min_dim_size_to_factor: see above.
        exclude_from_parameter_scale: patterns searched in the paths of weights.
        **kwargs: those of every Keras optimizer.

    State: for factored weights a row and a column, for others one slot; one more with beta1 > 0.

    Example:

    >>> optimizer = AdaFactor(1e-3, beta1=0.9)

    Source: arXiv 1804.04235.
    """

    def __init__(
        self,
        learning_rate=1e-3,
        beta1=0.0,
        beta2=None,
        epsilon1=1e-30,
        epsilon2=1e-3,
        multiply_by_parameter_scale=True,
        clipping_threshold=1.0,
        min_dim_size_to_factor=128,
        exclude_from_parameter_scale=None,
        name="AdaFactor",
        **kwargs,
    ):
        patterns = as_patterns("exclude_from_parameter_scale", exclude_from_parameter_scale)
        is_relative = learning_rate is None
        super().__init__(1.0 if is_relative else learning_rate, name=name, **kwargs)
        self.has_relative_step = is_relative
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon1 = epsilon1
        self.epsilon2 = epsilon2
        self.multiply_by_parameter_scale = multiply_by_parameter_scale
        self.clipping_threshold = clipping_threshold
        self.min_dim_size_to_factor = min_dim_size_to_factor
        self.keep(exclude_from_parameter_scale=patterns)

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        patterns = self.exclude_from_parameter_scale
        excluded = self.matching("exclude_from_parameter_scale", patterns, variables)
        self.keep(_is_scaled=[self.multiply_by_parameter_scale and not each for each in excluded])
        self._momentums = self.slots("momentum") if self.beta1 > 0 else []
        self._squares = [self._slots_of_squares(variable) for variable in variables]

    def _slots_of_squares(self, variable):
        """[r, c] of a factored weight, [v] of another; axes that are averaged have size 1."""
        shapes = [
            [1 if axis == other else size for other, size in enumerate(variable.shape)]
            for axis in self._factored_axes(variable.shape) or [None]
        ]
        return [
            self.add_variable(shape, dtype=variable.dtype, name=f"square_{number}")
            for number, shape in enumerate(shapes)
        ]

    def _factored_axes(self, shape):
        """The largest axis and the second largest, or None if that is too small."""
        if len(shape) < 2:
            return None
        *_, second, first = sorted(range(len(shape)), key=lambda axis: shape[axis])
        return [first, second] if shape[second] >= self.min_dim_size_to_factor else None

    def rate_in_force(self):
        if not self.has_relative_step:
            return super().rate_in_force()
        rate = ops.minimum(1 / ops.sqrt(self._step("float32")), 0.01)
        return rate if self.multiply_by_parameter_scale else rate * 0.05

    def set_rate(self, learning_rate):
        if self.has_relative_step:
            raise TypeError(
                "expected AdaFactor(learning_rate=None) to make its own learning rate, received "
                f"{learning_rate!r} to set: pass a learning_rate to the constructor"
            )
        super().set_rate(learning_rate)

    def _step(self, dtype):
        return ops.cast(self.iterations + 1, dtype)

    def update_step(self, gradient, variable, learning_rate):
        index = self.index_of(variable)
        # The shape of the weight: a sum over rows of an embedding forgets its own.
        gradient = ops.reshape(dense(gradient, variable.dtype), variable.shape)
        axes = self._factored_axes(variable.shape)
        root = ops.sqrt(self._second_moment(index, gradient, axes) + self.epsilon1)
        update = gradient / root
        if self.clipping_threshold is not None:
            update = update / ops.maximum(1.0, _rms(update) / self.clipping_threshold)
        if self.beta1 > 0:
            m = self._momentums[index]
            self.assign_add(m, (update - m) * (1 - self.beta1))
            update = ops.convert_to_tensor(m)
        rate = ops.cast(learning_rate, variable.dtype)
        if self._is_scaled[index]:
            rate = rate * ops.maximum(_rms(variable), self.epsilon2)
        self.assign_sub(variable, update * rate)

    def _second_moment(self, index, gradient, axes):
        squares = ops.square(gradient) + self.epsilon1
        decay = self.beta2
        if decay is None:
            decay = 1 - ops.power(self._step(gradient.dtype), -0.8)
        slots = self._squares[index]
        for slot, axis in zip(slots, axes or [None]):
            new = squares if axis is None else one_pass.mean(squares, axis)
            self.assign(slot, slot + (new - slot) * (1 - decay))
        if axes is None:
            return ops.convert_to_tensor(slots[0])
        row, column = slots
        return row * column / ops.mean(row, axis=axes[1], keepdims=True)

    def get_config(self):
        config = {
            **super().get_config(),
            "beta1": self.beta1,
            "beta2": self.beta2,
            "epsilon1": self.epsilon1,
            "epsilon2": self.epsilon2,
            "multiply_by_parameter_scale": self.multiply_by_parameter_scale,
            "clipping_threshold": self.clipping_threshold,
            "min_dim_size_to_factor": self.min_dim_size_to_factor,
            "exclude_from_parameter_scale": self.exclude_from_parameter_scale,
        }
        return {**config, "learning_rate": None} if self.has_relative_step else config


def _rms(x):
    return ops.sqrt(one_pass.mean(ops.square(x)))
