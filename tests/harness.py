"""One call checks a layer whole: the harness every layer's test goes through."""

import inspect
import os
import tempfile

import keras
import numpy as np
from keras import ops, tree

from tests.open_shapes import Example, check_open_graph

# bfloat16 keeps 8 bits of mantissa, float16 11: a value of size 1 that passed through a few
# roundings is off by some units of 2^-8 or 2^-11.
MIXED_TOLERANCE = {"mixed_bfloat16": 16 * 2.0**-8, "mixed_float16": 16 * 2.0**-11}
# float32: eps = 2^-23 times the number of accumulations in a tiny layer.
FLOAT32_TOLERANCE = 64 * 2.0**-23
# Of batch and length, by which a graph of open shapes is tried.
OTHER_SIZES = ((lambda n: 2 * n, lambda n: n + 1),)


def check_layer(
    cls,
    config,
    inputs,
    masks=None,
    call=None,
    expected_shape=None,
    expected_weights=None,
    expected_mask=None,
    zero_gradients=(),
    mixed=True,
    mixed_dtype=None,
    xla=True,
    fixed=(),
):
    """Builds a layer and checks everything a Keras citizen must do.

    Shapes against ``compute_output_shape``; output masks; the config and the ``.keras`` round
    trip; gradients that exist and are finite for every weight; mixed precision near float32;
    eager against graph against XLA; a graph of open batch and length against eager. (Exports and
    `fit` of open shapes: tests/layers/test_open_shapes.py has every layer.)

    Args:
        cls: the layer class.
        config: constructor arguments.
        inputs: an array, or a list of arrays passed as one list argument.
        masks: bool arrays for the inputs (None where there is none), carried as Keras masks.
        call: dict of further call arguments; arrays become tensors.
        expected_shape: shape(s) of the output, besides the automatic comparison.
        expected_weights: number of trainable weights.
        expected_mask: array the output's mask must equal, or None to skip.
        mixed_dtype: of the outputs under mixed precision; None is the compute dtype.
        fixed: names in ``call`` of arrays whose sizes do not vary with batch and length.
        zero_gradients: ends of the paths of weights whose gradient is zero by mathematics.

    Returns:
        (layer, output array).
    """
    layer = cls(**config)
    call = {k: _tensor(v) for k, v in (call or {}).items()}
    outputs = _run(layer, inputs, masks, call)
    for weight in layer.trainable_weights:  # zero-initialised weights hide mistakes
        noise = np.random.default_rng(len(weight.path)).normal(0, 0.3, weight.shape)
        weight.assign(ops.convert_to_numpy(weight) + noise)
    outputs = _run(layer, inputs, masks, call)

    _check_shapes(layer, inputs, call, outputs, expected_shape)
    if expected_weights is not None:
        assert len(layer.trainable_weights) == expected_weights
    if expected_mask is not None:
        mask = keras.src.backend.get_keras_mask(tree.flatten(outputs)[0])
        np.testing.assert_array_equal(ops.convert_to_numpy(mask), expected_mask)
    _check_config(cls, layer, inputs, masks, call, outputs)
    _check_saving(layer, inputs, masks, call)
    _check_graph(layer, inputs, masks, call, outputs, xla)
    _check_gradients(layer, inputs, masks, call, zero_gradients)
    if keras.backend.backend() == "tensorflow":
        check_open_graph(layer, Example(inputs, masks, call, fixed), OTHER_SIZES)
    if mixed:
        for policy, tolerance in MIXED_TOLERANCE.items():
            found, dtype = _mixed(cls, config, layer, inputs, masks, call, policy)
            _close(found, outputs, tolerance)
            _check_dtype(found, mixed_dtype or dtype)
    arrays = tree.map_structure(ops.convert_to_numpy, outputs)
    return layer, arrays


def _tensor(value):
    return ops.convert_to_tensor(value) if isinstance(value, np.ndarray) else value


def _run(layer, inputs, masks, call, **kwargs):
    tensors = tree.map_structure(_tensor, inputs)
    for tensor, mask in zip(tree.flatten(tensors), masks or ()):
        if mask is not None:
            keras.src.backend.set_keras_mask(tensor, ops.convert_to_tensor(mask))
    return layer(tensors, **call, **kwargs)


def _arrays(outputs):
    return [np.asarray(ops.convert_to_numpy(ops.cast(x, "float32"))) for x in tree.flatten(outputs)]


def _close(found, wanted, tolerance):
    for a, b in zip(_arrays(found), _arrays(wanted)):
        np.testing.assert_array_equal(np.isfinite(a), np.isfinite(b))
        finite = np.isfinite(b)
        scale = max(1.0, np.abs(b[finite]).max(initial=0))
        assert np.abs(a[finite] - b[finite]).max(initial=0) <= tolerance * scale


