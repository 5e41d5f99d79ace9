"""Updates of those rows of a table that occur in the batch."""

from keras import ops

from bert4keras_ext.optimizers.derive import (
    Extension,
    dense,
    derive,
    is_defined_inside,
    is_tensorflow,
)
from bert4keras_ext.optimizers.patterns import as_patterns


def extend_with_lazy_optimization(BaseOptimizer, name=None):
    """A new optimizer class that leaves rows of a table alone while they have no gradient.

    Rows (all axes but the last index them) of the chosen weights move only where some element of
    their gradient is not 0. What else the base keeps goes on in all rows: Adam's moments fade, as
    in bert4keras. On TensorFlow the gradient of an embedding stays sparse with this package's Adam
    and Lion, also inside weight decay and rates of single weights: only rows of the batch are read
    and written, and fading is made up for when a row comes again. Other compositions, and dense
    gradients (weights tied to an output, accumulation), compare with a copy of the weight.

    Args of the new class, besides those of the base:
        include_in_lazy_optimization: patterns of the weights to treat so, usually ["Embedding"];
            none by default.

    State: one integer a row of the chosen weights.

    Example:

    >>> from bert4keras_ext.optimizers import Adam, extend_with_lazy_optimization
    >>> LazyAdam = extend_with_lazy_optimization(Adam, "LazyAdam")
    >>> optimizer = LazyAdam(1e-3, include_in_lazy_optimization=["Embedding"])

    Source: article 6869.
    """
    return derive(BaseOptimizer, LazyOptimization, name)


class LazyOptimization(Extension, recipe_name="lazy_optimization"):
    """See extend_with_lazy_optimization."""

    def __init__(self, *args, include_in_lazy_optimization=(), **kwargs):
        super().__init__(*args, **kwargs)
        keyword = "include_in_lazy_optimization"
        self.keep(**{keyword: as_patterns(keyword, include_in_lazy_optimization)})

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        patterns = self.include_in_lazy_optimization
        included = self.matching("include_in_lazy_optimization", patterns, variables)
        counters = {}
        for index, (variable, is_lazy) in enumerate(zip(variables, included)):
            if is_lazy and len(variable.shape) == 2:
                counters[index] = self.add_variable(
                    variable.shape[:1], dtype="int32", name=f"last_update_of_rows_{index}"
                )
        self.keep(
            _is_lazy=included,
            _last_updates=counters,
            _can_update_rows=is_tensorflow()
            and is_defined_inside(type(self), LazyOptimization, "update_rows", "update_step"),
        )

    def is_fused(self, variable):
        return not self._is_lazy[self.index_of(variable)] and super().is_fused(variable)

    def takes_rows(self, gradient, variable):
        is_sparse = hasattr(gradient, "indices") and hasattr(gradient, "values")
        has_counter = self.index_of(variable) in self._last_updates
        return is_sparse and has_counter and self._can_update_rows

    def update_step(self, gradient, variable, learning_rate):
        if not self._is_lazy[self.index_of(variable)]:
            return super().update_step(gradient, variable, learning_rate)
        if self.takes_rows(gradient, variable):
            return self._sparse_step(gradient, variable, learning_rate)
        gradient, old = dense(gradient, variable.dtype), ops.copy(variable)
        super().update_step(gradient, variable, learning_rate)
        has_gradient = ops.any(ops.not_equal(gradient, 0), axis=-1, keepdims=True)
        self.assign(variable, ops.where(has_gradient, ops.convert_to_tensor(variable), old))

    def _sparse_step(self, gradient, variable, learning_rate):
        import tensorflow as tf

        rows, sums = sum_by_row(gradient, variable.dtype)
        counter = self._last_updates[self.index_of(variable)]
        now = tf.cast(self.iterations + 1, "int32")
        idle = tf.cast(now - 1 - tf.gather(counter.value, rows), variable.dtype)[:, None]
        old = tf.gather(variable, rows)
        new = super().update_rows(rows, idle, old, sums, variable, learning_rate)
        has_gradient = tf.reduce_any(sums != 0, axis=-1, keepdims=True)
        self.assign(variable, tf.IndexedSlices(tf.where(has_gradient, new, old), rows))
        self.assign(counter, tf.IndexedSlices(tf.fill(tf.shape(rows), now), rows))

    def get_config(self):
        patterns = self.include_in_lazy_optimization
        return {**super().get_config(), "include_in_lazy_optimization": patterns}


def sum_by_row(gradient, dtype):
    """Indices and values of IndexedSlices in which equal rows have equal values: their sum.

    Rows stay as many as they were, so that shapes are known to XLA: writing equal values twice
    does no harm.
    """
    import tensorflow as tf

    order = tf.argsort(gradient.indices, stable=True)
    rows = tf.gather(gradient.indices, order)
    values = tf.cast(tf.gather(gradient.values, order), dtype)
    is_new = tf.concat([[0], tf.cast(rows[1:] != rows[:-1], "int32")], 0)
    group = tf.cumsum(is_new)
    sums = tf.math.unsorted_segment_sum(values, group, tf.size(rows))
    return rows, tf.gather(sums, group)
