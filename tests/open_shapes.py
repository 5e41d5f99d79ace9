"""Layers and losses where batch and length are not known: what the harness holds them to.

Every tensor's open axes are found by their sizes in the example: the batch is the first axis of
the first input, the lengths are the second axes of sequences. The same graph must then give, for
batches and lengths that it never saw, what the layer gives eagerly.
"""

import keras
import numpy as np
from keras import ops, tree

TOLERANCE = 64 * 2.0**-23


@keras.saving.register_keras_serializable("tests")
class Masked(keras.layers.Layer):
    """[x, mask] -> x, which carries the mask: masks as inputs of a functional model."""

    def call(self, inputs):
        return ops.copy(inputs[0])

    def compute_mask(self, inputs, previous_mask=None):
        return inputs[1]

    def compute_output_shape(self, shapes):
        return shapes[0]


@keras.saving.register_keras_serializable("tests")
class Totals(keras.layers.Layer):
    """[first input, *outputs] -> (batch, 1): one number of all outputs, for any loss to train."""

    def compute_mask(self, inputs, previous_mask=None):
        return None

    def call(self, tensors):
        first, *outputs = tensors
        total = sum(ops.mean(ops.cos(finite(x))) for x in outputs)
        return total * ops.ones((ops.shape(first)[0], 1))

    def compute_output_shape(self, shapes):
        return (shapes[0][0], 1)


def finite(x):
    x = ops.cast(x, "float32")
    return ops.where(ops.isfinite(x), x, 0.0)


class Example:
    """The arrays of one call by name, and which of their axes are open.

    Args:
        inputs: an array, or a list of them.
        masks: bool arrays for the inputs, or None.
        call: dict of further arguments; arrays among them may vary, the rest is fixed.
        fixed: names in ``call`` of arrays whose sizes have nothing to do with batch and length.
        batches, lengths: sizes to try, as functions of those of the example.
    """

    def __init__(self, inputs, masks=None, call=None, fixed=()):
        self.inputs = inputs
        flat = tree.flatten(inputs)
        self.arrays = {f"x{i}": np.asarray(x) for i, x in enumerate(flat)}
        masks = [None if m is None else np.asarray(m) for m in masks or ()]
        self.arrays |= {f"m{i}": m for i, m in enumerate(masks) if m is not None}
        call = {k: ops.convert_to_numpy(v) if hasattr(v, "shape") else v
                for k, v in (call or {}).items()}  # fmt: skip
        self.constants = {k: v for k, v in call.items() if not hasattr(v, "shape") or k in fixed}
        self.arrays |= {k: v for k, v in call.items() if k not in self.constants}
        self.batch = flat[0].shape[0]
        self.lengths = {x.shape[1] for x in flat if is_sequence(x)}

    def open_axes(self, name):
        """The axes of an array that may have another size."""
        x = self.arrays[name]
        axes = {0} if x.shape[:1] == (self.batch,) else set()
        if name[0] in "xm" and name[1:].isdecimal():
            return axes | ({1} if is_sequence(x) else set())
        return axes | {
            a for a, size in enumerate(x.shape) if size in self.lengths and a not in axes
        }

    def shape(self, name):
        axes = self.open_axes(name)
        return tuple(None if a in axes else n for a, n in enumerate(self.arrays[name].shape))

    def resized(self, batch, length):
        """The arrays with other sizes: ``batch`` and ``length`` map an old size to a new one."""
        arrays = {}
        for name, x in self.arrays.items():
            for axis in self.open_axes(name):
                is_batch = axis == 0 and x.shape[0] == self.batch
                size = (batch if is_batch else length)(self.arrays[name].shape[axis])
                x = np.take(x, np.arange(size) % x.shape[axis], axis)
            arrays[name] = x
        return arrays

    def apply(self, layer, tensors, **kwargs):
        """The layer called on arrays, tensors or symbolic tensors of these names."""
        mains = [tensors[f"x{i}"] for i in range(len(tree.flatten(self.inputs)))]
        mains = [Masked()([x, tensors[f"m{i}"]]) if f"m{i}" in tensors else x
                 for i, x in enumerate(mains)]  # fmt: skip
        extra = {k: v for k, v in tensors.items() if not (k[0] in "xm" and k[1:].isdecimal())}
        constants = {k: ops.convert_to_tensor(v) if hasattr(v, "shape") else v
                     for k, v in self.constants.items()}  # fmt: skip
        return layer(tree.pack_sequence_as(self.inputs, mains), **extra, **constants, **kwargs)

    def model(self, layer, total=False):
        """A functional model of open shapes with a dict of inputs."""
        inputs = {
            name: keras.Input(batch_shape=self.shape(name), dtype=x.dtype.name, name=name)
            for name, x in self.arrays.items()
        }
        outputs = self.apply(layer, inputs)
        if total:
            outputs = Totals()([inputs["x0"], *tree.flatten(outputs)])
        return keras.Model(inputs, outputs)


