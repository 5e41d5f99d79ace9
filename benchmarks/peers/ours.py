"""bert4keras_ext as its users run it: compile, predict_on_batch, train_on_batch. See child.py."""

import sys

import child

XLA = True


def import_base():
    global keras
    import keras


def import_library():
    global build_transformer_model
    from bert4keras_ext.models import build_transformer_model


def versions():
    import tensorflow as tf

    import bert4keras_ext

    return {
        "bert4keras_ext": bert4keras_ext.__version__,
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
        "optimizer": f"{type(make_adam()).__module__}.Adam",
    }


def make_adam():
    try:
        from bert4keras_ext.optimizers import Adam
    except ImportError:
        from keras.optimizers import Adam
    return Adam(child.LEARNING_RATE)


def features(batch):
    return [batch["tokens"], batch["segments"]]


def make_forward(config, precision, xla):
    keras.config.set_dtype_policy(precision)
    model = build_transformer_model(config)
    model.compile(jit_compile=xla)
    return lambda batch: model.predict_on_batch(features(batch))


def make_training(config, precision, xla):
    keras.config.set_dtype_policy(precision)
    encoder = build_transformer_model(config)
    scores = keras.layers.Dense(2, activation="softmax", dtype="float32")(encoder.output[:, 0])
    model = keras.Model(encoder.inputs, scores)
    model.compile(make_adam(), "sparse_categorical_crossentropy", jit_compile=xla)
    return lambda batch: float(model.train_on_batch(features(batch), batch["labels"]))


if __name__ == "__main__":
    child.serve(sys.modules[__name__])
