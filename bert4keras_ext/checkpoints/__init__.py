"""Where a model's weights come from and go to: readers, writers and name tables.

Names of others never leave this folder: a model knows its own weights only, and the tables of
foreign names are in `names/`.
"""

from bert4keras_ext.checkpoints.detect import find_checkpoint, open_checkpoint, shapes_in
from bert4keras_ext.checkpoints.loading import LoadReport, load_checkpoint
from bert4keras_ext.checkpoints.reader import CheckpointError, Reader
from bert4keras_ext.checkpoints.resize import orthogonally_resize
from bert4keras_ext.checkpoints.saving import save_checkpoint
from bert4keras_ext.checkpoints.writing import LazyArray

__all__ = [
    "CheckpointError",
    "LazyArray",
    "LoadReport",
    "Reader",
    "find_checkpoint",
    "load_checkpoint",
    "open_checkpoint",
    "orthogonally_resize",
    "save_checkpoint",
    "shapes_in",
]
