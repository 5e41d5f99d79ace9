"""Losses and span layers of bert4keras_ext, for ../losses.py. See losses_child.py."""

import sys

import losses_child as child


def import_all():
    global keras, np, layers, losses, tf
    import keras
    import numpy as np
    import tensorflow as tf

    from bert4keras_ext import layers, losses


def versions():
    import bert4keras_ext

    return {
        "bert4keras_ext": bert4keras_ext.__version__,
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
    }


def make_step(request, size):
    return TASKS[request["task"]](request, size)


def spans_loss(request, size):
    """Loss and gradient of ZLPR over given logits; labels come from NumPy in each step."""
    batch, types, length = (request["batch"], *size["relations"][1:])
    labels = child.spans(batch, types, length, size["positives"])
    if request["kind"] == "dense":
        labels = child.dense_spans(labels, length)
        function = losses.global_pointer_crossentropy
    else:
        function = losses.sparse_global_pointer_crossentropy
    scores = tf.random.stateless_normal((batch, types, length, length), (0, 0))
    return with_gradient(function, scores, request["xla"]), labels


def sentence_loss(request, size):
    """Loss and gradient of a loss over the vectors of a whole batch."""
    vectors = tf.random.stateless_normal((size["rows"], size["dim"]), (0, 0))
    labels = (np.arange(size["rows"]) // 2 % 2).astype("float32")
    made = {
        "CoSENT": losses.CoSENTLoss(from_vectors=False),
        "InfoNCE": losses.ContrastiveLoss(),
        "FlatNCE": losses.ContrastiveLoss(method="flatnce"),
    }
    loss = made[request["kind"]]
    if request["kind"] == "CoSENT":  # a pair a row: (rows, rows) differences
        vectors = tf.tanh(vectors[:, 0])
    return with_gradient(loss, vectors, request["xla"]), labels


def with_gradient(function, x, xla):
    @tf.function(jit_compile=xla)
    def compiled(labels, x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_mean(function(labels, x))
        return loss, tape.gradient(loss, x)

    return lambda labels: float(compiled(tf.convert_to_tensor(labels), x)[0])


def relation_step(request, size):
    """A training step of a GlobalPointer head as in GPLinker: pairs of tokens in any order."""
    arguments = dict(RoPE=False, tril_mask=False)
    return pointer_step(request, size, (request["batch"], *size["relations"][1:]), **arguments)


def span_step(request, size):
    return pointer_step(request, size, size["spans"])


def pointer_step(request, size, shape, **arguments):
    batch, types, length = shape
    labels = child.spans(batch, types, length, size["positives"])
    if request["kind"] == "dense":
        labels = child.dense_spans(labels, length)
    inputs = keras.Input((length, size["dim"]))
    head = layers.GlobalPointer(types, size["head_size"], **arguments)
    loss = losses.GlobalPointerCrossentropy(sparse=request["kind"] != "dense")
    return trained(keras.Model(inputs, head(inputs)), loss, request, size, labels)


def tagging_step(request, size):
    """A training step of a CRF with BIO labels of as many types."""
    batch, types, length = size["spans"]
    inputs = keras.Input((length, size["dim"]))
    crf = layers.ConditionalRandomField(lr_multiplier=100)
    outputs = crf(keras.layers.Dense(2 * types + 1)(inputs))
    labels = np.random.default_rng(0).integers(0, 2 * types + 1, (batch, length))
    return trained(keras.Model(inputs, outputs), crf.sparse_loss, request, size, labels)


def trained(model, loss, request, size, labels):
    model.compile(keras.optimizers.Adam(1e-4), loss, jit_compile=request["xla"])
    x = child.states(labels.shape[0], model.inputs[0].shape[1], size["dim"])
    return lambda data: float(model.train_on_batch(*data)), (x, labels)


TASKS = {
    "spans loss": spans_loss,
    "relation step": relation_step,
    "span step": span_step,
    "tagging step": tagging_step,
    "sentence loss": sentence_loss,
}

if __name__ == "__main__":
    child.serve(sys.modules[__name__])
