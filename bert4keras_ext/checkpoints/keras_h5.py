"""Keras' HDF5 files: `.weights.h5` of Keras 3, and `.h5` of Keras 2 with its layer names."""

import contextlib

import numpy as np

from bert4keras_ext.checkpoints.arrays import BLOCK
from bert4keras_ext.checkpoints.reader import CheckpointError, Reader


class H5Reader(Reader):
    """Reads the data sets of an HDF5 file; a name is the path of a data set.

    HDF5 has no checksum by default, so a changed byte inside a tensor cannot be noticed.

    Args:
        path: the file.

    Raises:
        CheckpointError: if it is truncated or damaged, or takes contents from another file.
    """

    format = "HDF5"
    streams = True

    def __init__(self, path):
        super().__init__(path)
        import h5py

        with self._guarded("open it"):
            self._file = h5py.File(path, "r")
        try:
            with self._guarded("list its contents"):
                self._sets = self._list()
        except BaseException:
            self._file.close()
            raise

    def names(self):
        return list(self._sets)

    def shape(self, name):
        self.require(name)
        return tuple(self._sets[name].shape)

    def dtype(self, name):
        self.require(name)
        return self._sets[name].dtype

    def read(self, name):
        self.require(name)
        with self._guarded(f"read {name!r}"):
            return np.asarray(self._sets[name][()])

    def read_into(self, name, out):
        self.require(name)
        with self._guarded(f"read {name!r}"):
            # HDF5 converts on the way, but not to bfloat16.
            if out.flags.c_contiguous and out.ndim and np.issubdtype(out.dtype, np.floating):
                self._sets[name].read_direct(out)
            else:
                out[...] = self._sets[name][()]

    def verify(self, names=None):
        for name in self._sets if names is None else names:
            self.require(name)
            with self._guarded(f"read {name!r}"):
                _read_through(self._sets[name])

    def close(self):
        self._file.close()

    def __contains__(self, name):
        return name in self._sets

    def _list(self):
        import h5py

        sets = {}

        def visit(name, item):
            self._check_is_inside(item)
            if isinstance(item, h5py.Dataset) and item.shape is not None:
                sets[name] = item

        self._check_is_inside(self._file)
        self._file.visititems(visit)
        return sets

    def _check_is_inside(self, item):
        # HDF5 would read any file that the user may read, wherever the checkpoint came from.
        for name, file in _elsewhere(item):
            raise CheckpointError(
                f"Cannot read {self.path!r} as {self.format}: {name!r} stands in another file "
                f"({file!r}), expected all contents in the file itself. If you trust it, copy it "
                "into one file: with h5py, write each data set's values into a new file."
            )

    @contextlib.contextmanager
    def _guarded(self, what):
        try:
            yield
        except CheckpointError:  # a ValueError too, but it has said what is wrong
            raise
        except (OSError, RuntimeError, KeyError, ValueError) as error:
            raise CheckpointError(
                f"Cannot {what} as {self.format}: {self.path!r} is truncated or damaged ({error}). "
                "Fetch or write the file again."
            ) from error


class KerasWeightsReader(H5Reader):
    """Reads a `.weights.h5` of Keras 3, which numbers layers by class instead of naming them.

    Its names ("layers/dense_2/vars/0") say nothing without the model that wrote them, so
    `keras_weights.load_keras_weights` loads it with the model's help.
    """

    format = "Keras .weights.h5"


class KerasLayersReader(H5Reader):
    """Reads a `.h5` of Keras 2 (`model.save_weights` or `model.save`), which has layer names.

    Attributes:
        layers: {layer name: [tensor names in the order of the layer's weights]}.
    """

    format = "Keras 2 .h5"

    def _list(self):
        sets = super()._list()
        group = self._file["model_weights"] if "model_weights" in self._file else self._file
        root = group.name.strip("/")
        self.layers = {}
        for layer in _names_in(group, "layer_names"):
            inside = "/".join(filter(None, (root, layer)))
            names = [f"{inside}/{name}" for name in _names_in(group[layer], "weight_names")]
            self.layers[layer] = [name for name in names if name in sets]
        known = {name for names in self.layers.values() for name in names}
        return {name: item for name, item in sets.items() if name in known}


def open_h5(path):
    """Opens an HDF5 file with the reader for what is inside: Keras 2's layer names or Keras 3's."""
    with H5Reader(path) as reader, reader._guarded("list its contents"):
        file = reader._file
        layers = any(key in file.attrs for key in ("layer_names", "layer_names0"))
        layers = layers or "model_weights" in file
    return KerasLayersReader(path) if layers else KerasWeightsReader(path)


def _read_through(data_set):
    """Reads a data set some rows at a time, and keeps none."""
    if not data_set.ndim:
        data_set[()]
        return
    row_size = data_set.dtype.itemsize * int(np.prod(data_set.shape[1:], dtype=np.int64))
    step = max(1, BLOCK // max(1, row_size))
    for start in range(0, len(data_set), step):
        data_set[start : start + step]


def _elsewhere(item):
    """Yields (name, other file) of what a group or data set takes from other files."""
    import h5py

    if isinstance(item, h5py.Group):
        for key in item:
            link = item.get(key, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                yield f"{item.name.rstrip('/')}/{key}", link.filename
    elif isinstance(item, h5py.Dataset):
        for file, *_ in item.external or ():
            yield item.name, file
        for source in item.virtual_sources() if item.is_virtual else ():
            yield item.name, source.file_name


def _names_in(group, key):
    """A list of names among a group's attributes, as text; an empty one if it is not there."""
    if key in group.attrs:
        return [_text(name) for name in group.attrs[key]]
    # An attribute is limited in size, so Keras cuts a long list into <key>0, <key>1, ...
    names, part = [], 0
    while f"{key}{part}" in group.attrs:
        names += [_text(name) for name in group.attrs[f"{key}{part}"]]
        part += 1
    return names


def _text(name):
    return name.decode() if isinstance(name, bytes) else str(name)
