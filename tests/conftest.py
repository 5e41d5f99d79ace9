"""Fixtures every test shares: fixed seeds, and global Keras settings put back afterwards."""

import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import pytest


@pytest.fixture(autouse=True)
def _restore_global_state():
    """Seeds everything, and undoes what a test changed in global settings."""
    import keras

    from bert4keras_ext.backend import acceleration, activations

    policy, settings = keras.config.dtype_policy(), dict(acceleration._settings)
    gelu = activations.get_gelu()
    keras.utils.set_random_seed(20240607)
    yield
    keras.config.set_dtype_policy(policy)
    acceleration._settings.update(settings)
    activations.set_gelu(gelu)
