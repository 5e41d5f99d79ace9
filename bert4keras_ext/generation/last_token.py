"""What a model gives at the last position, called once a token with inputs that grow."""

from operator import is_not

import keras
import numpy as np
from keras import ops, tree

from bert4keras_ext.backend.acceleration import jit_compile
from bert4keras_ext.backend.compiled import compiled
from bert4keras_ext.generation.paddings import Padding

# Under this name, in the model itself: it lives and dies with the model.
ATTRIBUTE = "_last_token_of_bert4keras_ext"


def last_token(model):
    """The `LastToken` of a model: the same one each time, as long as the model lives.

    Args:
        model: a functional Keras model whose outputs are (batch, length, ...).

    Example:

    >>> tokens = keras.Input((None,), dtype="int32")
    >>> model = keras.Model(tokens, keras.layers.Embedding(9, 4)(tokens))
    >>> last_token(model).predict([[1, 2, 3], [4, 5, 6]]).shape
    (2, 4)
    >>> last_token(model) is last_token(model)
    True
    """
    if not isinstance(model, keras.Model) or not hasattr(model, "inputs"):
        raise TypeError(
            f"last_token expects a functional Keras model, received {type(model).__name__}; "
            "of a builder pass its .model"
        )
    held = vars(model)
    if ATTRIBUTE not in held:
        held[ATTRIBUTE] = LastToken(model)
    return held[ATTRIBUTE]


class LastToken:
    """Predicts the last position, without progress bars and without tracing again.

    On TensorFlow one program takes every batch and length. Where each shape is compiled anew (JAX,
    and XLA where ``jit_compile()`` turns it on) batches are filled up to powers of two and lengths
    to multiples of 32, provided that this changes nothing (see `Padding`).

    Args:
        model: see `last_token`.
    """

    def __init__(self, model):
        self.model = model
        self._programs = {}
        self._padding = None
        self._variables = []

    def predict(self, inputs, batch_size=None, verbose=0):
        """The outputs at the last position: (batch, vocabulary), or a list of them.

        Args:
            inputs: what ``model.predict`` takes: a list with an array for each input, one array,
                or a dict by the names of inputs; nested lists of numbers will do.
            batch_size, verbose: are passed over, since scripts give them: all rows are read at
                once, and nothing is shown.

        Returns:
            float32 arrays.

        Raises:
            ValueError: where there is not one array for each input, arrays differ in rows, or are
                empty.
        """
        arrays = self._arrays(inputs)
        xla = jit_compile()
        self._forget_programs_of_other_variables()
        backend = keras.backend.backend()
        if backend == "jax" or (xla and backend == "tensorflow"):
            if self._padding is None:
                self._padding = Padding(self.model)
            # Without compiling it a model runs well on TensorFlow, on JAX slower than it compiles.
            trial = self._last if backend == "tensorflow" else None
            return self._padding.run(lambda *filled: self._run(xla, *filled), arrays, trial)
        return self._run(xla, arrays, 0)

    predict_on_batch = predict

    def _run(self, xla, arrays, padding):
        if xla not in self._programs:
            self._programs[xla] = compiled(self._last, jit_compile=xla)
        found = self._programs[xla](arrays, np.int32(padding))
        return tree.map_structure(ops.convert_to_numpy, found)

    def _last(self, arrays, padding):
        """The outputs `padding` places before the end, as float32."""
        outputs = self.model(tree.pack_sequence_as(self.model.input, arrays), training=False)
        return tree.map_structure(lambda x: _at(x, padding), outputs)

    def _forget_programs_of_other_variables(self):
        """LoRA and quantization make new variables, of which a program that is there knows nothing.

        The variables themselves are kept: the id of one that is gone could be that of another.
        """
        found = self.model.variables
        if len(found) != len(self._variables) or any(map(is_not, found, self._variables)):
            self._programs, self._variables = {}, found

    def _arrays(self, inputs):
        """A NumPy array for each input of the model, in its order."""
        wanted = self.model.inputs
        if isinstance(inputs, dict):
            inputs = [inputs[tensor.name] for tensor in wanted]
        elif len(wanted) == 1 and not _is_list_of_one(inputs, wanted[0]):
            inputs = [inputs]
        if len(inputs) != len(wanted):
            raise ValueError(
                f"expected an array for each of the inputs {[x.name for x in wanted]}, "
                f"received {len(inputs)}"
            )
        arrays = [_array(x, tensor) for x, tensor in zip(inputs, wanted)]
        shapes = [array.shape for array in arrays]
        if len({shape[0] for shape in shapes}) > 1 or any(0 in shape for shape in shapes):
            raise ValueError(
                "expected arrays of as many rows each, and of one position at least; received the "
                f"shapes {shapes}. Without a prompt give the decoder a start_id"
            )
        return arrays


def _at(x, padding):
    """(batch, length, ...) -> (batch, ...)."""
    if len(x.shape) < 2:
        raise ValueError(f"expected outputs (batch, length, ...), found the shape {x.shape}")
    return ops.cast(ops.take(x, ops.shape(x)[1] - 1 - padding, axis=1), "float32")


def _is_list_of_one(inputs, tensor):
    """Whether it is a list that holds the one array, rather than the array as a list."""
    if not isinstance(inputs, (list, tuple)) or len(inputs) != 1:
        return False
    return np.ndim(inputs[0]) == len(tensor.shape)


def _array(x, tensor):
    if ops.is_tensor(x):
        x = ops.convert_to_numpy(x)
    dtype = "float32" if "float" in tensor.dtype else tensor.dtype  # bfloat16 is none of NumPy's
    array = np.asarray(x)
    if array.dtype.kind not in "biuf":
        raise ValueError(
            f"expected numbers for the input {tensor.name}, in rows of one length; received "
            f"{array.dtype} of the shape {array.shape}"
        )
    if array.ndim != len(tensor.shape):
        raise ValueError(
            f"expected the shape {tensor.shape} for the input {tensor.name}, received {array.shape}"
        )
    return array.astype(dtype, copy=False)
