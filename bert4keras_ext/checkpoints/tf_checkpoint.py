"""TensorFlow checkpoints (the `.index` and `.data-00000-of-00001` files behind a prefix)."""

import glob
import os
import shutil
import tempfile
import uuid
from pathlib import Path

import numpy as np

from bert4keras_ext.checkpoints.reader import CheckpointError, Reader
from bert4keras_ext.checkpoints.writing import as_lazy

OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"


class TensorFlowReader(Reader):
    """Reads a TensorFlow checkpoint, of TF1's Saver or TF2, by its variable names.

    Every tensor carries a checksum, so reading or verifying it notices a changed byte.

    Args:
        path: the prefix, such as "bert_model.ckpt" beside "bert_model.ckpt.index".

    Raises:
        CheckpointError: if a file is missing, truncated or corrupt.
    """

    format = "TensorFlow checkpoint"

    def __init__(self, path):
        super().__init__(path)
        import tensorflow as tf

        self._folder, prefix = _without_pattern(self.path)
        self._reader = self._guarded("the index", tf.train.load_checkpoint, prefix)
        self._shapes = self._reader.get_variable_to_shape_map()
        self._dtypes = self._reader.get_variable_to_dtype_map()
        if self._shapes.pop(OBJECT_GRAPH, None) is not None:
            self.advice = (
                "these are names of model.save_weights or tf.train.Checkpoint in the TensorFlow "
                "format: build the same model and use model.load_weights or "
                "tf.train.Checkpoint(model).restore with the software that wrote them."
            )

    def names(self):
        return sorted(self._shapes)

    def shape(self, name):
        self.require(name)
        return tuple(self._shapes[name])

    def dtype(self, name):
        self.require(name)
        return np.dtype(self._dtypes[name].as_numpy_dtype)

    def read(self, name):
        self.require(name)
        return self._guarded(f"tensor {name!r}", self._reader.get_tensor, name)

    def verify(self, names=None):
        for name in self.names() if names is None else names:
            self.read(name)

    def close(self):
        if self._folder is not None:
            self._folder.cleanup()

    def __contains__(self, name):
        return name in self._shapes

    def _guarded(self, what, function, *args):
        try:
            return function(*args)
        except Exception as error:  # OpError, RuntimeError, IndexError ...: it depends on the place
            reason = str(error).splitlines()[0][:300] if str(error) else type(error).__name__
            raise CheckpointError(
                f"Cannot read {what} of TensorFlow checkpoint {self.path!r}: {reason}. "
                "Expected the .index file and all .data files of one checkpoint, complete; "
                "fetch them again."
            ) from error


def _without_pattern(prefix):
    """(None or a temporary folder, a prefix that TensorFlow does not take for a pattern).

    It expands [], * and ? in a path, and cannot be told not to: links then stand in a folder
    without such characters.
    """
    if glob.escape(prefix) == prefix:
        return None, prefix
    folder = tempfile.TemporaryDirectory()
    for path in glob.glob(f"{glob.escape(prefix)}.*"):
        os.symlink(os.path.abspath(path), os.path.join(folder.name, "model" + path[len(prefix) :]))
    return folder, os.path.join(folder.name, "model")


def write(path, tensors, dtype=None):
    """Writes a TensorFlow checkpoint, without a TF1 session; it appears when it is complete.

    TensorFlow takes all tensors at once, so they are in memory together.

    Args:
        path: the prefix, such as "folder/bert_model.ckpt". An existing checkpoint is replaced.
        tensors: {name: tensor}; a tensor is an array, a Keras variable or a `LazyArray`.
        dtype: store floating-point tensors in this dtype; None keeps each.

    Example::

        tf_checkpoint.write("model.ckpt", {"bert/pooler/dense/bias": numpy.zeros(8, "float32")})
        tf.train.load_checkpoint("model.ckpt").get_tensor("bert/pooler/dense/bias")
    """
    import tensorflow as tf

    path = Path(os.path.abspath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    # The work goes on in a folder beside the target: same disk, so that the renames are atomic.
    workshop = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    workshop.mkdir()
    try:
        with tf.device("CPU:0"):
            values = [tf.convert_to_tensor(as_lazy(t, dtype).read()) for t in tensors.values()]
            tf.raw_ops.SaveV2(
                prefix=str(workshop / path.name),
                tensor_names=list(tensors),
                shape_and_slices=[""] * len(tensors),
                tensors=values,
            )
        _move(workshop, path)
    finally:
        shutil.rmtree(workshop, ignore_errors=True)


def _move(workshop, path):
    """Puts the finished files in place, the index last: without it there is no checkpoint."""
    index = path.with_name(f"{path.name}.index")
    index.unlink(missing_ok=True)
    for old in path.parent.glob(f"{glob.escape(path.name)}.data-*-of-*"):
        old.unlink()
    for data in workshop.glob("*.data-*-of-*"):
        os.replace(data, path.parent / data.name)
    os.replace(workshop / index.name, index)
