"""The one mechanism of derived optimizers: any Keras optimizer class in, a new class out.

An extension is a class of a few methods that is put before the optimizer in the method resolution
order, so `super()` is whatever stands inside. This file holds what they share, among it every
private name of Keras that they need. Each method below may be overridden; from the outside in:

    apply           a call with gradients; accumulation keeps most of them to itself
    whole_update    one update of all weights; lookahead and moving averages act around it
    rate_in_force   the learning rate of the update; schedules multiply it
    update_step     one weight; decay, layer adaptation, lazy rows, rates of single weights
    update_rows     the same for some rows of a table whose other rows stay untouched
"""

import copyreg

import keras
from keras import ops

from bert4keras_ext.backend.registration import PACKAGE, register
from bert4keras_ext.optimizers import one_pass
from bert4keras_ext.optimizers.patterns import warn_of_unmatched, which_match

EXTENSIONS = {}  # recipe name -> class
_classes = {}  # (base, extensions, name) -> derived class
_bases = {}  # name in a recipe -> class, of those Keras does not know by name
_WRAPPERS = ("LossScaleOptimizer", "MultiOptimizer")


def is_tensorflow():
    return keras.backend.backend() == "tensorflow"


def dense(gradient, dtype):
    """The gradient as one tensor; that of an embedding (IndexedSlices) is summed by rows."""
    if is_tensorflow():
        import tensorflow as tf

        gradient = tf.convert_to_tensor(gradient)
    return ops.cast(gradient, dtype)


class Exact:
    """What this package's optimizers do otherwise than Keras' on TensorFlow.

    Gradients are summed over the replicas of a `tf.distribute` strategy before they are clipped,
    and those of embeddings over equal rows, so several devices and one clip alike.
    """

    decays_itself = False  # `weight_decay` is a part of the rule

    def _backend_apply_gradients(self, grads, trainable_variables):
        self.whole_update(self.sum_over_replicas(grads), trainable_variables)

    def whole_update(self, gradients, variables):
        super()._backend_apply_gradients(gradients, variables)

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

    def _on_replicas(self, function, *args):
        """function(strategy, *args), where the weights of all replicas may be written."""
        import tensorflow as tf

        distribute = tf.__internal__.distribute.interim
        distribute.maybe_merge_call(function, self._distribution_strategy, *args)

    def _distributed_tf_update_step(self, distribution, grads_and_vars, learning_rate):
        pairs = list(grads_and_vars)
        is_large = one_pass.chosen([variable for _, variable in pairs], self._is_known_to_compile())
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
        base = next(index for index, each in enumerate(rules) if not issubclass(each, Extension))
        return all(each.__module__.startswith(PACKAGE) for each in rules[: base + 1])

    def is_fused(self, variable):
        """Whether the update of a weight is one kernel of TensorFlow's, nothing before or after."""
        return False

    def takes_rows(self, gradient, variable):
        """Whether the update reads and writes some rows of the weight only."""
        return False

    def _apply_weight_decay(self, variables):
        if not self.decays_itself:
            super()._apply_weight_decay(variables)

    def _get_current_learning_rate(self):
        return self.rate_in_force()

    def rate_in_force(self):
        return super()._get_current_learning_rate()

    def index_of(self, variable):
        """Where the slots of a weight stand in lists made by `slots`."""
        return self._get_variable_index(variable)

    def slots(self, name):
        """One zero variable a weight, saved with the optimizer: the memory a rule needs."""
        return self.add_optimizer_variables(self._trainable_variables, name)

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


class DerivedType(type):
    """The type of derived classes: no module holds them by name, so pickles hold their recipes."""


