"""The one mechanism of derived optimizers: any Keras optimizer class in, a new class out.

An extension is a class of a few methods that is put before the optimizer in the method resolution
order, so `super()` is whatever stands inside. Which methods those are, and what calls them, is in
base.py. Classes are made again from the recipes in saved files.
"""

import copyreg

import keras
from keras import ops

from bert4keras_ext.backend.registration import PACKAGE, register
from bert4keras_ext.optimizers.base import UpdateRule, dense, is_frozen, is_tensorflow

__all__ = [
    "EXTENSIONS",
    "DerivedOptimizer",
    "DerivedType",
    "UpdateRule",
    "Extension",
    "class_of",
    "dense",
    "derive",
    "is_defined_inside",
    "is_frozen",
    "is_tensorflow",
    "recipe_of",
]

EXTENSIONS = {}  # recipe name -> class
_classes = {}  # (base, extensions, name) -> derived class
_bases = {}  # name in a recipe -> class, of those Keras does not know by name
_WRAPPERS = ("LossScaleOptimizer", "MultiOptimizer")


class DerivedType(type):
    """The type of derived classes: no module holds them by name, so pickles hold their recipes."""


class Extension(UpdateRule):
    """Base of the extensions. A subclass gives its name in recipes: `recipe_name="lookahead"`."""

    recipe_name = None

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

    def decay_weights(self, variables):
        """Done in `update_step`, which knows the rate of each weight and when it is updated."""

    def native_decay(self, variable):
        """The rate of Keras' own `weight_decay` argument for a weight, or None."""
        if self.decays_itself or self.weight_decay is None:
            return None
        return self.weight_decay if self.is_decayed(variable) else None

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
