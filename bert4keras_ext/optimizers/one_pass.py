"""Updates of large weights as one XLA-compiled pass, within steps that are not compiled.

TensorFlow runs one operation after the other, each over the whole weight: a rule of ten reads and
writes memory ten times. XLA makes loops of several, which write weights and slots in place. Results
differ from those of single operations in the last bits.
"""

import math

from keras import ops

from bert4keras_ext.backend import acceleration

SMALLEST = 2**16  # numbers in a weight: compiling takes some 30 ms each, which a bias never earns
LARGEST = 2**24  # numbers in the weights of one function


def worth_compiling(variables, is_wanted=True):
    """For each variable whether it is worth compiling for, and can be written by XLA here.

    That is in a graph, on the CPU (with a GPU the whole step is compiled, see `jit_compile`), and
    outside of `tf.distribute`. `set_xla(False)` and B4K_XLA=off keep XLA out of updates too.
    """
    import tensorflow as tf

    is_allowed = is_wanted and acceleration.xla_mode() != "off"
    if not is_allowed or not tf.inside_function() or tf.distribute.has_strategy():
        return [False] * len(variables)
    return [v.shape.num_elements() >= SMALLEST and "CPU:0" in v.device for v in variables]


def run(action, rows):
    """action(*row) for all rows, compiled; variables and tensors in them are captured.

    Args:
        action: writes variables.
        rows: tuples of arguments, a variable the second of them.
    """
    for group in _groups(rows):
        _run_together(action, group)


def _run_together(action, rows):
    import tensorflow as tf

    def together():
        for row in rows:
            action(*row)

    tf.function(together, jit_compile=True, autograph=False)()


def _groups(rows):
    """The rows in order, in groups: XLA may keep what it computes in between for a whole group."""
    groups, size = [], math.inf
    for row in rows:
        numbers = math.prod(row[1].shape)
        size += numbers
        if size > LARGEST:
            groups.append([])
            size = numbers
        groups[-1].append(row)
    return groups


def mean(x, axis=None):
    """The mean of all numbers, or over an axis, which becomes 1.

    Over the last axis it is a product with ones: XLA's sums of floats go one by one on a CPU, ten
    times slower than numbers are read, its products go by many.
    """
    if axis is None:
        return ops.mean(mean(x, -1) if len(x.shape) > 1 else x)
    if axis in (-1, len(x.shape) - 1):
        return ops.matmul(x, ops.ones((x.shape[-1], 1), x.dtype)) / x.shape[-1]
    return ops.mean(x, axis, keepdims=True)