class Extension(Exact):
    """Base of the extensions. A subclass gives its name in recipes: `recipe_name="lookahead"`."""

    def __init_subclass__(cls, recipe_name=None, **kwargs):
        super().__init_subclass__(**kwargs)
        if recipe_name is not None:
            EXTENSIONS[recipe_name] = cls
            cls.recipe_name = recipe_name

    def __init__(self, *args, **kwargs):
        if kwargs.get("gradient_accumulation_steps"):
            raise ValueError(
                "expected no gradient_accumulation_steps with a derived optimizer, received "
                f"{kwargs['gradient_accumulation_steps']}: extend it with "
                "extend_with_gradient_accumulation and pass grad_accum_steps"
            )
        super().__init__(*args, **kwargs)

    def build(self, variables):
        if not self.built:
            super().build(variables)

    def _apply_weight_decay(self, variables):
        """Done in `update_step`, which knows the rate of each weight and when it is updated."""

    def native_decay(self, variable):
        """The rate of Keras' own `weight_decay` argument for a weight, or None."""
        if self.decays_itself or self.weight_decay is None:
            return None
        return self.weight_decay if self._use_weight_decay(variable) else None

    def is_fused(self, variable):
        return self.native_decay(variable) is None and super().is_fused(variable)

    def update_step(self, gradient, variable, learning_rate):
        if self.native_decay(variable) is not None:
            rate = ops.cast(learning_rate * self.native_decay(variable), variable.dtype)
            self.assign_sub(variable, ops.convert_to_tensor(variable) * rate)
        super().update_step(gradient, variable, learning_rate)

    def update_rows(self, rows, idle, old, gradient, variable, learning_rate):
        rate = self.native_decay(variable)
        if rate is not None:
            old = old * ops.cast(1 - learning_rate * rate, old.dtype)
        return super().update_rows(rows, idle, old, gradient, variable, learning_rate)

    def for_each(self, action, targets, *others, when=None, is_unfused=False):
        """action(target, *others) for each weight on each device.

        Args:
            action: writes its target with `self.assign` and its kin.
            targets: variables; `others` are lists of variables or tensors beside them.
            when: function that says, as a tensor, whether anything shall be done.
            is_unfused: whether the action is worth compiling: more than one operation.
        """
        if not is_tensorflow():
            return self._for_each_anywhere(action, targets, *others, when=when)
        import tensorflow as tf

        lists = [[getattr(x, "value", x) for x in each] for each in (targets, *others)]

        def act(strategy):
            compiled = one_pass.chosen(lists[0], is_wanted=is_unfused)
            rows = list(zip(*lists))
            one_pass.run(action, [row for row, chosen in zip(rows, compiled) if chosen])
            for target, *rest in [row for row, chosen in zip(rows, compiled) if not chosen]:
                strategy.extended.update(target, action, args=tuple(rest), group=False)

        def across(strategy):
            if when is None:
                act(strategy)
            else:
                tf.cond(when(), lambda: act(strategy), lambda: None)

        self._on_replicas(across)

    def _for_each_anywhere(self, action, targets, *others, when):
        # A branch may not write variables on every backend: act, and take it back.
        chosen = None if when is None else when()
        for target, *rest in zip(targets, *others):
            old = ops.copy(target)
            action(target, *rest)
            if when is not None:
                target.assign(ops.where(chosen, ops.convert_to_tensor(target), old))

    def run_when(self, condition, step):
        """step(), which may update all weights, where condition() holds at run time."""
        if not is_tensorflow():
            return self._run_when_anywhere(condition, step)
        import tensorflow as tf

        if self._distribution_strategy.num_replicas_in_sync == 1:
            return tf.cond(condition(), step, lambda: None)

        def across(strategy):
            # A step merges replicas, which it cannot do inside a branch: the branch goes around.
            run = strategy.extended.call_for_each_replica
            tf.cond(condition(), lambda: run(step), lambda: None)

        tf.distribute.get_replica_context().merge_call(across)

    def _run_when_anywhere(self, condition, step):
        chosen = condition()
        variables = [*self.variables, *self._trainable_variables]
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

    def get_config(self):
        return {**super().get_config(), "recipe": recipe_of(type(self))}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = {key: value for key, value in config.items() if key != "recipe"}
        more = {} if custom_objects is None else {"custom_objects": custom_objects}
        return super().from_config(config, **more)


def derive(base, extension, name=None):
    """The class of `base` with an extension around it; the same arguments give the same class.

    Args:
        base: an optimizer class: Keras', this package's, one derived before, or your own.
        extension: a subclass of `Extension`.
        name: of the new class; that of the base with the extension's behind it by default.

    Raises:
        TypeError: `base` is no optimizer class.
        ValueError: `base` only wraps another optimizer, or has this extension already.
    """
    _check_base(base, extension)
    if not isinstance(name, (str, type(None))):
        raise TypeError(f"expected a name for the new class, or None, received {name!r}")
    root, extensions = vars(base).get("_made_of", (base, ()))
    suffix = "".join(part.capitalize() for part in extension.recipe_name.split("_"))
    return _make(root, (*extensions, extension), name or base.__name__ + suffix)


