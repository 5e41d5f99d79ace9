"""The switches, a built model and Adam under MirroredStrategy with two logical devices.

One strategy a process: a second one would break the collectives.
"""

import subprocess
import sys

import pytest

PROGRAM = """
import sys
import numpy as np
import tensorflow as tf

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
import keras
from bert4keras_ext.backend import jit_compile, set_precision, set_recompute, set_xla
from bert4keras_ext.models import build_transformer_model
from bert4keras_ext.optimizers import Adam

set_precision(sys.argv[1]), set_xla(True), set_recompute(sys.argv[2] == "recompute")
config = dict(vocab_size=40, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
              intermediate_size=32, hidden_act="gelu", max_position=16)
tokens = np.random.default_rng(0).integers(1, 40, (32, 8))
labels = (tokens[:, 1] > 20).astype("int32")


def train():
    keras.utils.set_random_seed(1)
    encoder = build_transformer_model(config)
    head = keras.layers.Dense(2, "softmax", dtype="float32")(encoder.output[:, 0])
    model = keras.Model(encoder.inputs, head)
    model.compile(Adam(1e-2), "sparse_categorical_crossentropy", jit_compile=jit_compile())
    history = model.fit([tokens, np.zeros_like(tokens)], labels, batch_size=16, epochs=3,
                        shuffle=False, verbose=0)
    return model, history.history["loss"]


strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    assert jit_compile() is False
    mirrored, losses = train()
single, losses_of_one = train()
assert np.all(np.isfinite(losses)) and losses[-1] < losses[0]
if sys.argv[1] == "float32":
    np.testing.assert_allclose(losses, losses_of_one, atol=1e-5)
    for a, b in zip(mirrored.get_weights(), single.get_weights()):
        np.testing.assert_allclose(a, b, atol=1e-4)
print("equal")
"""


@pytest.mark.exhaustive
@pytest.mark.parametrize("precision, recompute", [("float32", "recompute"),
                                                  ("mixed_bfloat16", "keep")])  # fmt: skip
def test_two_replicas_train_like_one_device(precision, recompute):
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, precision, recompute], capture_output=True, text=True
    )
    assert run.returncode == 0 and "equal" in run.stdout, run.stderr[-3000:]
