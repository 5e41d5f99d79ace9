"""bert4keras_ext: a Keras 3 toolkit in the bert4keras style."""

from bert4keras_ext._version import __version__

__all__ = ["__version__"]
