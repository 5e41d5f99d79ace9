"""Which format is this? A path goes in, the right reader comes out."""

import glob
import os
import re
from pathlib import Path

from bert4keras_ext.checkpoints.reader import ArraysReader, CheckpointError, Reader

# In the order in which a folder's files are preferred.
FOLDER_NAMES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)

# PyTorch's magic number, pickled by protocol 2 or 3, by 4 or 5 (in a frame), or by 1 (as text).
TORCH_LEGACY = re.compile(
    rb"\x80[\2\3]\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19\."
    rb"|\x80[\4\5]\x95.{8}\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19\."
    rb"|L119547037146038801333356L\n\.",
    re.DOTALL,
)

EXPECTED = (
    "Expected a TensorFlow checkpoint (the path before .index and .data-00000-of-00001), "
    "safetensors, a PyTorch .bin, an index .json of one of these, a Keras .weights.h5, "
    "or a folder with one of them."
)


def open_checkpoint(path):
    """Opens a checkpoint of any known format, found from its path and its first bytes.

    Args:
        path: a file, a TensorFlow prefix (or any file behind it), a folder as `find_checkpoint`
            takes it, a dict {name: array}, or a Reader, which is given back as it is.

    Returns:
        A `Reader`; use it in a `with` statement.

    Raises:
        CheckpointError: if there is no such file, or it is of no known format, or damaged. The
            message says what was expected and what was found.

    Example::

        with open_checkpoint("roberta-wwm-ext/pytorch_model.bin") as reader:
            reader.format, len(reader.names())
    """
    if isinstance(path, Reader):
        return path
    if isinstance(path, dict):
        return ArraysReader(path)
    path = Path(path)
    if path.is_dir():
        path = find_checkpoint(path)
    prefix = _tensorflow_prefix(path)
    if prefix is not None:
        from bert4keras_ext.checkpoints.tf_checkpoint import TensorFlowReader

        return TensorFlowReader(prefix)
    if not path.is_file():
        raise CheckpointError(f"No checkpoint at {str(path)!r}: no such file. {EXPECTED}")
    if path.name.endswith(".index.json"):
        from bert4keras_ext.checkpoints.sharded import ShardedReader

        return ShardedReader(path, _open_file)
    return _open_file(path)


class Shapes(dict):
    """{name: shape} of every tensor in a checkpoint.

    Attributes:
        copies: the names that are further names of another tensor of the file (tied weights), as
            far as its format tells.
    """

    copies = frozenset()


def shapes_in(path):
    """The `Shapes` of every tensor in a checkpoint; `path` as for `open_checkpoint`."""
    with open_checkpoint(path) as reader:
        shapes = Shapes((name, tuple(reader.shape(name))) for name in reader.names())
        shapes.copies = frozenset(reader.copies())
        return shapes


def find_checkpoint(folder):
    """The checkpoint in a folder: Hugging Face's names first, then the only other one there is.

    Args:
        folder: a folder in Hugging Face layout, or one with a single checkpoint of any format.

    Returns:
        The Path of a file, or the prefix of a TensorFlow checkpoint.

    Raises:
        CheckpointError: if there is none, or there are several and none has a usual name.
    """
    folder = Path(folder)
    for name in FOLDER_NAMES:
        if (folder / name).is_file():
            return folder / name
    found = {_tensorflow_prefix(path) for path in folder.glob("*.index")} - {None}
    found |= {
        path for pattern in ("*.safetensors", "*.h5", "*.bin") for path in folder.glob(pattern)
    }
    if len(found) == 1:
        return found.pop()
    listing = ", ".join(sorted(path.name for path in (found or folder.iterdir())))[:500]
    problem = "several checkpoints, none with a usual name" if found else "no checkpoint"
    raise CheckpointError(
        f"Found {problem} in the folder {str(folder)!r}: {listing or 'it is empty'}. "
        f"{'Give the path of one of them.' if found else EXPECTED}"
    )


def _tensorflow_prefix(path):
    """The prefix of the TensorFlow checkpoint that `path` belongs to, or None."""
    stem = re.sub(r"\.(index|meta|data-\d+-of-\d+)$", "", str(path))
    if os.path.isfile(f"{stem}.index") and not stem.endswith((".safetensors", ".bin")):
        return Path(stem)
    if glob.glob(f"{glob.escape(stem)}.data-*-of-*"):
        raise CheckpointError(
            f"The TensorFlow checkpoint {stem!r} has data but no {Path(stem).name}.index "
            "beside it: fetch that file too."
        )
    return None


def _open_file(path):
    """Opens a single file by its first bytes; the suffix only decides what the bytes leave open."""
    with open(path, "rb") as file:
        start = file.read(64)
    if start.startswith(b"\x89HDF\r\n\x1a\n"):
        from bert4keras_ext.checkpoints.keras_h5 import open_h5

        return open_h5(path)
    if start.startswith(b"PK\x03\x04"):
        from bert4keras_ext.checkpoints.torch_file import TorchZipReader

        return TorchZipReader(path)
    if TORCH_LEGACY.match(start):
        from bert4keras_ext.checkpoints.torch_legacy import TorchLegacyReader

        return TorchLegacyReader(path)
    if path.suffix == ".safetensors" or start[8:9] == b"{":
        from bert4keras_ext.checkpoints.safetensors_file import SafetensorsReader

        return SafetensorsReader(path)
    raise CheckpointError(
        f"Cannot tell the format of {str(path)!r}: it has {path.stat().st_size} bytes and "
        f"begins with {start[:16]!r}. {EXPECTED} A file of a few hundred bytes is often a "
        "Git LFS pointer: fetch the real one with `git lfs pull`."
    )