def is_sequence(x):
    return x.ndim > 2 or (x.ndim == 2 and not np.issubdtype(x.dtype, np.floating))


def tensors_of(arrays):
    return {name: ops.convert_to_tensor(x) for name, x in arrays.items()}


# Longer and shorter than the example, and a single row of a single place.
SIZES = (
    (lambda n: n, lambda n: n),
    (lambda n: 2 * n, lambda n: n + 1),
    (lambda n: n, lambda n: 1),
)


def check_open_graph(layer, example, sizes=SIZES, jit=False):
    """One ``tf.function`` of open shapes: values and gradients equal those of the eager layer."""
    import tensorflow as tf

    variables = [w.value for w in layer.trainable_weights]

    def run(tensors):
        with tf.GradientTape() as tape:
            outputs = [finite(x) for x in tree.flatten(example.apply(layer, tensors))]
            total = sum(ops.sum(ops.cos(x)) for x in outputs)
        slopes = tape.gradient(total, variables, unconnected_gradients="zero")
        return outputs, [tf.convert_to_tensor(x) for x in slopes]

    spec = {k: tf.TensorSpec(example.shape(k), x.dtype, name=k) for k, x in example.arrays.items()}
    graph = tf.function(run, input_signature=[spec], jit_compile=jit)
    for batch, length in sizes:
        tensors = tensors_of(example.resized(batch, length))
        (outputs, slopes), (wanted, wanted_slopes) = graph(tensors), run(tensors)
        close(outputs, wanted)
        close(slopes, wanted_slopes, 8 * TOLERANCE)  # sums over all places, of terms that cancel


def check_export(layer, example, folder, sizes=SIZES):
    """A SavedModel, read back, gives what the layer gives, whatever the sizes."""
    import tensorflow as tf

    example.model(layer).export(str(folder), verbose=False)
    served = tf.saved_model.load(str(folder))
    for batch, length in sizes:
        tensors = tensors_of(example.resized(batch, length))
        found = served.serve(tensors)
        wanted = example.apply(layer, tensors)
        close([finite(x) for x in tree.flatten(found)], [finite(x) for x in tree.flatten(wanted)])


class Batches(keras.utils.PyDataset):
    def __init__(self, batches):
        super().__init__()
        self.batches = batches

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        return self.batches[index]


def dataset_of(batches):
    import tensorflow as tf

    def spec(*arrays):
        shape = [None if len(set(sizes)) > 1 else sizes[0] for sizes in zip(*map(np.shape, arrays))]
        return tf.TensorSpec(shape, arrays[0].dtype)

    return tf.data.Dataset.from_generator(
        lambda: iter(batches), output_signature=tree.map_structure(spec, *batches)
    )


SOURCES = {
    "generator": lambda batches: (x for x in batches),
    "tf.data": dataset_of,
    "PyDataset": Batches,
}


def check_fit(model, batches, loss, jit=False):
    """Trains on one batch after the other, of varying sizes, from every kind of source."""
    model.compile(keras.optimizers.SGD(0.01), loss, jit_compile=jit)
    for source in SOURCES.values():
        history = model.fit(
            source(batches), steps_per_epoch=len(batches), shuffle=False, verbose=0
        ).history  # fmt: skip
        assert np.isfinite(history["loss"][0])


