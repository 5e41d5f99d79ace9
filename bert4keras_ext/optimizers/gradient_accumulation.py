"""Gradient accumulation: the update of a large batch from several small ones."""

from keras import ops

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

    State: one slot, and one counter. On other backends than TensorFlow every batch costs a whole
    step, of which the last one's result is kept.

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
        if int(grad_accum_steps) != grad_accum_steps or grad_accum_steps < 1:
            raise ValueError(
                f"expected an integer grad_accum_steps >= 1, received {grad_accum_steps}"
            )
        self.grad_accum_steps = int(grad_accum_steps)

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self._gradient_sums = self.slots("gradient_sum")
        self._num_batches = self.add_variable(
            (), dtype="int32", aggregation="only_first_replica", name="num_accumulated_batches"
        )

    def apply(self, grads, trainable_variables=None):
        variables = self._variables_of(trainable_variables)
        if self.grad_accum_steps == 1:
            return super().apply(super().sum_over_replicas(grads), variables)
        gradients, variables = self.without_missing(grads, variables)
        gradients = super().sum_over_replicas(gradients)
        self.for_each(self.assign_add, self._sums_of(variables), gradients)
        self._num_batches.assign_add(1)
        self.run_when(
            lambda: ops.equal(self._num_batches, self.grad_accum_steps),
            lambda: self._update(variables),
        )

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

    def flush(self):
        """Updates with the batches of an incomplete group, if there are any.

        Call it eagerly, outside `fit`'s steps, and outside `strategy.run`.
        """
        if self.built and int(ops.convert_to_numpy(self._num_batches)) > 0:
            self.run_eagerly(lambda: self._update(self._trainable_variables))

    def get_config(self):
        return {**super().get_config(), "grad_accum_steps": self.grad_accum_steps}
