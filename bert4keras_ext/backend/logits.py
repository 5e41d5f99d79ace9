"""Probabilities where logits are wanted: told by where a tensor comes from, or by its values."""

import warnings

import keras
import numpy as np
from keras import ops

from bert4keras_ext.backend.keras_internals import logits_of, maker_of

LOGITS_OF_A_MODEL = (
    'build the model with with_mlm="linear" (BERT and its family, UniLM) or with_lm="linear" (GPT, '
    "T5), or leave out the activation of the last layer"
)
LOGITS_OF_A_LAYER = "leave out the activation of the last layer"
# What changes the form of a tensor and keeps its numbers.
_PASSING = {
    "Cast", "CheckNumerics", "EnsureShape", "ExpandDims", "GatherNd", "GatherV2", "Identity",
    "IdentityN", "PreventGradient", "Reshape", "Slice", "Squeeze", "StopGradient", "StridedSlice",
    "Transpose",
}  # fmt: skip
# What puts several tensors together: probabilities if all of them are.
_JOINING = {"Concat", "ConcatV2", "Concatenate", "Pack", "Stack"}
_CLIPPING = {"Clip", "ClipByValue", "Maximum", "Minimum"}  # against constants
_SQUASHING = ("softmax", "sigmoid")
_ROWS = 8  # that are looked at; all of them would cost


def expect_logits(name, scores, fix=LOGITS_OF_A_LAYER, expected="logits"):
    """Refuses the output of a softmax or sigmoid, from which a loss of logits learns next to
    nothing, and warns of rows that are probabilities by their values.

    The origin is read while a step is traced, or from the symbolic tensor of a functional model.
    Values are looked at in eager execution only (a few rows): a compiled step pays nothing.

    Args:
        name: of the loss, for the message.
        scores: (..., classes).
        fix: what to do, for the message.
        expected: what the loss wants, for the message.

    Raises:
        ValueError: for the output of a softmax or sigmoid.

    Example:

    >>> expect_logits("loss", ops.softmax(ops.ones((2, 3))))
    Traceback (most recent call last):
    ValueError: loss expects logits, found probabilities (the output of a softmax or sigmoid): ...
    """
    origin = probabilities_from(scores)
    if origin is not None:
        raise ValueError(
            f"{name} expects {expected}, found probabilities (the output of {origin}): {fix}"
        )
    if _are_probabilities(scores):
        warnings.warn(
            f"{name} expects {expected}, found rows that are not negative and sum to 1, as "
            f"probabilities do: {fix}",
            stacklevel=3,
        )


def probabilities_from(tensor):
    """What made probabilities of this tensor, in words, or None where nothing is known to have.

    Example:

    >>> x = keras.Input((3,))
    >>> probabilities_from(keras.layers.Dense(2, activation="softmax", name="head")(x))
    'a softmax, "head"'
    """
    if isinstance(tensor, keras.KerasTensor):
        return _from_layers(tensor)
    origin = _from_operations(tensor)
    return "a softmax or sigmoid" if origin is None and logits_of(tensor) is not None else origin


def _from_layers(tensor):
    made = maker_of(tensor)
    if made is None:
        return None
    operation, index, inputs = made
    kind = _kind_of(operation)
    if kind is not None:
        return f'a {kind}, "{operation.name}"'
    if isinstance(operation, keras.Model) and hasattr(operation, "outputs"):
        return _from_layers(operation.outputs[index])
    name = type(operation).__name__
    if name in _JOINING:
        return _of_all(map(_from_layers, inputs))
    passes = name in _PASSING | {"Activation", "GetItem"} or (
        name in _CLIPPING and len(inputs) == 1
    )
    return _from_layers(inputs[0]) if passes and inputs else None


def _of_all(origins):
    """The first of several origins, if none of them is unknown."""
    origins = list(origins)
    return origins[0] if origins and None not in origins else None


def _kind_of(operation):
    """ "softmax" or "sigmoid" for a layer that ends in one, or for the operation itself."""
    if isinstance(operation, keras.layers.TimeDistributed):
        return _kind_of(operation.layer)
    known = [type(operation), *(getattr(operation, x, None) for x in _ACTIVATIONS)]
    names = (getattr(x, "__name__", type(x).__name__).lower() for x in known)
    return next((name for name in names if name in _SQUASHING), None)


_ACTIVATIONS = ("activation", "output_activation")


def _from_operations(tensor):
    """The same along the operations of TensorFlow's graph; elsewhere there are none to see."""
    made = _operation_of(tensor)
    if made is None:
        return None
    if made.type.lower() in _SQUASHING or _is_shares(made):
        return f'a {"sigmoid" if made.type == "Sigmoid" else "softmax"}, "{made.name}"'
    tensors = [x for x in made.inputs if x.op.type != "Const"]
    if made.type in _JOINING:
        return _of_all(map(_from_operations, tensors))
    if made.type not in _PASSING and not (made.type in _CLIPPING and len(tensors) == 1):
        return None
    return _from_operations(made.inputs[tensor.value_index if made.type == "IdentityN" else 0])


def _operation_of(tensor):
    if keras.backend.backend() != "tensorflow" or isinstance(tensor, np.ndarray):
        return None
    try:
        return tensor.op
    except AttributeError:  # an eager tensor, or a variable
        return None


def _is_shares(operation):
    """exp(log_softmax(x)), or x / sum(x)."""
    if operation.type == "Exp":
        return operation.inputs[0].op.type == "LogSoftmax"
    if operation.type != "RealDiv":
        return False
    part, total = operation.inputs
    return total.op.type == "Sum" and total.op.inputs[0] is part


def _are_probabilities(scores):
    if isinstance(scores, keras.KerasTensor) or not _has_values(scores):
        return False
    if len(scores.shape) < 2 or not 1 < scores.shape[-1] or 0 in scores.shape:
        return False
    first = scores[(0,) * (len(scores.shape) - 2)][:_ROWS]
    rows = np.asarray(ops.convert_to_numpy(first), "float32")
    # Rows with a single 1 are more often scores made by hand.
    return bool(
        np.all(rows >= 0) and np.all(np.abs(rows.sum(-1) - 1) < 1e-2) and np.any(rows.max(-1) < 1)
    )


def _has_values(scores):
    """Not a tensor that is being traced."""
    if keras.backend.backend() == "jax":
        import jax

        return not isinstance(scores, jax.core.Tracer)
    return isinstance(scores, np.ndarray) or hasattr(scores, "numpy")
