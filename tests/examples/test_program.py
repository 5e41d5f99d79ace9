"""How the examples begin and end: examples/program.py.

Where a whole process is needed, `keras` is a stand-in of one line, so that it takes no seconds.
"""

import errno
import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest
from running import ROOT, check_fails, command, environment

sys.path.append(str(ROOT / "examples"))
import checks
import program

SCRIPTS = [
    "quickstart.py", "custom_layers.py", "optimizers_compared.py", "clue/tnews.py", "clue/afqmc.py",
    "generation/title_csl.py", "generation/t5_pegasus_pretrain.py", "pretraining/mlm.py",
]  # fmt: skip
NAMES = {signal.SIGINT: "SIGINT", signal.SIGTERM: "SIGTERM", signal.SIGHUP: "SIGHUP"}


@pytest.fixture(autouse=True)
def former_handlers():
    former = {number: signal.getsignal(number) for number in program.SIGNALS}
    yield
    for number, handler in former.items():
        signal.signal(number, handler)


@pytest.fixture
def run_with(tmp_path):
    """Runs a script where importing keras runs this code instead."""

    def run(script, *arguments, keras, options=(), variables=()):
        stand_ins = tmp_path / "stand_ins"
        stand_ins.mkdir(exist_ok=True)
        (stand_ins / "keras.py").write_text(keras)
        (stand_ins / "tensorflow.py").write_text("raise SystemExit('tensorflow was imported')")
        python, *rest = command(script, *arguments)
        path = os.pathsep.join([str(stand_ins), str(ROOT)])
        return subprocess.run(
            [python, *options, *rest], cwd=tmp_path, capture_output=True, text=True,
            env={**environment(), "PYTHONPATH": path, **dict(variables)},
            # Tests may themselves run where Ctrl-C is ignored.
            preexec_fn=lambda: [signal.signal(n, signal.SIG_DFL) for n in program.SIGNALS],
        )  # fmt: skip

    return run


# ---- begin ----------------------------------------------------------------------------------


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_and_wrong_flags_need_no_tensorflow(run_with, script):
    result = run_with(script, "--help", keras="raise SystemExit('keras was imported')")
    assert result.returncode == 0 and result.stderr == ""
    for flag in ("--out", "--limit", "--overwrite", "--smoke", "--xla", "--precision", "--seed"):
        assert flag in result.stdout
    assert ("--resume" in result.stdout) == ("/" in script)
    result = run_with(script, "--batch-size", 0, keras="raise SystemExit('keras was imported')")
    check_fails(result, "argument --batch-size: expected")


def test_switches_are_those_of_the_package():
    from argparse import ArgumentParser

    from bert4keras_ext.backend import acceleration

    def switches(parser):
        group = next(g for g in parser._action_groups if g.title == "acceleration")
        return {
            action.option_strings[0]: (action.choices and tuple(action.choices), action.nargs,
                                       action.const, action.default)
            for action in group._group_actions
        }  # fmt: skip

    wanted = switches(acceleration.add_arguments(ArgumentParser()))
    assert switches(program.argument_parser("", "out", 8)) == {
        **wanted, "--recompute": (*wanted["--recompute"][:3], False)
    }  # fmt: skip


def test_a_clone_runs_without_installation(run_with, tmp_path):
    """-S: no installed packages at all."""
    stand_ins = tmp_path / "stand_ins"
    stand_ins.mkdir()
    for name in program.NEEDED[1:]:
        (stand_ins / f"{name}.py").write_text("")
    code = "raise SystemExit('bert4keras_ext of the clone imported keras')"
    variables = {"PYTHONPATH": str(stand_ins)}
    result = run_with("quickstart.py", keras=code, options=["-S"], variables=variables)
    check_fails(result, "of the clone imported keras")


@pytest.mark.parametrize("script", ["quickstart.py", "clue/tnews.py"])
def test_missing_packages_are_named_with_the_command(run_with, script):
    result = run_with(script, keras="", options=["-S"], variables={"PYTHONPATH": ""})
    name = script.rpartition("/")[2]
    check_fails(result, f"{name}: tensorflow, keras, numpy, h5py", f'pip install -e "{ROOT}[plot]"')
    assert len(result.stderr.splitlines()) == 1


def test_packages_that_do_not_fit_end_in_one_line(run_with):
    result = run_with("clue/afqmc.py", keras="raise ImportError('needs Keras >= 3.12')")
    check_fails(result, "afqmc.py: needs Keras >= 3.12", sys.executable)
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("number", NAMES)
def test_a_signal_during_the_import(run_with, number):
    """Libraries catch exceptions while they are imported: no exception may be what ends it."""
    kill = f"import os\ntry:\n    os.kill(os.getpid(), {int(number)})\n"
    code = f"{kill}except BaseException:\n    pass"
    result = run_with("clue/afqmc.py", keras=code)
    assert result.returncode == 128 + number
    assert result.stderr == f"afqmc.py: stopped by {NAMES[number]} before anything began\n"


# ---- the folder -----------------------------------------------------------------------------