def _check_base(base, extension):
    wanted = "expected a class of Keras 3 optimizers to extend, received "
    if isinstance(base, keras.optimizers.Optimizer):
        raise TypeError(f"{wanted}an instance: pass {type(base).__name__} itself")
    if not (isinstance(base, type) and issubclass(base, keras.optimizers.Optimizer)):
        raise TypeError(f"{wanted}{base!r} (is it of tf_keras or another library?)")
    for wrapper in _WRAPPERS:
        if issubclass(base, getattr(keras.optimizers, wrapper, ())):
            raise ValueError(f"{wanted}{wrapper}: extend the optimizer that goes into it")
    if issubclass(base, extension):
        raise ValueError(f"{base.__name__} has {extension.recipe_name} already: extend it once")


def _make(root, extensions, name):
    key = root, extensions, name
    if key not in _classes:
        parts = ", ".join(extension.recipe_name for extension in extensions)
        content = {
            "_made_of": key[:2],
            "__doc__": f"{root.__name__} extended with {parts}; see their extend_with_*.",
            "__module__": __name__,
        }
        metaclass = DerivedType if type(root) is type else type(root)
        _classes[key] = metaclass(name, (*reversed(extensions), root), content)
        _register(_classes[key])
    return _classes[key]


def _register(cls):
    """All derived classes are saved under one registered name, which every process knows."""
    own_name = f"{PACKAGE}>{cls.__name__}"
    if issubclass(keras.saving.get_custom_objects().get(own_name, Extension), Extension):
        register(cls)  # found by its own name too, as long as that takes nobody else's
    keras.saving.register_keras_serializable(PACKAGE, DerivedOptimizer.__name__)(cls)
    register(DerivedOptimizer)


def is_defined_inside(cls, extension, method, beside):
    """Whether all that stands inside an extension and has a method `beside` has `method` too."""
    order = cls.__mro__
    for each in order[order.index(extension) + 1 :]:
        if beside in vars(each) and method not in vars(each):
            return False
        if method in vars(each) and not issubclass(each, Extension):
            return True
    return False


def recipe_of(cls):
    """{"name", "base", "extensions"}, in plain values: all it takes to make the class again."""
    made = next(each for each in cls.__mro__ if "_made_of" in vars(each))
    root, extensions = made._made_of
    if getattr(keras.optimizers, root.__name__, None) is root:
        base = f"keras.optimizers.{root.__name__}"
    else:
        base = keras.saving.get_registered_name(root)
        _bases[base] = root
    names = [extension.recipe_name for extension in extensions]
    return {"name": made.__name__, "base": base, "extensions": names}


def class_of(recipe):
    """The class a recipe describes. It can name optimizers and our extensions, nothing else."""
    unknown = [name for name in recipe["extensions"] if name not in EXTENSIONS]
    if unknown:
        raise ValueError(
            f"expected extensions among {sorted(EXTENSIONS)}, found {unknown} in the saved "
            "optimizer: it was made by another version of bert4keras_ext"
        )
    *inner, last = [EXTENSIONS[name] for name in recipe["extensions"]]
    base = _base_class(recipe["base"])
    for extension in inner:
        base = derive(base, extension)
    return derive(base, last, recipe["name"])


def _base_class(name):
    if name.startswith("keras.optimizers."):
        found = getattr(keras.optimizers, name.rpartition(".")[2], None)
    else:
        found = keras.saving.get_registered_object(name) or _bases.get(name)
    if not (isinstance(found, type) and issubclass(found, keras.optimizers.Optimizer)):
        raise ValueError(
            f"expected an optimizer class registered as {name!r}, found {found}: import the module "
            "that defines it, with @keras.saving.register_keras_serializable, before loading"
        )
    return found


def _reduced(cls):
    """What pickle keeps of a derived class; a `class` statement's has a name in its module."""
    return (class_of, (recipe_of(cls),)) if "_made_of" in vars(cls) else cls.__qualname__


copyreg.pickle(DerivedType, _reduced)


@register
class DerivedOptimizer:
    """Stands in saved files for every derived class: `from_config` makes the one they name."""

    def get_config(self):
        raise TypeError("DerivedOptimizer only reads configs; see optimizers.derive.derive")

    @classmethod
    def from_config(cls, config, custom_objects=None):
        return class_of(config["recipe"]).from_config(config, custom_objects)
