"""Writes the folders of the libraries that NVIDIA's wheels brought, one a line, for ldconfig.

    python library_paths.py nvidia-wheels.conf

The file is empty where there are none, as in an image without CUDA.
"""

import sys
import sysconfig
from pathlib import Path


def library_folders(packages):
    """All folders nvidia/*/lib of a site-packages folder that hold libraries."""
    folders = Path(packages).glob("nvidia/*/lib")
    return sorted(str(folder) for folder in folders if any(folder.glob("*.so*")))


def main(path):
    folders = library_folders(sysconfig.get_path("platlib"))
    Path(path).write_text("".join(f"{folder}\n" for folder in folders), encoding="utf-8")
    print(f"{path}: {len(folders)} folders of NVIDIA's libraries")


if __name__ == "__main__":
    main(*sys.argv[1:])
