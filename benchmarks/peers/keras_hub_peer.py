"""keras-hub's BertBackbone on Keras 3 with TensorFlow (its gelu is the tanh one). See child.py."""

import os
import sys

import child

os.environ["KERAS_BACKEND"] = "tensorflow"
XLA = True


def import_base():
    global keras
    import keras


def import_library():
    global keras_hub
    import keras_hub


def versions():
    import tensorflow as tf

    return {
        "keras_hub": keras_hub.__version__,
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
        "optimizer": "keras.optimizers.Adam",
    }


def make_encoder(config, precision):
    keras.config.set_dtype_policy(precision)
    backbone = keras_hub.models.BertBackbone(
        vocabulary_size=config["vocab_size"],
        num_layers=config["num_hidden_layers"],
        num_heads=config["num_attention_heads"],
        hidden_dim=config["hidden_size"],
        intermediate_dim=config["intermediate_size"],
        dropout=config["hidden_dropout_prob"],
        max_sequence_length=config["max_position_embeddings"],
        num_segments=config["type_vocab_size"],
    )
    return keras.Model(backbone.input, backbone.output["sequence_output"])


def features(batch):
    return {
        "token_ids": batch["tokens"],
        "segment_ids": batch["segments"],
        "padding_mask": batch["mask"],
    }


def make_forward(config, precision, xla):
    model = make_encoder(config, precision)
    model.compile(jit_compile=xla)
    return lambda batch: model.predict_on_batch(features(batch))


def make_training(config, precision, xla):
    encoder = make_encoder(config, precision)
    scores = keras.layers.Dense(2, activation="softmax", dtype="float32")(encoder.output[:, 0])
    model = keras.Model(encoder.input, scores)
    optimizer = keras.optimizers.Adam(child.LEARNING_RATE)
    model.compile(optimizer, "sparse_categorical_crossentropy", jit_compile=xla)
    return lambda batch: float(model.train_on_batch(features(batch), batch["labels"]))


if __name__ == "__main__":
    child.serve(sys.modules[__name__])
