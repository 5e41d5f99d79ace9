"""Functions of tensors, compiled once for all batches and lengths: the steps of prediction."""

import functools

import keras
import numpy as np
from keras import ops, tree


def compiled(function, jit_compile=False, open_axes=(0, 1)):
    """``function`` as one compiled program, which sees changed weights and takes any length.

    ==========  ====================================================================================
    TensorFlow  a ``tf.function`` with open axes, traced once for each structure, rank and dtype of
                arguments; with ``jit_compile`` XLA compiles it again for each shape
    JAX         ``jax.jit``, once a shape; the variables that the function reads are arguments of
                the program, those that it writes (seeds) are written after it
    PyTorch     the function as it is, without gradients
    ==========  ====================================================================================

    It is for prediction: no gradient goes through it. The function must not make variables, and
    which layers it calls must not change later (after ``enable_lora`` or ``quantize`` compile
    anew); their weights may.

    Args:
        function: of any arguments, returning any tree (list, tuple, dict, None) of tensors, written
            in ``keras.ops``.
        jit_compile: compile with XLA on TensorFlow; JAX always does.
        open_axes: the axes whose sizes may differ from call to call without another trace on
            TensorFlow, or a function of a tensor that tells them. Axes beyond a tensor's rank are
            passed over.

    Arguments of the compiled function: arrays, tensors and numbers, also in lists, tuples and
    dicts, become tensors (a number of Python one of int32 or float32); all else (None, bool, str)
    is fixed within a program, and another value makes another program. An array of another dtype
    makes another one too.

    Returns:
        a function; it holds ``function``, and its programs die with it.

    Example:

    >>> double = compiled(lambda rows: {"sum": 2 * ops.sum(rows["x"])})
    >>> [int(double({"x": np.ones((2, length), "int32")})["sum"]) for length in (3, 4)]
    [12, 16]
    """
    compilers = {"tensorflow": _for_tensorflow, "jax": _for_jax, "torch": _for_torch}
    compiler = compilers.get(keras.backend.backend(), lambda program, *_: program)
    programs = {}

    def call(*args, **kwargs):
        leaves = tree.flatten((args, kwargs))
        places = [i for i, leaf in enumerate(leaves) if _is_number(leaf)]
        tensors = [ops.convert_to_tensor(leaves[i]) for i in places]
        shapes = [_opened(tensor, open_axes) for tensor in tensors]
        fixed = [None if _is_number(leaf) else leaf for leaf in leaves]
        key = _structure(args, kwargs), str(fixed), str(shapes), str([x.dtype for x in tensors])
        if key not in programs:
            structure = tree.map_structure(lambda _: 0, (args, kwargs))

            def program(*tensors):
                filled = list(fixed)
                for place, tensor in zip(places, tensors):
                    filled[place] = tensor
                args, kwargs = tree.pack_sequence_as(structure, filled)
                return function(*args, **kwargs)

            programs[key] = compiler(program, tensors, shapes, jit_compile)
        return programs[key](*tensors)

    return call


def _is_number(leaf):
    """Whether an argument becomes a tensor."""
    if isinstance(leaf, (bool, str)) or leaf is None:
        return False
    return isinstance(leaf, (int, float, np.ndarray, np.generic)) or hasattr(leaf, "dtype")


def _structure(args, kwargs):
    """What tells trees of another form apart, lists from tuples too."""
    return str(tree.map_structure(lambda _: 0, (args, kwargs)))


def _opened(tensor, open_axes):
    """The shape of a tensor with None where the axis is open."""
    axes = open_axes(tensor) if callable(open_axes) else open_axes
    return tuple(None if i in axes else size for i, size in enumerate(tensor.shape))


def _for_tensorflow(program, tensors, shapes, jit_compile):
    import tensorflow as tf

    signature = [tf.TensorSpec(shape, x.dtype) for shape, x in zip(shapes, tensors)]
    # TensorFlow counts traces by the code of a function, and would take the programs of several
    # models for one that is traced again and again; what has no code is counted by itself.
    return tf.function(
        functools.partial(program),
        input_signature=signature,
        jit_compile=bool(jit_compile),
        autograph=False,
    )


def _for_torch(program, *_):
    import torch

    return torch.no_grad()(program)


def _for_jax(program, tensors, *_):
    import jax

    # A weight that the program merely closes over would be a constant of it, never seen to change.
    with _Notes() as notes:
        jax.eval_shape(program, *tensors)
    variables, written = list(notes.met.values()), list(notes.written.values())

    @jax.jit
    def pure(values, tensors):
        with keras.StatelessScope(list(zip(variables, values))) as scope:
            outputs = program(*tensors)
        return outputs, [scope.get_current_value(variable) for variable in written]

    def call(*tensors):
        outputs, values = pure([variable.value for variable in variables], tensors)
        for variable, value in zip(written, values):
            variable.assign(value)
        return outputs

    return call


class _Notes(keras.StatelessScope):
    """Notes the variables that are read and written within it."""

    def __init__(self):
        super().__init__()
        self.met, self.written = {}, {}

    def get_current_value(self, variable):
        self.met[id(variable)] = variable
        return super().get_current_value(variable)

    def add_update(self, update):
        self.met[id(update[0])] = self.written[id(update[0])] = update[0]
        super().add_update(update)
