"""Caches are found, made anew when anything changes, and never half there."""

import errno
import gzip
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest

from bert4keras_ext.data import RowError, TokenCache, read_tnews, token_cache, token_rows
from tests.data.ground_floor import ground_floor

TEXTS = ["今天天气", "好", "", "股票大涨的一天"]
KEY = {"encode": "code points 1"}


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "train.json"
    write(path, TEXTS)
    return path


def write(path, texts):
    lines = (json.dumps({"sentence": t, "label": len(t)}, ensure_ascii=False) for t in texts)
    path.write_text("".join(line + "\n\n" for line in lines), encoding="utf-8")


class Encode:
    """Counts its calls; may raise at one of them."""

    def __init__(self, fail_at=None, error=None):
        self.calls, self.fail_at, self.error = 0, fail_at, error

    def __call__(self, line):
        if self.calls == self.fail_at:
            raise self.error
        self.calls += 1
        row = json.loads(line)
        return [ord(c) for c in row["sentence"]], row["label"]


def expected(texts=TEXTS):
    return [([ord(c) for c in text], len(text)) for text in texts]


def plain(rows):
    return [(ids.tolist(), label) for ids, label in rows]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_made_once(tmp_path, source):
    cache, encode = TokenCache(tmp_path / "deep" / "cache"), Encode()
    first = cache.rows(source, encode, KEY)
    second = cache.rows(str(source), encode, KEY)
    assert plain(first) == plain(second) == expected() and encode.calls == len(TEXTS)
    assert first.fingerprint == second.fingerprint
    assert names(cache.folder) == [".lock", f"train.json-{first.fingerprint[:16]}"]
    os.utime(source, (1, 1))
    copy = shutil.copy(source, tmp_path / "copy.json")
    cache.rows(source, encode, KEY)
    assert encode.calls == len(TEXTS)
    assert cache.rows(copy, encode, KEY).fingerprint == first.fingerprint


def test_made_anew_when_anything_changes(tmp_path, source, monkeypatch):
    cache, encode = TokenCache(tmp_path / "cache"), Encode()
    fingerprints = [cache.rows(source, encode, KEY).fingerprint]
    for key, limit in (({"encode": "2"}, None), (KEY, 2), ({**KEY, "maxlen": 9}, None)):
        fingerprints.append(cache.rows(source, encode, key, limit=limit).fingerprint)
    fingerprints.append(cache.rows([source, source], encode, KEY).fingerprint)
    monkeypatch.setattr(token_cache, "__version__", "0.0.0")
    fingerprints.append(cache.rows(source, encode, KEY).fingerprint)
    assert len(set(fingerprints)) == 6
    assert encode.calls == 4 + 4 + 2 + 4 + 8 + 4


def test_a_changed_file_of_the_same_size_and_time_is_noticed(tmp_path, source):
    cache = TokenCache(tmp_path / "cache")
    cache.rows(source, Encode(), KEY)
    before = source.stat()
    changed = [*TEXTS[:3], "股票大跌的一天"]
    write(source, changed)
    os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = source.stat()
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert plain(cache.rows(source, Encode(), KEY)) == expected(changed)


def test_sources(tmp_path, source):
    cache = TokenCache(tmp_path / "cache")
    packed = tmp_path / "train.json.gz"
    packed.write_bytes(gzip.compress(source.read_bytes()))
    assert plain(cache.rows(packed, Encode(), KEY)) == expected()
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as file:
        file.write(source, "inner/dev.json")
    inner = zipfile.Path(tmp_path / "z.zip", "inner/dev.json")
    assert plain(cache.rows(inner, Encode(), KEY, limit=3)) == expected(TEXTS[:3])
    both = cache.rows([source, packed], Encode(), KEY, limit=3)
    assert plain(both) == expected(TEXTS[:3]) * 2
    with pytest.raises(ValueError, match="at least one file"):
        cache.rows([], Encode(), KEY)


def test_readers_and_rows_left_out(tmp_path, source):
    def encode(row):
        return None if row[0] == "好" else ([ord(c) for c in row[0]], row[1])

    def read(path):
        return read_tnews(path, labels=[0, 1, 4, 7])

    rows = TokenCache(tmp_path / "cache").rows(source, encode, KEY, read=read)
    assert [label for _, label in rows] == [2, 0, 3]


def test_an_empty_file(tmp_path):
    (tmp_path / "empty").write_text("")
    cache = TokenCache(tmp_path / "cache")
    assert [len(cache.rows(tmp_path / "empty", Encode(), KEY)) for _ in range(2)] == [0, 0]


