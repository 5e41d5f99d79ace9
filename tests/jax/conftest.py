"""These tests are for the JAX backend only: `make test-jax`, or KERAS_BACKEND=jax."""

import keras

collect_ignore_glob = [] if keras.backend.backend() == "jax" else ["test_*.py"]
