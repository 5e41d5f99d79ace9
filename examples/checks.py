"""What the examples check before anything costs time: flags, folders, files, and what must fit.

Each check ends in one line that names what was expected, what was found and what to do; see
`clear_errors`.
"""

import argparse
import contextlib
import errno
import math
import os
import sys
import tempfile
from itertools import islice
from pathlib import Path

DISK_IS_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

# ---- command line ---------------------------------------------------------------------------


def whole_number(least, most=None):
    """A type for argparse: a whole number of at least `least` (and at most `most`)."""
    limits = f"at least {least}" + (f" and at most {most}" if most is not None else "")

    def parse(text):
        with contextlib.suppress(ValueError):
            number = int(text)
            if least <= number and (most is None or number <= most):
                return number
        raise argparse.ArgumentTypeError(f"expected a whole number of {limits}, found {text!r}")

    return parse


def rate(text):
    """A type for argparse: a learning rate."""
    with contextlib.suppress(ValueError):
        if 0 <= float(text) < math.inf:
            return float(text)
    raise argparse.ArgumentTypeError(f"expected a number of at least 0, found {text!r}")


seed_number = whole_number(0, 2**32 - 1)  # what NumPy takes


@contextlib.contextmanager
def clear_errors(kinds=(OSError, ValueError, TypeError)):
    """Ends the script with one message, without a traceback, where the user's input is at fault."""
    try:
        yield
    except kinds as error:
        if getattr(error, "errno", None) in DISK_IS_FULL:
            raise  # program.run says more of it
        sys.exit(f"{Path(sys.argv[0]).name}: {error}")


# ---- folders and files ----------------------------------------------------------------------


def make_folder(path):
    """Makes the folder of --out, and sees that files can be written there."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise OSError(
            f"--out {path}: expected a folder that can be made and written, found: "
            f"{error.strerror}; pass another one"
        ) from error


def find_file(folder, names, needed=True):
    """The path of the first of these files that there is; None if it may be missing."""
    if not folder.is_dir():
        raise FileNotFoundError(f"no data folder {folder}: pass --data FOLDER with {names[0]}")
    for name in names:
        if (folder / name).is_file():
            return folder / name
    if needed:
        raise FileNotFoundError(
            f"no {' or '.join(names)} in {folder}: found {sorted(os.listdir(folder))}"
        )
    return None


def check_text(path):
    """There is at least one row, and all are UTF-8."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected a data file, found no such file")
    is_empty = True
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            is_empty = is_empty and not line.strip()
            _check_utf8(path, number, line)
    if is_empty:
        raise ValueError(f"{path}: expected rows, found an empty file: put the data there again")


def _check_utf8(path, number, line):
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError(
            f"{path}, line {number}: expected UTF-8, found another encoding; if it is GBK, convert "
            f"it to UTF-8: iconv -f gb18030 -t utf-8 {path} > {path.stem}_utf8{path.suffix}"
        ) from None


def check_labels(path, rows):
    """Each row, whose label is its last entry, has one."""
    for number, (*_, label) in enumerate(rows):
        if label is None:
            raise ValueError(
                f"{path}, line {_line_of(path, number)}: expected a label in each row, found none: "
                "add it, or leave the row out"
            )


def _line_of(path, number):
    """The line, from 1, of row `number`, from 0; blank lines are no rows."""
    with open(path, "rb") as file:
        rows = (line_number for line_number, line in enumerate(file, 1) if line.strip())
        return next(islice(rows, number, None))


# ---- model ----------------------------------------------------------------------------------


def check_weights(config, checkpoint):
    """A folder holds its weights; a file does not, and random ones would train in silence."""
    if Path(config).is_file() and checkpoint is None:
        raise ValueError(f"--config {config} is a file: pass its weights too, --checkpoint PATH")


def check_fits(builder, tokenizer, maxlen, config, vocab):
    """The model has a row for each token of the vocabulary and enough positions."""
    if tokenizer.vocab_size > builder.vocab_size:
        raise ValueError(
            f"--vocab {vocab}: expected at most {builder.vocab_size} tokens, the rows of the "
            f"embedding table of {config}, found {tokenizer.vocab_size}: pass the vocab.txt of "
            "this model"
        )
    positions = getattr(builder, "max_position", None)
    if positions is not None and maxlen > positions:
        raise ValueError(
            f"--maxlen: expected at most the model's {positions} positions, received {maxlen}"
        )
