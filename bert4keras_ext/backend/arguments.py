"""Decorators that change the keyword arguments of a class's `__init__`."""

import functools


def insert_arguments(**defaults):
    """Gives an `__init__` more keyword arguments, which become attributes of the same names.

    Args:
        **defaults: names of the arguments, with the values they have when they are not passed.

    Example:

    >>> class Scaled:
    ...     @insert_arguments(scale=2.0)
    ...     def __init__(self, name):
    ...         self.name = name
    >>> Scaled("a").scale, Scaled("b", scale=0.5).scale
    (2.0, 0.5)
    """

    def decorate(init):
        @_looks_like(init)
        def with_more(self, *args, **kwargs):
            for name, default in defaults.items():
                setattr(self, name, kwargs.pop(name, default))
            return init(self, *args, **kwargs)

        return with_more

    return decorate


def delete_arguments(*names):
    """Takes keyword arguments from an `__init__`, which gets None for them.

    For subclasses that pass `**kwargs` on to a class whose arguments they have no use for.

    Args:
        *names: names of the arguments.

    Raises:
        TypeError: when one of them is passed.

    Example:

    >>> class Plain:
    ...     @delete_arguments("with_pool")
    ...     def __init__(self, with_pool=True):
    ...         self.with_pool = with_pool
    >>> Plain().with_pool is None
    True
    """

    def decorate(init):
        @_looks_like(init)
        def with_less(self, *args, **kwargs):
            for name in names:
                if name in kwargs:
                    raise TypeError(
                        f"{type(self).__name__} expected no argument {name!r}, received "
                        f"{kwargs[name]!r}: this class does without it"
                    )
            return init(self, *args, **kwargs, **dict.fromkeys(names))

        return with_less

    return decorate


def _looks_like(init):
    """functools.wraps, but for the signature, which is another and which Keras asks for."""

    def decorate(function):
        functools.update_wrapper(function, init)
        del function.__wrapped__
        return function

    return decorate
