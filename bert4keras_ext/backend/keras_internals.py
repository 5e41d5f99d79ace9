"""Private names of Keras, all in one place: what a new Keras may rename shows here first."""


def maker_of(tensor):
    """(operation, index of its output, its input tensors) behind a symbolic tensor, or None.

    Reads ``_keras_history`` and ``_inbound_nodes``: Keras has no public way from a tensor to the
    layer that made it.
    """
    history = getattr(tensor, "_keras_history", None)
    if history is None:
        return None
    nodes = history.operation._inbound_nodes
    inputs = nodes[history.node_index].input_tensors if nodes else []
    return history.operation, history.tensor_index, inputs


def logits_of(tensor):
    """What Keras' softmax or sigmoid was computed from, where it is still noted; or None.

    Reads ``_keras_logits``, which works for eager tensors too, on which no operation is noted.
    """
    return getattr(tensor, "_keras_logits", None)


def keras_mask(tensor):
    """The mask that a layer left on its output, or None.

    Keras' own losses read it with this function: a loss is given no mask.
    """
    from keras.src.backend import get_keras_mask

    return get_keras_mask(tensor)


def all_layers_of(layer):
    """The layer itself and every layer inside, however deep.

    ``_flatten_layers``: the public ``layers`` of a model ends at its direct children.
    """
    return list(layer._flatten_layers())


def compiled_parts(model):
    """What ``compile`` puts into a model: optimizer, loss, metrics and the tracker of the loss.

    Keras writes them into a weights file, with nothing public to leave them out.
    """
    names = ("optimizer", "_compile_loss", "_compile_metrics", "_loss_tracker")
    parts = (getattr(model, name, None) for name in names)
    return [part for part in parts if part is not None]
