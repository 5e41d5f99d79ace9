"""Gradients without their mean."""

from keras import ops

from bert4keras_ext.optimizers.derive import Extension, dense, derive
from bert4keras_ext.optimizers.patterns import as_patterns


def extend_with_gradient_centralization(BaseOptimizer, name=None):
    """A new optimizer class that takes the mean over a neuron's inputs from its gradient.

    ``g <- g - mean(g)``, the mean over all axes but the last, for kernels (two axes or more).
    Vectors and tables of embeddings (weights called "embeddings") are left alone: a row's gradient
    says nothing of other rows, and a mean would move them all.

    Args of the new class, besides those of the base:
        exclude_from_gradient_centralization: patterns of further weights that keep their gradient.

    State: no slot.

    Example:

    >>> from bert4keras_ext.optimizers import Adam, extend_with_gradient_centralization
    >>> AdamGC = extend_with_gradient_centralization(Adam, "AdamGC")
    >>> optimizer = AdamGC(1e-3)

    Source: arXiv 2004.01461.
    """
    return derive(BaseOptimizer, GradientCentralization, name)


class GradientCentralization(Extension, recipe_name="gradient_centralization"):
    """See extend_with_gradient_centralization."""

    def __init__(self, *args, exclude_from_gradient_centralization=(), **kwargs):
        super().__init__(*args, **kwargs)
        keyword = "exclude_from_gradient_centralization"
        self.keep(**{keyword: as_patterns(keyword, exclude_from_gradient_centralization)})

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        patterns = self.exclude_from_gradient_centralization
        excluded = self.matching("exclude_from_gradient_centralization", patterns, variables)
        self.keep(
            _is_centralized=[
                len(variable.shape) > 1 and not named and "embeddings" not in path.split("/")[-1]
                for variable, named, path in zip(variables, excluded, self.paths(variables))
            ]
        )

    def is_fused(self, variable):
        return not self._is_centralized[self.index_of(variable)] and super().is_fused(variable)

    def update_step(self, gradient, variable, learning_rate):
        if self._is_centralized[self.index_of(variable)]:
            gradient = dense(gradient, variable.dtype)
            axes = tuple(range(len(variable.shape) - 1))
            gradient = gradient - ops.mean(gradient, axis=axes, keepdims=True)
        super().update_step(gradient, variable, learning_rate)

    def get_config(self):
        patterns = self.exclude_from_gradient_centralization
        return {**super().get_config(), "exclude_from_gradient_centralization": patterns}
