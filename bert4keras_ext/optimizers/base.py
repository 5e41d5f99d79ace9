"""What the optimizers of this package share: how an update runs, whatever the rule.

An extension is a class of a few methods that is put before the optimizer in the method resolution
order, so `super()` is whatever stands inside. Each method below may be overridden; from the outside
in:

    take_batch      a call with gradients; accumulation keeps most of them to itself
    whole_update    one update of all weights; lookahead and moving averages act around it
    rate_in_force   the learning rate of the update; schedules multiply it
    update_step     one weight; decay, layer adaptation, lazy rows, rates of single weights
    update_rows     the same for some rows of a table whose other rows stay untouched

Methods of Keras' with a private name are overridden and called in this file alone; each is in the
table of backend/keras_internals.py.
"""

import warnings

import keras
from keras import ops

from bert4keras_ext.backend import keras_internals
from bert4keras_ext.backend.registration import PACKAGE
from bert4keras_ext.optimizers import one_pass, precision
from bert4keras_ext.optimizers.patterns import warn_of_unmatched, which_match


def is_tensorflow():
    return keras.backend.backend() == "tensorflow"


def dense(gradient, dtype):
    """The gradient as one tensor; that of an embedding (IndexedSlices) is summed by rows."""
    if is_tensorflow():
        import tensorflow as tf

        gradient = tf.convert_to_tensor(gradient)
    return ops.cast(gradient, dtype)


def is_frozen(variable):
    """Whether `layer.trainable = False` reached a weight; it never reaches TensorFlow's own."""
    return isinstance(variable, keras.Variable) and not variable.trainable


