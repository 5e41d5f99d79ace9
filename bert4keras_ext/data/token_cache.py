"""`TokenCache`: texts are tokenized once; later runs map the result into memory."""

import contextlib
import errno
import logging
import os
import shutil
import time
import uuid
from itertools import islice
from pathlib import Path

from tqdm import tqdm

from bert4keras_ext._version import __version__
from bert4keras_ext.data.cache_keys import content_hash, digest_of
from bert4keras_ext.data.readers import RowError, _lines
from bert4keras_ext.data.token_rows import FORMAT, CacheError, RowWriter, open_rows

logger = logging.getLogger(__name__)

ATTEMPTS = 3
PATIENCE = 2.0  # seconds of work before its progress is shown
OLD = 24 * 3600  # seconds after which a draft is a leftover, where no lock can tell


class TokenCache:
    """A folder with the tokenized rows of files, each made once and then mapped into memory.

    Rows are written while the file is read, in a folder beside that takes its name when it is
    complete. So neither making nor reading them takes memory that grows with the file, a run that
    is killed leaves nothing that is taken for a cache (what it does leave, the next one removes),
    and processes may ask for the same rows at once. The folder may be deleted at any time.

    Rows are made anew where the content of a file, the key, or the version of this package is
    another one, and where their files are damaged. Old ones stay beside them.

    Args:
        folder: where the caches lie; made when needed.

    Methods:
        rows(files, encode, key, read=None, limit=None): the rows of one or several files.

    Example:

    >>> import json, pathlib, tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> _ = (folder / "train.json").write_text('{"sentence": "你好", "label": 1}', "utf-8")
    >>> characters = {"你": 5, "好": 6}
    >>> def encode(line):
    ...     row = json.loads(line)
    ...     return [2, *(characters[c] for c in row["sentence"]), 3], row["label"]
    >>> key = {"characters": characters, "encode": "characters 1"}
    >>> rows = TokenCache(folder / "cache").rows(folder / "train.json", encode, key)
    >>> rows[0][0].tolist(), rows[0][1]
    ([2, 5, 6, 3], 1)
    """

    def __init__(self, folder):
        self.folder = Path(folder)

    def rows(self, files, encode, key, *, read=None, limit=None):
        """The rows of one or several files, in their order.

        Args:
            files: a path, or a list of them; also `.gz`, or a `zipfile.Path`.
            encode: function of a line (a str without line end; of what `read` yields if that is
                given) that returns a row: a tuple of fields, or the only field. A field is a
                number, a list of numbers, or a list of lists (rows that stand together, as the
                choices of a question). None leaves the row out.
            key: what the rows depend on besides the files: a dict with the tokenizer (or the path
                of its vocabulary), the options, and a name for what `encode` does, to be changed
                with it: its code is not looked at. See `digest_of` for what it may hold.
            read: function of a path that yields what `encode` is given; by default lines that are
                not blank, in UTF-8. A generator keeps memory flat, a list will do for small files.
            limit: how many lines of each file at most.

        Returns:
            `TokenRows`; `fingerprint` tells them from others.

        Raises:
            RowError: a line for which `encode` raises or returns no such row; where `read` is
                given, the exception itself, with a note which item it was.
            RuntimeError: a file changed while it was read.
            FileNotFoundError, OSError: no such file; a full disk. Nothing is left behind.
        """
        files = list(files) if isinstance(files, (list, tuple)) else [files]
        if not files:
            raise ValueError("expected at least one file, received none")
        hashes = [content_hash(path) for path in files]
        digest = digest_of([FORMAT, __version__, hashes, key, limit])
        target = self.folder / f"{Path(str(files[0])).name}-{digest[:16]}"
        for _ in range(ATTEMPTS):
            try:
                return open_rows(target, digest)
            except FileNotFoundError:
                pass
            except CacheError as error:
                logger.warning("making the cache anew: %s", error)
            with self._draft(target.name) as draft:
                _write(draft, files, digest, encode, read, limit)
                _check_unchanged(files, hashes)
                self._publish(draft, target, digest)
        return open_rows(target, digest)  # tells what is wrong

    @contextlib.contextmanager
    def _draft(self, name):
        """A new folder to write in, locked as long as this process lives; gone afterwards."""
        draft = self.folder / f".{name}.{uuid.uuid4().hex}.draft"
        with self._alone():
            self._remove_leftovers()
            draft.mkdir()
            lock = _locked(draft / "lock", wait=False)
        try:
            yield draft
        finally:
            shutil.rmtree(draft, ignore_errors=True)
            if lock:
                lock.close()

    def _publish(self, draft, target, digest):
        with self._alone():
            try:
                open_rows(target, digest)
                return  # another process was faster
            except CacheError:
                _remove(target)
            except FileNotFoundError:
                pass
            (draft / "lock").unlink(missing_ok=True)
            os.rename(draft, target)

    def _remove_leftovers(self):
        """The drafts of runs that were killed: nobody holds their locks."""
        for draft in self.folder.glob(".*.draft"):
            lock = _locked(draft / "lock", wait=False)
            if lock:
                shutil.rmtree(draft, ignore_errors=True)
                lock.close()

    @contextlib.contextmanager
    def _alone(self):
        """The moments in which folders come and go belong to one process at a time."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = _locked(self.folder / ".lock", wait=True)
        try:
            yield
        finally:
            if lock:
                lock.close()


def _locked(path, wait):
    """The opened file with a lock that ends with its process; None if another one holds it."""
    try:
        file = open(path, "ab")
    except OSError:
        if wait:
            raise
        return None
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        return file
    except BlockingIOError:
        is_held = True
    except (ImportError, OSError) as error:  # Windows; file systems without locks
        is_held = not wait and time.time() - os.path.getmtime(path) < OLD
        logger.debug("no locks for %s (%s)", path, error)
    if is_held:
        file.close()
    return None if is_held else file


def _remove(path):
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _check_unchanged(files, hashes):
    for path, former in zip(files, hashes):
        if content_hash(path) != former:
            raise RuntimeError(f"{path} changed while it was read: start again when it is complete")


def _write(draft, files, digest, encode, read, limit):
    writer = RowWriter(draft)
    try:
        for path in files:
            items = islice(_items(path, read), limit)
            name = Path(str(path)).name
            for place, item in tqdm(items, desc=f"tokens of {name}", unit=" rows", delay=PATIENCE):
                _add(writer, path, place, item, encode, read)
        writer.finish({"digest": digest})
    except OSError as error:
        if error.errno == errno.ENOSPC:
            error.add_note(f"The disk of {draft.parent} is full: pass a cache folder elsewhere.")
        raise
    finally:
        writer.close()


def _items(path, read):
    """(number of the line or item, what `encode` is given)."""
    return _lines(path, "utf-8") if read is None else enumerate(read(path), 1)


def _add(writer, path, place, item, encode, read):
    try:
        if isinstance(item, ValueError):  # a line that is no UTF-8
            raise item
        row = encode(item)
        if row is not None:
            writer.add(row)
    except OSError:
        raise
    except Exception as error:
        if read is not None or isinstance(error, RowError):
            error.add_note(f"This was item {place} of {path}.")
            raise
        raise RowError(path, place, f"{type(error).__name__}: {error}") from error
