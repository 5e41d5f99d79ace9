"""Gradient accumulation: the update of a large batch from several small ones."""

from keras import ops

from bert4keras_ext.optimizers.checks import checked_count
from bert4keras_ext.optimizers.derive import Extension, derive, is_frozen


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

    A weight that is frozen in the middle of a group does not move when the group is complete, and
    what it had brought is dropped then; one that is thawed brings nothing for the batches before.

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
        sums = self.slots("gradient_sum")
        # Those of float8's variables after the others: a loaded model has them at other places.
        pairs = list(zip(sums, self.model_weights))
        self._gradient_sums = [self._make_largest(v) if s is None else s for s, v in pairs]
        self._num_batches = self._add_counter("num_accumulated_batches", ())
        # For each weight whether it had a gradient in this group.
        self._is_touched = self._add_counter("has_gradient", (len(self.model_weights),))

    def _make_largest(self, variable):
        return self.add_variable_from_reference(variable, name="largest_gradient")

    def _add_counter(self, name, shape):
        return self.add_variable(shape, dtype="int32", aggregation="only_first_replica", name=name)

    def take_batch(self, gradients, variables):
        if self.grad_accum_steps == 1:
            return super().take_batch(self._of_all_replicas(gradients, variables), variables)
        gradients, variables = self.without_missing(gradients, variables)
        self._add(self._of_all_replicas(gradients, variables), variables)
        self._num_batches.assign_add(1)
        self._update_after(variables)

    def _of_all_replicas(self, gradients, variables):
        pairs = zip(super().sum_over_replicas(gradients), variables)
        count = self.num_replicas
        return [g / count if count > 1 and self.is_overwritten(v) else g for g, v in pairs]

    def _add(self, gradients, variables):
        rows = list(zip(variables, self._sums_of(variables), gradients))
        for action, is_wanted in ((self.assign_add, False), (self._keep_largest, True)):
            chosen = [row[1:] for row in rows if self.is_overwritten(row[0]) == is_wanted]
            if chosen:
                self.for_each(action, *zip(*chosen))

    def _keep_largest(self, largest, gradient):
        # Float8's "gradients" are the next scales and largest numbers: those of the large batch.
        self.assign(largest, ops.maximum(largest, gradient))

    def _update_after(self, variables):
        """If the group is complete, an update of what it touched; `variables`: the last batch.

        That an earlier batch touched others is rare: it has a branch of its own, which updates all.
        """
        here = {self.index_of(variable) for variable in variables}
        is_here = [i in here for i in range(len(self.model_weights))]
        touched = ops.maximum(ops.convert_to_tensor(self._is_touched), ops.array(is_here, "int32"))
        self._is_touched.assign(touched)
        # Batches before a weight was frozen may have touched it: that is no reason to move it.
        away = [not (i or is_frozen(v)) for i, v in zip(is_here, self.model_weights)]
        if not any(away):
            return self.run_when(self._is_complete, lambda: self._update(variables))

        def is_last(elsewhere):
            is_more = ops.any(ops.logical_and(ops.greater(self._is_touched, 0), away))
            return ops.logical_and(self._is_complete(), ops.equal(is_more, elsewhere))

        self.run_when(lambda: is_last(False), lambda: self._update(variables))
        self.run_when(lambda: is_last(True), self._update_touched)

    def _is_complete(self):
        return ops.equal(self._num_batches, self.grad_accum_steps)

    def _update_touched(self):
        is_touched = ops.unstack(ops.convert_to_tensor(self._is_touched) > 0)
        variables, states, is_touched = self.unfrozen(
            self.model_weights, self.states_of_weights(), is_touched
        )
        rows = [(each, ops.copy(each), t) for s, t in zip(states, is_touched) for each in s]
        self._update(variables)
        self.for_each(self._put_back, *zip(*rows))

    def _put_back(self, variable, old, is_touched):
        self.assign(variable, ops.where(is_touched, ops.convert_to_tensor(variable), old))

    def sum_over_replicas(self, gradients):
        return gradients  # what is accumulated is the sum already

    def _sums_of(self, variables):
        return [self._gradient_sums[self.index_of(variable)] for variable in variables]

    def _update(self, variables):
        sums = self._sums_of(variables)
        means = [self._mean(each, variable) for each, variable in zip(sums, variables)]
        super().take_batch(means, variables)
        self.for_each(self._empty, sums)
        # What a weight brought before it was frozen is no part of a later group.
        frozen = [index for index, v in enumerate(self.model_weights) if is_frozen(v)]
        if frozen:
            is_filled = lambda: ops.any(ops.take(self._is_touched, frozen) > 0)  # noqa: E731
            self.for_each(self._empty, [self._gradient_sums[i] for i in frozen], when=is_filled)
        self._num_batches.assign(0)
        self._is_touched.assign(ops.zeros(self._is_touched.shape, "int32"))

    def _mean(self, gradients, variable):
        if self.is_overwritten(variable):
            return ops.convert_to_tensor(gradients)
        count = ops.convert_to_tensor(self._num_batches)
        return ops.convert_to_tensor(gradients) / ops.cast(count, gradients.dtype)

    def _empty(self, gradients):
        self.assign(gradients, ops.zeros(gradients.shape, gradients.dtype))

    def flush(self):
        """Updates with the batches of an incomplete group, if there are any.

        Call it eagerly, outside `fit`'s steps, and outside `strategy.run`.
        """
        if self.built and int(ops.convert_to_numpy(self._num_batches)) > 0:
            is_touched = ops.convert_to_numpy(self._is_touched)
            pairs = zip(*self.unfrozen(self.model_weights, is_touched))
            touched = [variable for variable, is_touched in pairs if is_touched]
            self.run_eagerly(lambda: self._update(touched))

    def get_config(self):
        return {**super().get_config(), "grad_accum_steps": self.grad_accum_steps}