class UpdateRule:
    """What this package's optimizers do otherwise than Keras'.

    Gradients are summed over the replicas of a `tf.distribute` strategy before they are clipped,
    and those of embeddings over equal rows, so several devices and one clip alike. Weights that
    are frozen stay what they are to the last bit. Weights of 16 bits are updated in float32.
    """

    decays_itself = False  # `weight_decay` is a part of the rule
    _keys_of_copies = {}

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self._float32_copies = [self._make_copy(variable) for variable in variables]
        pairs = zip(self._float32_copies, variables)
        keys = {self._var_key(c): self._var_key(v) for c, v in pairs if c is not None}
        self.keep(_keys_of_copies=keys)

    def _make_copy(self, variable):
        """What is updated in place of a weight of 16 bits, or None: see precision.py."""
        if not precision.is_short(variable) or self._overwrite_variable_with_gradient(variable):
            return None
        self._use_weight_decay(variable)  # Keras remembers it by key: asked by the weight's name
        return self.add_variable_from_reference(variable, name="float32")

    def _var_key(self, variable):
        key = super()._var_key(variable)
        return self._keys_of_copies.get(key, key)

    def add_variable(self, shape, initializer="zeros", dtype=None, **kwargs):
        dtype = precision.at_least_float32(dtype or keras.config.floatx())
        return super().add_variable(shape, initializer, dtype=dtype, **kwargs)

    @property
    def model_weights(self):
        """The weights this optimizer was built with, in the order of its slots."""
        return self._trainable_variables

    @property
    def updated_weights(self):
        """The same as updates see them: in place of those of 16 bits their float32 copies."""
        pairs = zip(self.model_weights, self._float32_copies)
        return [variable if copy is None else copy for variable, copy in pairs]

    def states_of_weights(self):
        """For each weight what it takes to put it back: itself, and its copy if there is one."""
        pairs = zip(self.model_weights, self._float32_copies)
        return [[variable] if copy is None else [variable, copy] for variable, copy in pairs]

    def unfrozen(self, *lists):
        """Lists in the order of the slots, without the places of frozen weights."""
        rows = [row for row in zip(self.model_weights, *lists) if not is_frozen(row[0])]
        return [list(column) for column in zip(*rows)][1:] or [[] for _ in lists]

    def apply(self, grads, trainable_variables=None):
        is_chosen = trainable_variables is not None
        if not is_chosen and not (self.built and len(grads) == len(self.model_weights)):
            return super().apply(grads)  # Keras says what is wrong
        variables = list(trainable_variables) if is_chosen else self.model_weights
        if not self.built and variables:
            with keras.name_scope(self.name, caller=self):
                self.build(variables)
        self._check_variables_are_known(variables)
        pairs = list(zip(grads, variables))
        if is_chosen:
            _warn_of_frozen([v for gradient, v in pairs if gradient is not None and is_frozen(v)])
        pairs = [(precision.widened(g), v) for g, v in pairs if not is_frozen(v)]
        if pairs:
            self.take_batch(*map(list, zip(*pairs)))

    def take_batch(self, gradients, variables):
        super().apply(gradients, variables)

    def _check_variables_are_known(self, variables):
        known = self._trainable_variables_indices
        unknown = [v for v in variables if self._var_key(v) not in known]
        if unknown:
            raise ValueError(
                f"Unknown variable: expected weights among the {len(known)} that the optimizer "
                f"{self.name!r} was built with, received {', '.join(self.paths(unknown))} besides. "
                "If they were frozen then, compile the model again with a new optimizer; or build "
                "the optimizer with all weights before any is frozen: "
                "optimizer.build(model.trainable_variables)"
            )

    def _backend_apply_gradients(self, grads, trainable_variables):
        gradients = self.sum_over_replicas(grads)
        self._renew_copies()
        seen = self.updated_weights
        self.whole_update(gradients, [seen[self.index_of(v)] for v in trainable_variables])
        if self.use_ema and not self.gradient_accumulation_steps:
            self._average_as_keras()
        self._round_copies()

    def whole_update(self, gradients, variables):
        if self.gradient_accumulation_steps:
            return super()._backend_apply_gradients(gradients, variables)
        # What Keras does there but for its averages: those are taken when all is done.
        gradients = self._clip_gradients(gradients)
        self._apply_weight_decay(variables)
        self._backend_update_step(gradients, variables, self.learning_rate)

    def _renew_copies(self):
        self.for_each(self._renew, self._float32_copies, self.model_weights, is_unfused=True)

    def _renew(self, copy, weight):
        self.assign(copy, precision.renewed(copy, weight))

    def _round_copies(self):
        copies, weights = self.unfrozen(self._float32_copies, self.model_weights)
        self.for_each(self.assign, *_where_both_are(weights, copies))

    def _average_as_keras(self):
        """Keras' `use_ema`, of the weights as this update leaves them."""
        self._update_model_variables_moving_average(self.model_weights)
        if self.ema_overwrite_frequency:
            averages = self._model_variables_moving_average
            weights, averages = self.unfrozen(self.updated_weights, averages)
            frequency = self.ema_overwrite_frequency
            is_due = lambda: ops.equal(ops.mod(self.iterations + 1, frequency), 0)  # noqa: E731
            self.for_each(self.assign, *_where_both_are(weights, averages), when=is_due)

    def _update_model_variables_moving_average(self, trainable_variables):
        # Of frozen weights too, so that an average is there when they are thawed.
        averages = self._model_variables_moving_average
        is_first = ops.equal(self.iterations, 0)

        def average(old, weight):
            momentum = ops.where(is_first, 0, ops.cast(self.ema_momentum, old.dtype))
            self.assign_add(old, (weight - old) * (1 - momentum))

        self.for_each(average, averages, self.updated_weights)

    def _overwrite_model_variables_with_average_value(self, trainable_variables):
        self._check_variables_are_known(trainable_variables)
        weights = [variable for variable in trainable_variables if not is_frozen(variable)]
        averages = [self._model_variables_moving_average[self.index_of(v)] for v in weights]
        self.for_each(self.assign, *_where_both_are(weights, averages))

    @property
    def num_replicas(self):
        return self._distribution_strategy.num_replicas_in_sync if is_tensorflow() else 1

    def sum_over_replicas(self, gradients):
        if not is_tensorflow():
            return gradients
        import tensorflow as tf

        context = tf.distribute.get_replica_context()
        if context is None or context.num_replicas_in_sync == 1:
            return gradients
        return context.all_reduce(tf.distribute.ReduceOp.SUM, list(gradients))

    def _clip_gradients(self, grads):
        if self.clipnorm or self.global_clipnorm or self.clipvalue:
            grads = [dense(gradient, gradient.dtype) for gradient in grads]
        return super()._clip_gradients(grads)

    def _all_reduce_sum_gradients(self, grads_and_vars):
        return grads_and_vars  # the sums they are already

    def _distributed_tf_update_step(self, distribution, grads_and_vars, learning_rate):
        pairs = list(grads_and_vars)
        variables = [variable for _, variable in pairs]
        is_large = one_pass.worth_compiling(variables, self._is_known_to_compile())
        compiled, others = [], []
        for (gradient, variable), large in zip(pairs, is_large):
            if large and not self.is_fused(variable) and not self.takes_rows(gradient, variable):
                compiled.append((dense(gradient, variable.dtype), variable, learning_rate))
            else:
                others.append((gradient, variable))
        one_pass.run(self.update_step, compiled)
        super()._distributed_tf_update_step(distribution, others, learning_rate)

    def _is_known_to_compile(self):
        """Rules from elsewhere may hold what XLA cannot compile: they run as they are written."""
        rules = [each for each in type(self).__mro__ if "update_step" in vars(each)]
        base = next(index for index, each in enumerate(rules) if not hasattr(each, "recipe_name"))
        return all(each.__module__.startswith(PACKAGE) for each in rules[: base + 1])

    def is_fused(self, variable):
        """Whether the update of a weight is one kernel of TensorFlow's, nothing before or after."""
        return False

    def takes_rows(self, gradient, variable):
        """Whether the update reads and writes some rows of the weight only."""
        return False

    def _apply_weight_decay(self, variables):
        self.decay_weights(variables)

    def decay_weights(self, variables):
        """Keras' `weight_decay` of all weights, before the update."""
        if not self.decays_itself:
            super()._apply_weight_decay(variables)

    def is_decayed(self, variable):
        """Whether Keras' `exclude_from_weight_decay` leaves a weight to its `weight_decay`."""
        return self._use_weight_decay(variable)

    def _get_current_learning_rate(self):
        return self.rate_in_force()

    def rate_in_force(self):
        return super()._get_current_learning_rate()

    @property
    def learning_rate(self):
        return self.rate_in_force()

    @learning_rate.setter
    def learning_rate(self, learning_rate):
        self.set_rate(learning_rate)

    def set_rate(self, learning_rate):
        super(UpdateRule, type(self)).learning_rate.fset(self, learning_rate)

    def index_of(self, variable):
        """Where the slots of a weight stand in lists made by `slots`."""
        return self._get_variable_index(variable)

    def slots(self, name):
        """One zero variable a weight, saved with the optimizer: the memory a rule needs.

        None for variables that are overwritten with what comes as their gradient (float8 scales).
        """
        return self.add_optimizer_variables(self.model_weights, name)

    def is_overwritten(self, variable):
        """Whether a variable takes its gradient for its value, as scales of float8 do."""
        return self._overwrite_variable_with_gradient(variable)

    def without_missing(self, gradients, variables):
        """Those pairs that have a gradient; warns of the others, fails where all are missing."""
        return self._filter_empty_gradients(gradients, variables)

    def paths(self, variables):
        return [getattr(variable, "path", None) or variable.name for variable in variables]

    def keep(self, **values):
        """Sets attributes as they are, where Keras would wrap lists and dicts to track them."""
        vars(self).update(values)

    def matching(self, keyword, patterns, variables):
        """For each variable whether a pattern is in its path; warns of idle patterns."""
        paths = self.paths(variables)
        warn_of_unmatched(keyword, patterns, paths)
        return [bool(which_match(patterns, path)) for path in paths]

    def for_each(self, action, targets, *others, when=None, is_unfused=False):
        """action(target, *others) for each weight on each device; rows that hold a None are left.

        Args:
            action: writes its target with `self.assign` and its kin.
            targets: variables; `others` are lists of variables or tensors beside them.
            when: function that says, as a tensor, whether anything shall be done.
            is_unfused: whether the action is worth compiling: more than one operation.
        """
        rows = [row for row in zip(targets, *others) if all(each is not None for each in row)]
        if not rows:
            return
        if not is_tensorflow():
            return self._for_each_anywhere(action, rows, when)
        rows = [[x.value if isinstance(x, keras.Variable) else x for x in row] for row in rows]
        act = lambda strategy: self._act(strategy, action, rows, is_unfused)  # noqa: E731
        self._on_replicas(act, when)

    def _act(self, strategy, action, rows, is_unfused):
        compiled = one_pass.worth_compiling([row[0] for row in rows], is_wanted=is_unfused)
        one_pass.run(action, [row for row, chosen in zip(rows, compiled) if chosen])
        for target, *rest in [row for row, chosen in zip(rows, compiled) if not chosen]:
            strategy.extended.update(target, action, args=tuple(rest), group=False)

    def _on_replicas(self, act, when):
        """act(strategy), where the weights of all replicas may be written."""
        import tensorflow as tf

        def across(strategy):
            if when is None:
                act(strategy)
            else:
                tf.cond(when(), lambda: act(strategy), lambda: None)

        keras_internals.merge_replicas(across, self._distribution_strategy)

    def _for_each_anywhere(self, action, rows, when):
        # A branch may not write variables on every backend: act, and take it back.
        chosen = None if when is None else when()
        for target, *rest in rows:
            old = ops.copy(target)
            action(target, *rest)
            if when is not None:
                target.assign(ops.where(chosen, ops.convert_to_tensor(target), old))

    def run_when(self, condition, step):
        """step(), which may update all weights, where condition() holds at run time."""
        if not is_tensorflow():
            return self._run_when_anywhere(condition, step)
        import tensorflow as tf

        if self.num_replicas == 1:
            return tf.cond(condition(), step, lambda: None)

        def across(strategy):
            # A step merges replicas, which it cannot do inside a branch: the branch goes around.
            run = strategy.extended.call_for_each_replica
            tf.cond(condition(), lambda: run(step), lambda: None)

        tf.distribute.get_replica_context().merge_call(across)

    def _run_when_anywhere(self, condition, step):
        chosen = condition()
        variables = [*self.variables, *self.model_weights]
        before = [ops.copy(variable) for variable in variables]
        step()
        for variable, old in zip(variables, before):
            variable.assign(ops.where(chosen, ops.convert_to_tensor(variable), old))

    def run_eagerly(self, step):
        """step() outside of training, as one graph, on every device."""
        if not is_tensorflow():
            return step()
        import tensorflow as tf

        tf.function(lambda: self._distribution_strategy.run(step))()


def _where_both_are(*lists):
    """The lists without the places where one holds None."""
    rows = [row for row in zip(*lists) if all(each is not None for each in row)]
    return [list(column) for column in zip(*rows)] or [[] for _ in lists]


def _warn_of_frozen(variables):
    if variables:
        names = ", ".join(getattr(variable, "path", variable.name) for variable in variables)
        warnings.warn(
            f"gradients of frozen weights (trainable=False) are dropped: {names}", stacklevel=3
        )
