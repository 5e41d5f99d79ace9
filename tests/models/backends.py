"""The same small model on every backend: what it predicts, and what it predicts having learned."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np

from tests.models.families import FAMILIES, build, inputs_of

ROOT = Path(__file__).resolve().parents[2]
# Float32 rounding of outputs up to 10, in sums that each backend adds in an order of its own.
TOLERANCE = 2e-5


def two_steps(name):
    """What a family predicts before and after two steps of ``fit``."""
    builder = build(name, num_hidden_layers=1, dropout_rate=0, attention_dropout_rate=0)
    model, arrays = builder.model, inputs_of(builder)
    rng = np.random.default_rng(0)
    for variable in model.trainable_variables:  # initial weights differ between backends
        centre = float("gamma" in variable.path)
        variable.assign(rng.normal(centre, 0.3, variable.shape).astype("float32"))
    # Only JAX compiles here: with one compiler, its mistakes would be on both sides.
    model.compile(keras.optimizers.SGD(0.01), "mse", jit_compile=keras.backend.backend() == "jax")
    arrays = arrays if len(arrays) > 1 else arrays[0]
    before = model.predict(arrays, batch_size=2, verbose=0)
    targets = np.random.default_rng(1).normal(size=before.shape)
    model.fit(arrays, targets, batch_size=2, shuffle=False, verbose=0)
    return before, model.predict(arrays, batch_size=2, verbose=0)


def write(path, *names):
    np.savez(
        path,
        **{f"{n}/{i}": found for n in names or FAMILIES for i, found in enumerate(two_steps(n))},
    )


def written(path, backend, *names):
    """What ``write`` writes in a process of another backend; without names, of all families."""
    program = "import sys; from tests.models import backends as b; b.write(*sys.argv[1:])"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "KERAS_BACKEND": backend}
    done = subprocess.run(
        [sys.executable, "-c", program, str(path), *names],
        env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return np.load(path)


def check_equal(name, found, wanted):
    before, after = found
    np.testing.assert_allclose(before, wanted[f"{name}/0"], rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(after, wanted[f"{name}/1"], rtol=0, atol=TOLERANCE)
    assert np.abs(after - before).max() > 100 * TOLERANCE