@pytest.mark.parametrize(
    "line, reason",
    [
        ("{}", "KeyError: 'sentence'"),
        ("{", "JSONDecodeError"),
        ('{"sentence": "a", "label": null}', "field 1: expected a number"),
        ('{"sentence": "a", "label": "1"}', "field 1: expected a number"),
    ],
)
def test_bad_rows_are_named(tmp_path, source, line, reason):
    lines = source.read_text(encoding="utf-8").splitlines()
    source.write_text("\n".join([*lines[:4], line, *lines[4:]]), encoding="utf-8")
    cache = TokenCache(tmp_path / "cache")
    with pytest.raises(RowError, match=reason) as caught:
        cache.rows(source, Encode(), KEY)
    assert (caught.value.path, caught.value.line) == (source, 5)
    assert names(cache.folder) == [".lock"]


def test_other_failures(tmp_path, source):
    cache = TokenCache(tmp_path / "cache")
    with pytest.raises(FileNotFoundError):
        cache.rows(tmp_path / "absent", Encode(), KEY)
    with pytest.raises(ZeroDivisionError) as caught:
        cache.rows(source, lambda item: 1 // item, KEY, read=lambda path: [1, 1, 0])
    assert caught.value.__notes__ == [f"This was item 3 of {source}."]
    source.write_bytes(source.read_bytes() + b"\xff\xff\n")
    with pytest.raises(RowError, match="line 9: .*gb18030"):
        cache.rows(source, Encode(), KEY)
    assert names(cache.folder) == [".lock"]


def test_a_file_that_changes_meanwhile(tmp_path, source):
    def encode(line):
        with open(source, "a") as file:
            file.write("\n")
        return [1], 0

    cache = TokenCache(tmp_path / "cache")
    with pytest.raises(RuntimeError, match="changed while it was read"):
        cache.rows(source, encode, KEY, limit=2)
    assert names(cache.folder) == [".lock"]


def test_a_full_disk(tmp_path, source, monkeypatch):
    class Full:
        def write(self, piece):
            raise OSError(errno.ENOSPC, "No space left on device")

        def close(self):
            pass

    cache = TokenCache(tmp_path / "cache")
    monkeypatch.setattr(token_rows, "open", lambda *args: Full(), raising=False)
    with pytest.raises(OSError, match="No space") as caught:
        cache.rows(source, Encode(), KEY)
    assert "is full" in caught.value.__notes__[0]
    assert names(cache.folder) == [".lock"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), MemoryError(), SystemExit(2)])
@pytest.mark.parametrize("fail_at", range(4))
def test_nothing_is_left_of_an_interrupted_build(tmp_path, source, fail_at, error):
    cache = TokenCache(tmp_path / "cache")
    with pytest.raises((type(error), RowError)):
        cache.rows(source, Encode(fail_at, error), KEY)
    assert names(cache.folder) == [".lock"]
    assert plain(cache.rows(source, Encode(), KEY)) == expected()


def damage_one(folder, number):
    path = sorted(folder.iterdir())[number]
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 64
    path.write_bytes(content)


def cut_one(folder, number):
    path = sorted(folder.iterdir())[number]
    path.write_bytes(path.read_bytes()[:-1])


def replace_by_file(folder, number):
    shutil.rmtree(folder)
    folder.write_text("not a folder")


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("damage", [damage_one, cut_one, replace_by_file])
def test_a_damaged_cache_is_made_anew(tmp_path, source, damage, number, caplog):
    cache, encode = TokenCache(tmp_path / "cache"), Encode()
    rows = cache.rows(source, encode, KEY)
    damage(cache.folder / names(cache.folder)[1], number)
    with caplog.at_level(logging.WARNING):
        assert plain(cache.rows(source, encode, KEY)) == expected()
    assert encode.calls == 2 * len(TEXTS) and "making the cache anew" in caplog.text
    if damage is replace_by_file:  # what was mapped before is still there
        assert plain(rows) == expected()
    assert len(names(cache.folder)) == 2


def test_drafts_of_the_dead_are_removed_and_those_of_the_living_are_not(tmp_path, source):
    cache = TokenCache(tmp_path / "cache")
    dead = [cache.folder / f".x.{i}.draft" for i in range(2)]
    for draft in dead:
        draft.mkdir(parents=True)
    (dead[0] / "lock").write_text("")
    (dead[0] / "0.values.bin").write_text("half")
    with cache._draft("y") as draft:
        (draft / "0.values.bin").write_text("half")
        assert plain(TokenCache(cache.folder).rows(source, Encode(), KEY)) == expected()
        assert (draft / "0.values.bin").exists() and not any(path.exists() for path in dead)
    assert not draft.exists()


def test_without_locks(tmp_path, source, monkeypatch):
    """On Windows, and on file systems that have none: leftovers are known by their age."""
    monkeypatch.setitem(sys.modules, "fcntl", None)
    cache = TokenCache(tmp_path / "cache")
    for name, age in (("old", 2 * token_cache.OLD), ("young", 0)):
        lock = cache.folder / f".{name}.draft" / "lock"
        lock.parent.mkdir(parents=True)
        lock.write_text("")
        os.utime(lock, (lock.stat().st_mtime - age,) * 2)
    assert plain(cache.rows(source, Encode(), KEY)) == expected()
    assert names(cache.folder)[:2] == [".lock", ".young.draft"] and len(names(cache.folder)) == 3


