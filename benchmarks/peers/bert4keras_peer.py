"""bert4keras under tf-keras, the way that still runs: TF_KERAS=1, legacy Adam. See child.py.

Its environment needs tensorflow, tf_keras of the same minor version, and bert4keras installed with
--no-deps (it asks for keras<=2.3.1); Python 3.11 or older (it imports distutils).
"""

import os
import sys

import child

os.environ.update(TF_KERAS="1", TF_USE_LEGACY_KERAS="1")
XLA = True


def import_base():
    global tf
    import tensorflow as tf

    tf.keras.backend.floatx()  # tf.keras is lazy: this is where tf_keras is imported


def import_library():
    global build_transformer_model
    from bert4keras.models import build_transformer_model


def versions():
    from importlib.metadata import version

    return {
        "bert4keras": version("bert4keras"),
        "tf_keras": version("tf_keras"),
        "tensorflow": tf.__version__,
        "optimizer": "tf.keras.optimizers.legacy.Adam",
    }


def make_encoder(config, precision):
    tf.keras.mixed_precision.set_global_policy(precision)
    return build_transformer_model(**config)


def families():
    return list(child.FAMILIES)


def features(batch, model):
    inputs = [batch["tokens"], batch["segments"]]
    return inputs if len(model.inputs) == 2 else inputs[0]


def make_forward(config, precision, xla):
    model = make_encoder(config, precision)
    model.compile(jit_compile=xla)
    return lambda batch: model.predict_on_batch(features(batch, model))


def make_training(config, precision, xla):
    encoder = make_encoder(config, precision)
    first = tf.keras.layers.Lambda(lambda x: x[:, 0])(encoder.output)
    scores = tf.keras.layers.Dense(2, activation="softmax", dtype="float32")(first)
    model = tf.keras.Model(encoder.inputs, scores)
    optimizer = tf.keras.optimizers.legacy.Adam(child.LEARNING_RATE)
    model.compile(optimizer, "sparse_categorical_crossentropy", jit_compile=xla)
    return lambda batch: float(model.train_on_batch(features(batch, model), batch["labels"]))


if __name__ == "__main__":
    child.serve(sys.modules[__name__])
