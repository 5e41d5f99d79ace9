"""Runs the steps of a Dockerfile that are pip or Python in an environment, without Docker.

    python docker/try_steps.py docker/Dockerfile --python .venv-floor/bin/python --folder /tmp/image
    python docker/try_steps.py docker/Dockerfile.cuda --python ... --build-arg TENSORFLOW=tensorflow

ENV, ARG and COPY are obeyed, WORKDIR is --folder. Other steps are named and left out. It ends with
the exit code of the first step that fails.
"""

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = ("pip", "python")


class Instruction(NamedTuple):
    line: int
    name: str
    text: str


def read_instructions(path):
    """The instructions of a Dockerfile, their continued lines joined."""
    found, parts, first = [], [], None
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        first = first or number
        parts.append(line.removesuffix("\\").strip())
        if not line.endswith("\\"):
            name, _, text = " ".join(parts).partition(" ")
            found.append(Instruction(first, name.upper(), text.strip()))
            parts, first = [], None
    if parts:
        raise ValueError(f"{path}, line {first}: expected the rest of a continued instruction")
    return found


def expanded(text, variables):
    """`${NAME}` and `$NAME` of ARG and ENV replaced; others, which the image has, become empty."""
    return re.sub(r"\$\{?(\w+)\}?", lambda match: variables.get(match[1], ""), text)


def is_tried(command):
    """Whether a command is pip or Python alone, without others behind it."""
    words = list(shlex.shlex(command, posix=True, punctuation_chars=True))
    return words[0] in PROGRAMS and not {"&&", "||", ";", "|", "&"}.intersection(words)


class Steps:
    """What has been set and copied so far.

    Args:
        folder: stands for WORKDIR.
        python: of the environment; `pip` and `python` of RUN are those beside it.
        arguments: {name: value} of --build-arg.
    """

    def __init__(self, folder, python, arguments):
        self.folder, self.arguments = Path(folder).resolve(), arguments
        # Not resolved: the python of an environment is a link, and its folder has pip beside it.
        self.programs = Path(python).absolute().parent
        self.variables, self.exported, self.workdir = {}, {}, None

    def do(self, instruction):
        """Obeys one instruction."""
        act = getattr(self, f"_{instruction.name.lower()}", None)
        if act is None:
            raise ValueError(f"line {instruction.line}: expected FROM, ARG, ENV, WORKDIR, COPY, "
                             f"RUN or CMD, found {instruction.name}")  # fmt: skip
        act(instruction.text)

    def _from(self, text):
        print(f"FROM {expanded(text, self.variables)}: the environment stands for it")

    def _cmd(self, text):
        print(f"left out: CMD {text}")

    def _arg(self, text):
        name, _, value = text.partition("=")
        self.variables[name] = self.arguments.get(name, expanded(value.strip('"'), self.variables))

    def _env(self, text):
        for assignment in shlex.split(text):
            name, _, value = assignment.partition("=")
            self.exported[name] = self.variables[name] = self._here(expanded(value, self.variables))

    def _workdir(self, text):
        self.workdir = expanded(text, self.variables)
        self.folder.mkdir(parents=True, exist_ok=True)

    def _here(self, text):
        return text.replace(self.workdir, str(self.folder)) if self.workdir else text

    def _copy(self, text):
        source, target = shlex.split(text)
        for path in tracked_files(ROOT / source):
            place = self.folder / target / path.relative_to(ROOT / source)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, place)

    def _run(self, text):
        command = self._here(text)
        if not is_tried(command):
            print(f"left out: RUN {text}")
            return
        print(f"RUN {text}", flush=True)
        path = f"{self.programs}{os.pathsep}{os.environ['PATH']}"
        outer = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PIP_CONSTRAINT")}
        # ARG too is in the environment of RUN, where the shell puts it in.
        environment = {**outer, **self.variables, **self.exported, "PATH": path}
        subprocess.run(["sh", "-c", command], cwd=self.folder, env=environment, check=True)


def tracked_files(folder):
    """The files that git knows of, or would: no environments, no results."""
    words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", "."]
    listed = subprocess.run(words, cwd=folder, capture_output=True, check=True).stdout
    paths = (folder / os.fsdecode(name) for name in listed.split(b"\0") if name)
    return [path for path in paths if path.is_file()]


def main(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dockerfile", type=Path)
    parser.add_argument("--python", required=True, help="of the environment that is the image")
    parser.add_argument("--folder", required=True, type=Path, help="stands for WORKDIR")
    parser.add_argument("--build-arg", action="append", default=[], metavar="NAME=VALUE")
    args = parser.parse_args(argv)
    arguments = dict(each.split("=", 1) for each in args.build_arg)
    steps = Steps(args.folder, args.python, arguments)
    for instruction in read_instructions(args.dockerfile):
        try:
            steps.do(instruction)
        except subprocess.CalledProcessError as error:
            print(f"{args.dockerfile}, line {instruction.line}: {error}", file=sys.stderr)
            return error.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
