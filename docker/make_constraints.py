"""Writes what this Python has installed, but for Keras, as constraints for pip.

    python make_constraints.py constraints.txt

An image's packages fit together as they were built; under these constraints pip installs beside
them and replaces none, or fails. check_stack.py compares with the same file afterwards.
"""

import re
import sys
from importlib import metadata
from pathlib import Path

from packaging.version import InvalidVersion, Version  # TensorFlow needs it too

FREE = ("keras",)  # what may be replaced


def canonical(name):
    """`Ml-Dtypes`, `ml_dtypes` and `ml.dtypes` are one name to pip."""
    return re.sub(r"[-_.]+", "-", name).lower()


def installed():
    """{name: version}; where a package lies in two folders, the one that is imported."""
    found = {}
    for each in metadata.distributions():
        name = each.metadata["Name"]
        if name and each.version:
            found.setdefault(canonical(name), each.version)
    return dict(sorted(found.items()))


def constraints(packages, free=FREE):
    """The lines `name==version`; a version that pip could not compare is left out."""
    return [
        f"{name}=={version}"
        for name, version in packages.items()
        if name not in free and _is_version(version)
    ]


def _is_version(text):
    try:
        return bool(Version(text))
    except InvalidVersion:
        return False


def read_constraints(path):
    """{name: version} of a file that this script wrote."""
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def main(path):
    lines = constraints(installed())
    Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{path}: {len(lines)} packages stay as they are")


if __name__ == "__main__":
    main(*sys.argv[1:])