def test_threads_at_once(tmp_path, source):
    barrier, found = threading.Barrier(4, timeout=20), []

    def build():
        encode = Encode()

        def slow(line):
            if not encode.calls:
                barrier.wait()  # all are in the midst of it
            return encode(line)

        found.append(plain(TokenCache(tmp_path / "cache").rows(source, slow, KEY)))

    threads = [threading.Thread(target=build) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected()] * 4 and len(names(tmp_path / "cache")) == 2


PROGRAM = """
import json, os, signal, time
from pathlib import Path
from bert4keras_ext.data import token_cache, token_rows
source, folder, what = sys.argv[1:]
token_rows.BLOCK = 2

def die(*args):
    os.kill(os.getpid(), signal.SIGKILL)

calls = 0
def encode(line):
    global calls
    calls += 1
    if what.isdigit() and calls == int(what):
        die()
    if what.startswith("with") and calls == 1:  # waits until the others are here too
        Path(folder + what).touch()
        while len(list(Path(folder).parent.glob("cachewith*"))) < 2:
            time.sleep(0.01)
    row = json.loads(line)
    return [ord(c) for c in row["sentence"]], row["label"]

if what == "rename":
    os.rename = die
if what == "notes":
    token_rows.RowWriter.finish = die
if what == "complete":
    token_cache._check_unchanged = die
rows = token_cache.TokenCache(folder).rows(source, encode, {"encode": "code points 1"})
print(json.dumps([[ids.tolist(), label] for ids, label in rows]))
"""


def start(source, folder, what):
    command = [sys.executable, "-c", ground_floor() + PROGRAM, str(source), str(folder), what]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("what", ["1", "3", "notes", "complete", "rename"])
def test_a_killed_run_leaves_no_half_cache(tmp_path, source, what):
    folder = tmp_path / "cache"
    run = start(source, folder, what)
    run.communicate(timeout=60)
    assert run.returncode == -signal.SIGKILL
    lock, draft = names(folder)  # sorted
    assert lock == ".lock" and draft.startswith(".train.json") and draft.endswith(".draft")
    assert plain(TokenCache(folder).rows(source, Encode(), KEY)) == expected()
    assert len(names(folder)) == 2


def test_two_processes_at_once(tmp_path, source):
    runs = [start(source, tmp_path / "cache", what) for what in ("with1", "with2")]
    answers = [json.loads(run.communicate(timeout=60)[0]) for run in runs]
    assert answers == [[list(row) for row in expected()]] * 2
    assert len(names(tmp_path / "cache")) == 2


MEMORY = """
import re
from pathlib import Path
from bert4keras_ext.data.token_cache import TokenCache
from bert4keras_ext.data.token_batches import TokenBatches
IDS = list(range(1000, 1400))
most = 0

def megabytes():
    return int(re.search(r"RssAnon:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024

def note():
    global most
    most = max(most, megabytes())

def encode(line):
    if line.startswith("000"):
        note()
    return IDS[: 300 + int(line[:2])], 1

before = megabytes()
rows = TokenCache(sys.argv[2]).rows(sys.argv[1], encode, {})
note()
train = TokenBatches(rows, batch_size=32, seed=1)
for number, batch in enumerate(train.__iter__(random=True)):
    if number % 50 == 0:
        note()
print(rows.columns[0].values.nbytes / 2**20, most - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells it")
def test_memory_is_flat(tmp_path):
    """A file of 20 MB and a cache of 53 MB, none of which the process holds."""
    try:
        with open(tmp_path / "source", "w") as file:
            for i in range(40000):
                file.write(f"{i % 100:02d}{i % 10}" + "x" * 500 + "\n")
        run = subprocess.run(
            [sys.executable, "-c", ground_floor() + MEMORY, tmp_path / "source", tmp_path / "c"],
            capture_output=True, text=True, check=True, timeout=100,
        )  # fmt: skip
    finally:
        shutil.rmtree(tmp_path / "c", ignore_errors=True)
    size, growth = map(float, run.stdout.split())
    assert size > 50 and growth < 12


def test_progress_does_not_show_on_short_work(tmp_path, source, capfd):
    TokenCache(tmp_path / "cache").rows(source, Encode(), KEY)
    assert capfd.readouterr() == ("", "")


def test_rows_are_ready_for_numpy(tmp_path, source):
    rows = TokenCache(tmp_path / "cache").rows(source, Encode(), KEY)
    assert np.concatenate([ids for ids, _ in rows]).tolist() == [ord(c) for c in "".join(TEXTS)]
