"""Recomputation (gradient checkpointing): activations are made again in the backward pass.

``keras.RematScope`` cannot be used here: on TensorFlow it fails inside a graph, and it draws new
dropout masks in the second run, so that gradients belong to another forward pass than the one
that was made (bert4keras' RECOMPUTE=1 has the same defect). Here both runs read the same seeds.
"""

import functools

import keras
from keras import backend, tree

from bert4keras_ext.backend.gradients import custom_gradient


def recompute_grad(call):
    """Decorator for ``Layer.call``: recompute in the backward pass if ``self.recompute`` is set.

    It acts in training only, where memory matters, and only on the TensorFlow backend; elsewhere
    the layer is called as usual. Values and gradients equal those of the plain call, dropout
    included. Weights that the layer itself reads (not those of its sub-layers) must be made with
    ``autocast=False``: the second run happens outside the layer's own precision scope.

    Example::

        class Block(Layer):
            @recompute_grad
            def call(self, inputs, training=None):
                ...
    """

    @functools.wraps(call)
    def wrapper(self, *args, training=None, **kwargs):
        plain = functools.partial(call, self, training=training)
        recompute = training and self.recompute and backend.backend() == "tensorflow"
        if not recompute:
            return plain(*args, **kwargs)
        return _recomputed(plain, self.non_trainable_variables, args, kwargs)

    return wrapper


def _recomputed(function, state, args, kwargs):
    """``function(*args, **kwargs)`` under a gradient that runs it again.

    ``state`` are the variables the function may change (the seeds of dropout above all). Both
    runs start from the values of before the first one; the first one's changes are kept.
    """
    import tensorflow as tf

    leaves = tree.flatten((args, kwargs))
    places = [i for i, leaf in enumerate(leaves) if tf.is_tensor(leaf)]
    before = [(variable, tf.identity(variable.value)) for variable in state]
    structure = []

    def run(tensors):
        filled = list(leaves)
        for place, tensor in zip(places, tensors):
            filled[place] = tensor
        run_args, run_kwargs = tree.pack_sequence_as((args, kwargs), filled)
        with keras.StatelessScope(state_mapping=before) as scope:
            outputs = function(*run_args, **run_kwargs)
        structure.append(outputs)
        return tree.flatten(outputs), [scope.get_current_value(variable) for variable in state]

    @custom_gradient
    def forward(*tensors):
        outputs, changed = run(tensors)

        def gradient(*upstream, variables=None):
            upstream, variables = upstream[: len(outputs)], list(variables or [])
            inputs = _after(upstream, tensors)
            floats = [x for x in inputs if x.dtype.is_floating]
            with tf.GradientTape() as tape:
                tape.watch(floats)
                again, _ = run(inputs)
            gradients = tape.gradient(again, floats + variables, list(upstream))
            of_floats = iter(gradients[: len(floats)])
            of_inputs = [next(of_floats) if x.dtype.is_floating else None for x in inputs]
            return (of_inputs, gradients[len(floats) :]) if variables else of_inputs

        return [*outputs, *changed], gradient

    flat = forward(*[leaves[place] for place in places])
    split = len(flat) - len(state)
    for variable, value in zip(state, flat[split:]):
        variable.assign(value)
    return tree.pack_sequence_as(structure[0], flat[:split])


def _after(upstream, tensors):
    """The tensors, made to depend on the upstream gradient.

    Without this a compiler sees that the second run equals the first one, merges the two and
    keeps every activation. XLA ignores control dependencies, so the dependence is one of data: a
    zero that only the gradient being no NaN makes a zero.
    """
    import tensorflow as tf

    # The first value, or 0: a replica that a last batch leaves without rows has an empty gradient.
    some = tf.reshape(next(g for g in upstream if g is not None), [-1])
    first = tf.reduce_sum(some[:1])
    zero = tf.where(tf.math.is_nan(first), first, tf.zeros_like(first))
    return [x + tf.cast(zero, x.dtype) if x.dtype.is_floating else tf.identity(x) for x in tensors]
