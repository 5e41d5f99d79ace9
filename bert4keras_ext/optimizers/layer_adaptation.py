"""Layer-wise adaptive learning rates, which make LAMB of Adam."""

from keras import ops

from bert4keras_ext.optimizers import one_pass
from bert4keras_ext.optimizers.derive import Extension, derive
from bert4keras_ext.optimizers.patterns import as_patterns


def extend_with_layer_adaptation(BaseOptimizer, name=None):
    """A new optimizer class whose steps are as long, for each weight, as the weight is large.

    ``w <- w - lr * h * |w| / |h|`` with the base's update ``lr * h`` and norms over the whole
    tensor; the ratio is 1 where either norm is 0.

    Args of the new class, besides those of the base:
        exclude_from_layer_adaptation: patterns searched in the paths of weights that are updated as
            the base does, usually ["Norm", "bias"].

    State: no slot; for the time of the update copies of some weights.

    Example:

    >>> from bert4keras_ext.optimizers import Adam, extend_with_layer_adaptation
    >>> Adapted = extend_with_layer_adaptation(Adam)
    >>> optimizer = Adapted(1e-3, exclude_from_layer_adaptation=["Norm", "bias"])

    Source: arXiv 1904.00962 (LAMB; with SGD inside: arXiv 1708.03888, LARS).
    """
    return derive(BaseOptimizer, LayerAdaptation, name)


class LayerAdaptation(Extension, recipe_name="layer_adaptation"):
    """See extend_with_layer_adaptation."""

    def __init__(self, *args, exclude_from_layer_adaptation=(), **kwargs):
        super().__init__(*args, **kwargs)
        patterns = as_patterns("exclude_from_layer_adaptation", exclude_from_layer_adaptation)
        self.keep(exclude_from_layer_adaptation=patterns)

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        patterns = self.exclude_from_layer_adaptation
        excluded = self.matching("exclude_from_layer_adaptation", patterns, variables)
        self.keep(_is_plain=excluded)

    def is_fused(self, variable):
        return self._is_plain[self.index_of(variable)] and super().is_fused(variable)

    def update_step(self, gradient, variable, learning_rate):
        if self._is_plain[self.index_of(variable)]:
            return super().update_step(gradient, variable, learning_rate)
        old = ops.copy(variable)
        super().update_step(gradient, variable, learning_rate)
        update = ops.convert_to_tensor(variable) - old
        ratio = self._ratio(old, update, learning_rate)
        # Not from the new weight of the base: XLA then stores nothing but the update in between.
        self.assign(variable, old + update * ops.cast(ratio, update.dtype))

    def _ratio(self, old, update, learning_rate):
        size, length = _root_mean_square(old), _root_mean_square(update)
        rate = ops.cast(learning_rate, size.dtype)
        is_defined = (size > 0) & (length > 0) & (rate > 0)
        return ops.where(is_defined, size * rate / ops.where(is_defined, length, 1), 1)

    def get_config(self):
        patterns = self.exclude_from_layer_adaptation
        return {**super().get_config(), "exclude_from_layer_adaptation": patterns}


def _root_mean_square(x):
    # Squares of half precision overflow, and their sums lose what is small.
    if x.dtype in ("float16", "bfloat16"):
        x = ops.cast(x, "float32")
    return ops.sqrt(one_pass.mean(ops.square(x)))
