"""Learning rates that fall with the depth of the layer."""

import re

from bert4keras_ext.optimizers.checks import checked_number
from bert4keras_ext.optimizers.derive import Extension, derive
from bert4keras_ext.optimizers.patterns import as_patterns


def extend_with_layer_wise_lr_decay(BaseOptimizer, name=None):
    """A new optimizer class whose learning rate falls from the output of a model to its input.

    The rate of a weight is multiplied by ``layer_lr_decay^(L + 1 - d)`` with the number L of layers
    and the depth d of its own: 0 for embeddings, i + 1 for the layer numbered i, and L + 1 for what
    has no number (heads), which keeps the whole rate. Numbers are counted apart for the weights
    before the number (an encoder and a decoder have an L each).

    Args of the new class, besides those of the base:
        layer_lr_decay: in (0, 1]; 0.8 to 0.95 when fine-tuning.
        layer_pattern: regular expression whose one group is a layer's number.
        include_in_layer_zero: patterns of the weights below the first layer.

    State: no slot. Cost: none.

    Raises:
        ValueError: layer_lr_decay outside (0, 1], or a pattern without its group.

    Example:

    >>> from bert4keras_ext.optimizers import Adam, extend_with_layer_wise_lr_decay
    >>> AdamLLRD = extend_with_layer_wise_lr_decay(Adam, "AdamLLRD")
    >>> optimizer = AdamLLRD(1e-4, layer_lr_decay=0.8)

    Source: arXiv 1801.06146 (discriminative fine-tuning), arXiv 2003.10555 (ELECTRA).
    """
    return derive(BaseOptimizer, LayerWiseLRDecay, name)


class LayerWiseLRDecay(Extension, recipe_name="layer_wise_lr_decay"):
    """See extend_with_layer_wise_lr_decay."""

    def __init__(
        self,
        *args,
        layer_lr_decay=0.9,
        layer_pattern=r"Transformer-(\d+)",
        include_in_layer_zero=("Embedding",),
        **kwargs,
    ):
        super().__init__(*args, **kwargs)
        layer_lr_decay = checked_number(
            "layer_lr_decay", layer_lr_decay, "in (0, 1]", lambda x: 0 < x <= 1
        )
        as_patterns("layer_pattern", [layer_pattern])
        if re.compile(layer_pattern).groups != 1:
            raise ValueError(
                "expected a layer_pattern with one group, the layer's number, as in "
                f"'Transformer-(\\d+)'; received {layer_pattern!r}"
            )
        zero = as_patterns("include_in_layer_zero", include_in_layer_zero)
        self.keep(
            layer_lr_decay=layer_lr_decay, layer_pattern=layer_pattern, include_in_layer_zero=zero
        )

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        is_below = self.matching("include_in_layer_zero", self.include_in_layer_zero, variables)
        self.matching("layer_pattern", [self.layer_pattern], variables)
        self.keep(_depth_factors=self._factors(self.paths(variables), is_below))

    def _factors(self, paths, is_below):
        found = [re.search(self.layer_pattern, path) for path in paths]
        stacks = [match and match.string[: match.start()].rpartition("/")[2] for match in found]
        layers = {}  # what stands before the number -> number of layers
        for stack, match in zip(stacks, found):
            if match:
                layers[stack] = max(layers.get(stack, 0), int(match.group(1)) + 1)
        deepest = max(layers.values(), default=0)
        factors = []
        for stack, match, below in zip(stacks, found, is_below):
            steps = deepest + 1 if below else 0
            if match:
                steps = layers[stack] - int(match.group(1))
            factors.append(self.layer_lr_decay**steps)
        return factors

    def _rate_of(self, variable, learning_rate):
        return learning_rate * self._depth_factors[self.index_of(variable)]

    def update_step(self, gradient, variable, learning_rate):
        super().update_step(gradient, variable, self._rate_of(variable, learning_rate))

    def update_rows(self, rows, idle, old, gradient, variable, learning_rate):
        rate = self._rate_of(variable, learning_rate)
        return super().update_rows(rows, idle, old, gradient, variable, rate)

    def get_config(self):
        return {
            **super().get_config(),
            "layer_lr_decay": self.layer_lr_decay,
            "layer_pattern": self.layer_pattern,
            "include_in_layer_zero": self.include_in_layer_zero,
        }
