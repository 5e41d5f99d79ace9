"""Checkpoints in several files, listed by an index such as `model.safetensors.index.json`."""

import json
from pathlib import Path

from bert4keras_ext.checkpoints.reader import CheckpointError, Reader


class ShardedReader(Reader):
    """Reads a checkpoint that an index file spreads over several files of the same folder.

    Args:
        path: the index, a JSON file with "weight_map": {tensor name: file name}.
        open_shard: opens one file: path -> Reader.

    Raises:
        CheckpointError: if the index is malformed, names a file outside its own folder or one
            that is absent, or promises a tensor that its file does not hold.
    """

    def __init__(self, path, open_shard):
        super().__init__(path)
        self._shards = {}
        self._map = self._read_index()
        folder = Path(path).parent
        files = sorted(set(self._map.values()))
        absent = [file for file in files if not (folder / file).is_file()]
        if absent:
            self._fail(f"{len(absent)} of its {len(files)} files are absent: {absent[:10]}")
        try:
            for file in files:
                self._shards[file] = open_shard(folder / file)
            self._check_promises()
        except BaseException:
            self.close()
            raise
        self.streams = all(shard.streams for shard in self._shards.values())
        kinds = {shard.format for shard in self._shards.values()}
        self.format = f"sharded {' and '.join(sorted(kinds))} ({len(files)} files)"

    def names(self):
        return list(self._map)

    def shape(self, name):
        return self._shard(name).shape(name)

    def dtype(self, name):
        return self._shard(name).dtype(name)

    def read(self, name):
        return self._shard(name).read(name)

    def read_into(self, name, out):
        self._shard(name).read_into(name, out)

    def copies(self):
        return {name for shard in self._shards.values() for name in shard.copies()}

    def verify(self, names=None):
        for file, shard in self._shards.items():
            mine = [name for name in names or () if self._map[name] == file]
            shard.verify(None if names is None else mine)

    def close(self):
        for shard in self._shards.values():
            shard.close()

    def __contains__(self, name):
        return name in self._map

    def _shard(self, name):
        self.require(name)
        return self._shards[self._map[name]]

    def _read_index(self):
        try:
            weight_map = json.loads(Path(self.path).read_text("utf-8"))["weight_map"]
            pairs = list(weight_map.items())
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            self._fail(f"expected a JSON object with a 'weight_map' of names to files ({error!r})")
        for name, file in pairs:
            if not isinstance(file, str) or not _is_plain(file):
                self._fail(
                    f"tensor {name!r} lies in {file!r}: only a file in the same folder may hold it"
                )
        return dict(pairs)

    def _check_promises(self):
        broken = [name for name, file in self._map.items() if name not in self._shards[file]]
        if broken:
            self._fail(
                f"{len(broken)} tensors are not in the files they should be in: {broken[:10]}"
            )

    def _fail(self, reason):
        raise CheckpointError(
            f"Cannot use the index {self.path!r}: {reason}. "
            "Fetch the index and all its files again."
        )


def _is_plain(file):
    """Whether a name is that of a file in the same folder: no way up, no absolute path."""
    return file not in ("", ".", "..") and not set(file) & set("/\\:\0")
