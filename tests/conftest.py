"""Fixtures every test shares: fixed seeds, and global Keras settings put back afterwards."""

import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import pytest


@pytest.fixture(autouse=True)
def _restore_global_state():
    """Seeds everything, and undoes what a test changed in Keras' global settings."""
    import keras

    policy = keras.config.dtype_policy()
    keras.utils.set_random_seed(20240607)
    yield
    keras.config.set_dtype_policy(policy)
    keras.backend.clear_session()