def _check_shapes(layer, inputs, call, outputs, expected):
    found = [tuple(x.shape) for x in tree.flatten(outputs)]
    symbolic = tree.map_structure(
        lambda x: keras.KerasTensor(x.shape, dtype=x.dtype), tree.map_structure(_tensor, inputs)
    )
    spec = layer.compute_output_spec(symbolic, **call)
    assert [tuple(x.shape) for x in tree.flatten(spec)] == found
    if not isinstance(inputs, list) or len(inputs) != 2:
        shapes = tree.map_structure(lambda x: tuple(x.shape), tree.map_structure(_tensor, inputs))
        declared = layer.compute_output_shape(shapes, **_declared_shapes(layer, call))
        flat = [declared] if isinstance(declared[0], (int, type(None))) else list(declared)
        assert [tuple(s) for s in flat] == found
    if expected is not None:
        wanted = [expected] if isinstance(expected[0], int) else list(expected)
        assert found == [tuple(s) for s in wanted]


def _declared_shapes(layer, call):
    """Shapes of further tensors, where compute_output_shape asks for them, as Keras passes them."""
    names = inspect.signature(layer.compute_output_shape).parameters
    shapes = {f"{k}_shape": tuple(v.shape) for k, v in call.items() if hasattr(v, "shape")}
    return {k: shape for k, shape in shapes.items() if k in names}


def _copy(cls, layer, inputs, masks, call, **changes):
    other = cls.from_config({**layer.get_config(), **changes})
    _run(other, inputs, masks, call)
    other.set_weights(layer.get_weights())
    return other


def _check_config(cls, layer, inputs, masks, call, outputs):
    again = _copy(cls, layer, inputs, masks, call)
    assert again.get_config() == layer.get_config()
    _close(_run(again, inputs, masks, call), outputs, FLOAT32_TOLERANCE)


def _check_saving(layer, inputs, masks, call):
    """The layer inside a functional model, through a .keras file."""
    symbolic = tree.map_structure(lambda x: keras.Input(batch_shape=x.shape, dtype=x.dtype), inputs)
    extra = {k: keras.Input(batch_shape=v.shape, dtype=v.dtype) for k, v in call.items()
             if hasattr(v, "shape")}  # fmt: skip
    fixed = {k: v for k, v in call.items() if k not in extra}
    model = keras.Model(
        [*tree.flatten(symbolic), *extra.values()], layer(symbolic, **extra, **fixed)
    )
    arrays = [*tree.flatten(inputs), *(ops.convert_to_numpy(call[k]) for k in extra)]
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "layer.keras")
        model.save(path)
        loaded = keras.models.load_model(path)
    _close(loaded(arrays), model(arrays), FLOAT32_TOLERANCE)


def _check_graph(layer, inputs, masks, call, outputs, xla):
    if keras.backend.backend() != "tensorflow":
        return
    import tensorflow as tf

    for jit in (False, True) if xla else (False,):
        compiled = tf.function(lambda: _run(layer, inputs, masks, call), jit_compile=jit)
        _close(compiled(), outputs, FLOAT32_TOLERANCE)


def _check_gradients(layer, inputs, masks, call, zero):
    if keras.backend.backend() != "tensorflow":
        return
    import tensorflow as tf

    with tf.GradientTape() as tape:
        outputs = tree.flatten(_run(layer, inputs, masks, call, **_training(layer)))
        total = sum(
            ops.sum(ops.cos(ops.where(ops.isfinite(x), x, 0.0))) for x in outputs
        )  # cos: no output is a constant of the weights
    weights = layer.trainable_weights
    for weight, grad in zip(weights, tape.gradient(total, [w.value for w in weights])):
        assert grad is not None, f"no gradient for {weight.path}"
        grad = tf.convert_to_tensor(grad)
        assert np.all(np.isfinite(grad)), f"gradient of {weight.path} is not finite"
        if not weight.path.endswith(tuple(zero)):
            assert np.any(grad.numpy() != 0), f"gradient of {weight.path} is zero everywhere"


def _training(layer):
    return {"training": True} if layer._call_has_training_arg else {}


def _mixed(cls, config, layer, inputs, masks, call, policy):
    """The outputs under a policy, and its compute dtype."""
    mixed = cls(**{**config, "dtype": policy})

    def lowered(x):
        # As they arrive inside a model. (Keras 3.12 loses the mask of what it casts itself.)
        x = _tensor(x)
        return ops.cast(x, mixed.compute_dtype) if "float" in str(x.dtype) else x

    inputs = tree.map_structure(lowered, inputs)
    _run(mixed, inputs, masks, call)
    mixed.set_weights(layer.get_weights())
    return _run(mixed, inputs, masks, call), mixed.compute_dtype


def _check_dtype(outputs, expected):
    for x in tree.flatten(outputs):
        found = keras.backend.standardize_dtype(x.dtype)
        assert "float" not in found or found == expected, f"{found} in place of {expected}"