def check_fit_of_layer(layer, example, sizes=SIZES, jit=False):
    batches = []
    for batch, length in sizes[1:]:
        arrays = example.resized(batch, length)
        batches.append((arrays, np.zeros((len(arrays["x0"]), 1), "float32")))
    check_fit(example.model(layer, total=True), batches, "mse", jit)


@keras.saving.register_keras_serializable("tests")
class Scale(keras.layers.Layer):
    """``w x`` with one weight w: something for a loss to train."""

    def build(self, input_shape):
        self.scale = self.add_weight(name="scale", shape=(), initializer="ones")

    def call(self, inputs):
        return ops.where(ops.isfinite(inputs), inputs * self.scale, inputs)


def check_open_function(function, arrays, axes, sizes, jit=False):
    """One graph of a function of arrays whose ``axes`` are open; gradients by the floats."""
    import tensorflow as tf

    def run(*tensors):
        floats = [x for x in tensors if x.dtype.is_floating]
        with tf.GradientTape() as tape:
            tape.watch(floats)
            outputs = tree.flatten(function(*tensors))
            total = sum(ops.sum(finite(x)) for x in outputs if x.dtype.is_floating)
        slopes = tape.gradient(total, floats, unconnected_gradients="zero")
        return [finite(x) for x in outputs], slopes

    spec = [tf.TensorSpec(open_shape(x, a), x.dtype) for x, a in zip(arrays, axes)]
    graph = tf.function(run, input_signature=spec, jit_compile=jit)
    for change in sizes:
        tensors = [tf.convert_to_tensor(resized(x, a, change)) for x, a in zip(arrays, axes)]
        (outputs, slopes), (wanted, wanted_slopes) = graph(*tensors), run(*tensors)
        close(outputs, wanted)
        close(slopes, wanted_slopes, 8 * TOLERANCE)


def open_shape(x, axes):
    return tuple(None if a in axes else n for a, n in enumerate(x.shape))


def resized(x, axes, change):
    """An array with its first axis, and the others of ``axes``, as ``change`` has them."""
    batch, length = change
    for axis in axes:
        size = (batch if axis == 0 else length)(x.shape[axis])
        x = np.take(x, np.arange(size) % x.shape[axis], axis)
    return x


def check_loss(loss, arrays, axes, sizes=SIZES, weights=(0,), jit=False):
    """A loss in open graphs, with sample weights.

    Args:
        loss: ``loss(y_true, y_pred)``, a Keras loss or a function.
        arrays: (y_true, y_pred).
        axes: which axes of each are open.
        weights: the axes that sample weights have, those of the loss's values; None is no weights.
    """
    if isinstance(loss, keras.losses.Loss) and weights:
        arrays, axes = (*arrays, weights_of(arrays, weights)), (*axes, weights)
    check_open_function(loss, arrays, axes, sizes, jit)


def weights_of(arrays, axes):
    shape = arrays[1].shape[: len(axes)]
    return np.linspace(0.5, 2, np.prod(shape)).astype("float32").reshape(shape)


def check_fit_of_loss(loss, arrays, axes, sizes=SIZES, weights=(0,), jit=False):
    """The same in ``fit``, from any source."""
    batches = []
    for change in sizes[:2]:
        y_true, y_pred = (resized(x, a, change) for x, a in zip(arrays, axes))
        weight = (weights_of((y_true, y_pred), weights),) if weights else ()
        batches.append((y_pred, y_true, *weight))
    inputs = keras.Input(batch_shape=open_shape(arrays[1], axes[1]), dtype=arrays[1].dtype.name)
    check_fit(keras.Model(inputs, Scale()(inputs)), batches, loss, jit)


def close(found, wanted, tolerance=TOLERANCE):
    for a, b in zip(tree.flatten(found), tree.flatten(wanted), strict=True):
        a, b = np.asarray(a), np.asarray(b)
        assert a.shape == b.shape
        scale = max(1.0, np.abs(b).max(initial=0))
        assert np.all(np.isfinite(a)) and np.abs(a - b).max(initial=0) <= tolerance * scale
