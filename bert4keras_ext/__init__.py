"""bert4keras_ext: a Keras 3 toolkit in the bert4keras style.

Importing the package registers every class with Keras (so ``keras.models.load_model`` needs no
``custom_objects``) and applies the environment's acceleration switches.
"""

from bert4keras_ext._old_names import getattr_of
from bert4keras_ext._version import __version__
from bert4keras_ext.backend.versions import check_keras

check_keras()

from bert4keras_ext import backend, layers, losses, models, optimizers, training  # noqa: E402
from bert4keras_ext.backend.acceleration import apply_environment  # noqa: E402

apply_environment()

__all__ = ["__version__", "backend", "layers", "losses", "models", "optimizers", "training"]

__getattr__ = getattr_of(__name__)