def unlock_now(monkeypatch):
    """What is registered for the end of the process, as a list to call."""
    calls = []
    monkeypatch.setattr(program.atexit, "register", lambda *call: calls.append(call))
    return calls


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_second_run_in_the_folder_is_refused(run_with, tmp_path, monkeypatch, script):
    calls = unlock_now(monkeypatch)
    (tmp_path / "out").mkdir()
    program.lock(tmp_path / "out")
    result = run_with(script, "--out", "out", keras="raise SystemExit('too late')")
    check_fails(result, "--out out: ", f"in use by process {os.getpid()} on ", "another folder")
    for do, *arguments in calls:
        do(*arguments)
    assert not list((tmp_path / "out").iterdir())
    result = run_with(script, "--out", "out", keras="raise SystemExit('it may begin')")
    check_fails(result, "it may begin")
    assert not list((tmp_path / "out").iterdir())


def test_the_lock_of_a_killed_run_does_not_bind(tmp_path, monkeypatch):
    unlock_now(monkeypatch)
    code = (
        f"import os, pathlib, sys; sys.path.append({str(ROOT / 'examples')!r}); import program;"
        f"program.lock(pathlib.Path({str(tmp_path)!r})); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == -signal.SIGKILL
    assert (tmp_path / ".lock").exists()
    program.lock(tmp_path)
    with pytest.raises(BlockingIOError, match=f"process {os.getpid()} on"):
        program.lock(tmp_path)


def test_a_lock_file_that_was_removed_in_between_is_no_lock(tmp_path, monkeypatch):
    """Its owner left after the new run had opened the file, and before it could lock it."""
    import fcntl

    calls, path, flock = unlock_now(monkeypatch), tmp_path / ".lock", fcntl.flock
    times = []

    def late(file, flags):
        if not times:
            path.unlink()
        times.append(file)
        flock(file, flags)

    monkeypatch.setattr(fcntl, "flock", late)
    program.lock(tmp_path)
    assert len(times) == 2 and path.exists()
    assert os.path.samestat(path.stat(), os.fstat(calls[0][2].fileno()))


def test_a_disk_without_locks_is_said(tmp_path, monkeypatch, capsys):
    import fcntl

    def refuse(file, flags):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    unlock_now(monkeypatch)
    monkeypatch.setattr(fcntl, "flock", refuse)
    program.lock(tmp_path)
    assert "cannot be locked" in capsys.readouterr().err


def test_former_files_are_kept_aside(tmp_path, capsys):
    args = SimpleNamespace(out=tmp_path, overwrite=False)
    program.set_aside(args, ["a", "b"])
    assert not list(tmp_path.iterdir()) and capsys.readouterr().out == ""
    (tmp_path / "mine.txt").write_text("stays")
    for text in ("first", "second"):
        (tmp_path / "a").write_text(text)
        program.set_aside(args, ["a", "b"])
        assert "former run" in capsys.readouterr().out
    assert (tmp_path / "former-1" / "a").read_text() == "first"
    assert (tmp_path / "former-2" / "a").read_text() == "second"
    assert {path.name for path in tmp_path.iterdir()} == {"former-1", "former-2", "mine.txt"}


def test_overwrite_drops_them(tmp_path):
    for name in ("a", "mine.txt"):
        (tmp_path / name).write_text("")
    program.set_aside(SimpleNamespace(out=tmp_path, overwrite=True), ["a", "b"])
    assert {path.name for path in tmp_path.iterdir()} == {"mine.txt"}


# ---- end ------------------------------------------------------------------------------------


def ended(main, capsys, **arguments):
    """(exit code, message) of a script whose main is this."""
    with pytest.raises(SystemExit) as info:
        program.run(main, SimpleNamespace(out="runs/x", **arguments))
    code = info.value.code
    return (code, capsys.readouterr().err) if isinstance(code, int) else (1, code)


@pytest.mark.parametrize("number", NAMES)
def test_a_signal_ends_in_one_line(capsys, number):
    signal.signal(number, signal.SIG_DFL)
    code, message = ended(lambda args: signal.raise_signal(number), capsys, resume=False)
    assert code == 128 + number
    assert f"stopped by {NAMES[number]}; the same command with --resume goes on" in message
    assert signal.getsignal(number) == signal.SIG_DFL  # a second one would not be waited for
    code, message = ended(lambda args: signal.raise_signal(number), capsys)
    assert "the same command starts anew" in message and "--resume" not in message


def test_what_nohup_ignores_stays_ignored():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    program.run(lambda args: signal.raise_signal(signal.SIGHUP), SimpleNamespace())


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_ends_in_one_line(capsys, number):
    def main(args):
        with checks.clear_errors():  # also where a user's mistakes are caught
            raise OSError(number, os.strerror(number))

    code, message = ended(main, capsys, resume=True)
    assert code == 1 and f"{os.strerror(number)}: free some space" in message
    assert "runs/x" in message and "--resume" in message


def test_our_own_mistakes_keep_their_traceback():
    def main(args):
        raise FileNotFoundError(errno.ENOENT, "x")

    with pytest.raises(FileNotFoundError):
        program.run(main, SimpleNamespace())
