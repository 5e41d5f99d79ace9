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


def families():
    from bert4keras_ext.models.registry import MODELS

    return [family for family, config in child.FAMILIES.items() if config["model"] in MODELS]


def make_encoder(config):
    return build_transformer_model(config, model=config.pop("model"))


def features(batch, model):
    inputs = [batch["tokens"], batch["segments"]]
    return inputs if len(model.inputs) == 2 else inputs[0]


def make_forward(config, precision, xla):
    keras.config.set_dtype_policy(precision)
    model = make_encoder(config)
    model.compile(jit_compile=xla)
    return lambda batch: model.predict_on_batch(features(batch, model))


def make_training(config, precision, xla):
    keras.config.set_dtype_policy(precision)
    encoder = make_encoder(config)
    scores = keras.layers.Dense(2, activation="softmax", dtype="float32")(encoder.output[:, 0])
    model = keras.Model(encoder.inputs, scores)
    model.compile(make_adam(), "sparse_categorical_crossentropy", jit_compile=xla)
    return lambda batch: float(model.train_on_batch(features(batch, model), batch["labels"]))


if __name__ == "__main__":
    child.serve(sys.modules[__name__])
