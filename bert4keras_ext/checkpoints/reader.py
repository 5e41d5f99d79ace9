"""What every checkpoint format has in common: named tensors that are read one at a time."""

import numpy as np


class CheckpointError(ValueError):
    """A checkpoint that cannot be used: says what was expected, what found, and the fix."""


class Reader:
    """An open checkpoint: a set of named tensors that are read one at a time.

    A format is a subclass that sets `format` and fills in `names`, `shape`, `dtype` and `read`,
    and `verify` and `close` where there is something to do. `open_checkpoint` finds the right
    subclass for a path.

    Attributes:
        format: the format's name as a person says it, such as "safetensors".
        path: where the tensors come from, for messages.
        streams: whether `read_into` takes no memory of its own.
        advice: what to do with this very file when its names fit nothing, or None.

    Example:

    >>> from bert4keras_ext.checkpoints import open_checkpoint
    >>> with open_checkpoint({"bert/pooler/dense/bias": [0.5, 1.5, 2.5]}) as reader:
    ...     for name in reader.names():
    ...         print(name, reader.shape(name), reader.dtype(name), reader.read(name))
    bert/pooler/dense/bias (3,) float64 [0.5 1.5 2.5]
    """

    format = "unknown"
    advice = None
    streams = False

    def __init__(self, path):
        self.path = str(path)

    def names(self):
        """The names of all tensors, as a list in the file's own order."""
        raise NotImplementedError

    def shape(self, name):
        """The shape of one tensor, as a tuple, without reading it."""
        raise NotImplementedError

    def dtype(self, name):
        """The NumPy dtype of one tensor (bfloat16 is `ml_dtypes.bfloat16`), without reading it."""
        raise NotImplementedError

    def read(self, name):
        """Reads one tensor into a new array that belongs to the caller."""
        raise NotImplementedError

    def read_into(self, name, out):
        """Reads one tensor into an array of its shape, which may have any strides and dtype."""
        out[...] = self.read(name)

    def copies(self):
        """Names of tensors that the file holds under an earlier name too, a set.

        Only PyTorch's own files know: tied weights stand in them under every name.
        """
        return set()

    def verify(self, names=None):
        """Raises CheckpointError if the file is truncated or corrupt, if the format can tell.

        Args:
            names: check the contents of these tensors only; None means all of them.
        """

    def close(self):
        """Closes the file. Reading afterwards is an error."""

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def require(self, name):
        """Raises CheckpointError unless a tensor of this name exists."""
        if name not in self:
            raise CheckpointError(f"{self.format} {self.path!r} holds no tensor named {name!r}.")

    def __contains__(self, name):
        return name in self.names()


class ArraysReader(Reader):
    """A dict {name: array} that is read like a file."""

    format = "dict of arrays"
    streams = True

    def __init__(self, arrays):
        super().__init__("<dict>")
        # Whatever numpy understands is welcome as a value: arrays, lists, Keras variables.
        self._arrays = {name: np.asarray(value) for name, value in arrays.items()}

    def names(self):
        return list(self._arrays)

    def shape(self, name):
        self.require(name)
        return self._arrays[name].shape

    def dtype(self, name):
        self.require(name)
        return self._arrays[name].dtype

    def read(self, name):
        self.require(name)
        return np.array(self._arrays[name])

    def read_into(self, name, out):
        self.require(name)
        out[...] = self._arrays[name]

    def __contains__(self, name):
        return name in self._arrays
