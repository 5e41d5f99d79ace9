"""One place that registers our classes with Keras, so that load_model needs no custom_objects."""

import keras

PACKAGE = "bert4keras_ext"


def register(cls):
    """Class or function decorator: registers under ``"bert4keras_ext>Name"``."""
    return keras.saving.register_keras_serializable(package=PACKAGE)(cls)
