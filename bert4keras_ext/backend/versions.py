"""The oldest Keras this package works with, checked once at import."""

import re

import keras

MINIMUM_KERAS = (3, 12)


def release(version):
    """``"2.17.0+nv25.2"`` -> ``(2, 17, 0)``: releases are compared as numbers, never as text."""
    return tuple(int(part) for part in re.match(r"\d+(\.\d+)*", version).group().split("."))


def check_keras(version=None):
    """Raises ImportError when Keras is older than the floor."""
    found = version or keras.__version__
    if release(found) < MINIMUM_KERAS:
        wanted = ".".join(map(str, MINIMUM_KERAS))
        raise ImportError(
            f"bert4keras_ext needs Keras >= {wanted}, found Keras {found}. "
            f'Upgrade Keras alone: pip install "keras>={wanted},<4".'
        )
