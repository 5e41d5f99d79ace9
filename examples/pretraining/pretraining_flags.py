"""What all scripts here need before TensorFlow is imported; paths and flags are in ../flags.py."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # what all examples share lies there

import checks  # noqa: F401 (all in one place)
import flags  # noqa: F401
import program  # noqa: F401
