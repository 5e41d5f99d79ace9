"""bert4keras' GlobalPointer under tf-keras, for ../losses.py; environment: bert4keras_peer.py's."""

import os
import sys

import losses_child as child

os.environ.update(TF_KERAS="1", TF_USE_LEGACY_KERAS="1")


def import_all():
    global tf, K, GlobalPointer, multilabel_categorical_crossentropy
    import tensorflow as tf
    from bert4keras.backend import K, multilabel_categorical_crossentropy
    from bert4keras.layers import GlobalPointer


def versions():
    from importlib.metadata import version

    return {
        "bert4keras": version("bert4keras"),
        "tf_keras": version("tf_keras"),
        "tensorflow": tf.__version__,
    }


def spans_loss(y_true, y_pred):
    """ZLPR over all spans of each type, dense labels."""
    rows = K.prod(K.shape(y_pred)[:2])
    y_true, y_pred = (K.reshape(x, (rows, -1)) for x in (y_true, y_pred))
    return K.mean(multilabel_categorical_crossentropy(y_true, y_pred))


def make_step(request, size):
    batch, types, length = size["spans"]
    labels = child.dense_spans(child.spans(batch, types, length, size["positives"]), length)
    inputs = tf.keras.layers.Input((length, size["dim"]))
    model = tf.keras.Model(inputs, GlobalPointer(types, size["head_size"])(inputs))
    optimizer = tf.keras.optimizers.legacy.Adam(1e-4)
    model.compile(optimizer, spans_loss, jit_compile=request["xla"])
    x = child.states(batch, length, size["dim"])
    return lambda data: float(model.train_on_batch(*data)), (x, labels)


if __name__ == "__main__":
    child.serve(sys.modules[__name__])
