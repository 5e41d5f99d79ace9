"""Gradient accumulation: the update of a large batch from several small ones."""

from keras import ops

from bert4keras_ext.optimizers.checks import checked_count
from bert4keras_ext.optimizers.derive import Extension, derive


def extend_with_gradient_accumulation(BaseOptimizer, name=None):
    """A new optimizer class that updates once for `grad_accum_steps` batches.

    ``sum <- sum + g``; with the k-th batch the base gets the gradient ``sum / k``, and the sum
    starts again at zero. So k equal batches give the update of the one batch made of them, to
    rounding. Wherever it stands in a composition it is the outermost: clipping sees the mean
    gradient, `iterations` counts updates, and with it bias corrections and every schedule (those of
    bert4keras count batches: divide their steps by k).

    Batches of a last, incomplete group are carried over to the next call of `fit` (and through
    saving and loading). `optimizer.flush()` updates with the mean of those there are:

        keras.callbacks.LambdaCallback(on_train_end=lambda logs: model.optimizer.flush())

    Args of the new class, besides those of the base:
        grad_accum_steps: batches an update, >= 1.

    State: one slot, one counter, and one number a weight. On other backends than TensorFlow every
    batch costs a whole step, of which the last one's result is kept.

    Raises:
        ValueError: grad_accum_steps < 1.

    Example:

    >>> from bert4keras_ext.optimizers import Adam, extend_with_gradient_accumulation
    >>> AdamAccumulated = extend_with_gradient_accumulation(Adam)
    >>> optimizer = AdamAccumulated(1e-3, grad_accum_steps=16)

    Source: article 7094.
    """
    return derive(BaseOptimizer, GradientAccumulation, name)


class GradientAccumulation(Extension, recipe_name="gradient_accumulation"):
    """See extend_with_gradient_accumulation."""

    def __init__(self, *args, grad_accum_steps=2, **kwargs):
        super().__init__(*args, **kwargs)
        self.grad_accum_steps = checked_count("grad_accum_steps", grad_accum_steps)

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self._gradient_sums = self.slots("gradient_sum")
        self._num_batches = self._add_counter("num_accumulated_batches", ())
        # For each weight whether it had a gradient in this group.
        self._is_touched = self._add_counter("has_gradient", (len(self._trainable_variables),))

    def _add_counter(self, name, shape):
        return self.add_variable(shape, dtype="int32", aggregation="only_first_replica", name=name)

    def apply(self, grads, trainable_variables=None):
        variables = self._variables_of(trainable_variables)
        if self.grad_accum_steps == 1:
            return super().apply(super().sum_over_replicas(grads), variables)
        gradients, variables = self.without_missing(grads, variables)
        gradients = super().sum_over_replicas(gradients)
        self.for_each(self.assign_add, self._sums_of(variables), gradients)
        self._num_batches.assign_add(1)
        self._update_after(variables)

    def _update_after(self, variables):
        """If the group is complete, an update of what it touched; `variables`: the last batch.

        That an earlier batch touched others is rare: it has a branch of its own, which updates all.
        """
        here = {self.index_of(variable) for variable in variables}
        is_here = ops.array([i in here for i in range(len(self._trainable_variables))], "int32")
        self._is_touched.assign(ops.maximum(ops.convert_to_tensor(self._is_touched), is_here))
        if len(here) == len(self._trainable_variables):
            return self.run_when(self._is_complete, lambda: self._update(variables))

        def is_last(elsewhere):
            is_more = ops.any(ops.convert_to_tensor(self._is_touched) > is_here)
            return ops.logical_and(self._is_complete(), ops.equal(is_more, elsewhere))

        self.run_when(lambda: is_last(False), lambda: self._update(variables))
        self.run_when(lambda: is_last(True), self._update_touched)

    def _is_complete(self):
        return ops.equal(self._num_batches, self.grad_accum_steps)

    def _update_touched(self):
        variables = self._trainable_variables
        is_touched = ops.unstack(ops.convert_to_tensor(self._is_touched) > 0)
        old = [ops.copy(variable) for variable in variables]
        self._update(variables)
        self.for_each(self._put_back, variables, old, is_touched)

    def _put_back(self, variable, old, is_touched):
        self.assign(variable, ops.where(is_touched, ops.convert_to_tensor(variable), old))

    def sum_over_replicas(self, gradients):
        return gradients  # what is accumulated is the sum already

    def _variables_of(self, trainable_variables):
        if trainable_variables is None:
            return self._trainable_variables
        if not self.built:
            self.build(list(trainable_variables))
        return list(trainable_variables)

    def _sums_of(self, variables):
        return [self._gradient_sums[self.index_of(variable)] for variable in variables]

    def _update(self, variables):
        sums = self._sums_of(variables)
        count = ops.convert_to_tensor(self._num_batches)
        means = [ops.convert_to_tensor(each) / ops.cast(count, each.dtype) for each in sums]
        super().apply(means, variables)
        self.for_each(lambda each: self.assign(each, ops.zeros(each.shape, each.dtype)), sums)
        self._num_batches.assign(0)
        self._is_touched.assign(ops.zeros(self._is_touched.shape, "int32"))

    def flush(self):
        """Updates with the batches of an incomplete group, if there are any.

        Call it eagerly, outside `fit`'s steps, and outside `strategy.run`.
        """
        if self.built and int(ops.convert_to_numpy(self._num_batches)) > 0:
            pairs = zip(ops.convert_to_numpy(self._is_touched), self._trainable_variables)
            touched = [variable for is_touched, variable in pairs if is_touched]
            self.run_eagerly(lambda: self._update(touched))

    def get_config(self):
        return {**super().get_config(), "grad_accum_steps": self.grad_accum_steps}
