"""How the examples begin and how they end.

TensorFlow takes seconds to import. So the scripts read their arguments first, and --help, a wrong
flag or a folder in use are answered at once:

    if __name__ == "__main__":
        args = program.start(read_arguments)

    import keras
    ...

    if __name__ == "__main__":
        program.run(main, args)

Whatever stops them (Ctrl-C, kill, a full disk) ends in one line that says how to go on.
"""

import argparse
import atexit
import contextlib
import importlib.util
import os
import shutil
import signal
import sys
from pathlib import Path

import checks
from checks import seed_number, whole_number

ROOT = Path(__file__).resolve().parents[1]
NEEDED = ("bert4keras_ext", "tensorflow", "keras", "numpy", "h5py", "jieba", "sentencepiece",
          "ml_dtypes", "tqdm")  # fmt: skip
VARIABLES = ("B4K_PRECISION", "B4K_XLA", "B4K_RECOMPUTE", "RECOMPUTE")
SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP")
           if hasattr(signal, name)]  # fmt: skip

# ---- command line ---------------------------------------------------------------------------


def argument_parser(description, out, batch_size):
    """A parser with the flags that all scripts have."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--out", type=Path, default=Path(out), help="folder to fill (%(default)s)")
    add(
        "--overwrite", action="store_true",
        help="drop what a former run left in --out; else it is moved to --out/former-1, -2, ...",
    )  # fmt: skip
    add("--batch-size", type=whole_number(1), default=batch_size, help="(%(default)s)")
    add("--limit", type=whole_number(1), help="read so many rows of each file at most")
    add("--seed", type=seed_number, default=42, help="(%(default)s)")
    add("--smoke", action="store_true", help="few rows, a tiny random model: seconds")
    _add_switches(parser)
    return parser


def _add_switches(parser):
    """Those of `acceleration.add_arguments`, which TensorFlow would have to be imported for."""
    add = parser.add_argument_group("acceleration").add_argument
    add(
        "--xla", nargs="?", const="on", default=os.environ.get("B4K_XLA") or "auto",
        choices=("auto", "on", "off"),
        help="compile with XLA; auto: on a GPU only (default: %(default)s, or B4K_XLA)",
    )  # fmt: skip
    add(
        "--precision", default=os.environ.get("B4K_PRECISION") or "float32",
        choices=("float32", "mixed_bfloat16", "mixed_float16", "bfloat16"),
        help="dtype policy (default: %(default)s, or B4K_PRECISION)",
    )  # fmt: skip
    add(
        "--recompute", action="store_true",
        help="recompute activations in the backward pass: less memory, more time "
        "(or B4K_RECOMPUTE=1)",
    )  # fmt: skip


# ---- begin ----------------------------------------------------------------------------------


def start(read_arguments):
    """The arguments of a script that may begin: its folder is its own, the package is there."""
    # Not as an exception: C++ libraries that are being imported make something else of it.
    _handle_signals(_leave)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    args = read_arguments()
    find_package()
    with checks.clear_errors():
        lock(args.out)
    _import_package()
    from bert4keras_ext.backend import acceleration

    args.recompute = args.recompute or acceleration.recompute_enabled()
    return args


def find_package():
    """A clone runs without being installed, if what the package needs is there."""
    if importlib.util.find_spec("bert4keras_ext") is None:
        sys.path.append(str(ROOT))
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        sys.exit(
            f"{_name()}: {', '.join(missing)}: not installed for {sys.executable}; install: "
            f'{sys.executable} -m pip install -e "{ROOT}[plot]" (or run `make demo` in {ROOT})'
        )


def _import_package():
    try:
        import bert4keras_ext  # noqa: F401  (it reads the variables)
    except ValueError as error:
        found = " ".join(f"{name}={os.environ[name]}" for name in VARIABLES if name in os.environ)
        sys.exit(f"{_name()}: {found} in the environment: {error}; change or unset it")
    except ImportError as error:  # such as a Keras that is too old
        sys.exit(f"{_name()}: {error} (this Python is {sys.executable})")


def lock(folder):
    """Two runs in one folder would mix their files: the second is refused.

    The lock ends with the process, however that ends; ".lock" names its owner.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        return
    path = folder / ".lock"
    file = open(path, "ab+", buffering=0)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        owner = file.read().decode() or "another process"
        raise BlockingIOError(
            f"--out {folder}: expected a folder that no other run writes to, found one in use by "
            f"{owner}: wait for it, or pass another folder"
        ) from None
    except OSError as error:
        print(f"{_name()}: {folder} cannot be locked ({error.strerror}): start no second run there",
              file=sys.stderr)  # fmt: skip
    if not _is_file(path, file):  # its owner left, and removed it, in between
        return lock(folder)
    atexit.register(_unlock, path, file)
    with contextlib.suppress(OSError):  # of a full disk: the lock holds without a name too
        file.truncate(0)
        file.write(f"process {os.getpid()} on {os.uname().nodename}".encode())


def _is_file(path, file):
    return path.exists() and os.path.samestat(path.stat(), os.fstat(file.fileno()))


def _unlock(path, file):
    path.unlink(missing_ok=True)
    file.close()


def set_aside(args, names):
    """Moves what a former run left in --out into a folder of its own (or drops: --overwrite)."""
    found = [args.out / name for name in names if (args.out / name).exists()]
    if not found:
        return
    if args.overwrite:
        for path in found:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        return
    number = 1
    while (args.out / f"former-{number}").exists():
        number += 1
    folder = args.out / f"former-{number}"
    folder.mkdir()
    for path in found:
        os.replace(path, folder / path.name)
    print(f"The files of the former run are now in {folder}.")


# ---- end ------------------------------------------------------------------------------------


class Stopped(KeyboardInterrupt):
    """A signal that ends the script."""

    def __init__(self, number):
        super().__init__(number)
        self.number = number


def run(main, args):
    """Calls main(args); what stops it from outside ends in one line."""
    _handle_signals(_stop)
    again = "with --resume goes on" if hasattr(args, "resume") else "starts anew"
    again = f"the same command {again}"
    try:
        main(args)
    except KeyboardInterrupt as error:
        number = getattr(error, "number", signal.SIGINT)
        print(f"\n{_name()}: stopped by {signal.Signals(number).name}; {again}", file=sys.stderr)
        sys.exit(128 + number)
    except OSError as error:
        if error.errno not in checks.DISK_IS_FULL:
            raise
        sys.exit(f"\n{_name()}: {error.strerror}: free some space on the disk of "
                 f"{args.out}; {again}")  # fmt: skip


def _handle_signals(handler):
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, handler)


def _leave(number, frame):
    message = f"{_name()}: stopped by {signal.Signals(number).name} before anything began\n"
    os.write(2, message.encode())
    os._exit(128 + number)


def _stop(number, frame):
    signal.signal(number, signal.SIG_DFL)  # a second one ends at once
    raise Stopped(number)


def _name():
    return Path(sys.argv[0]).name
