"""Every private name of Keras and TensorFlow that the package reads, in one place.

A name may vanish with a release, so each stands in ``PRIVATE_NAMES`` with its reason, and a test
names those that an installed Keras or TensorFlow no longer has before anything else fails.
"""

import io
import weakref

# (where, attribute, what needs it)
PRIVATE_NAMES = (
    (
        "tensorflow.python.framework.ops:gradient_registry",
        "_registry",
        "backend/gradients.py lets go of the graphs that gradients of its functions hold",
    ),
    (
        "tensorflow:Graph()",
        "_get_control_flow_context",
        "backend/softmax.py asks by is_inside_xla which kernel will run",
    ),
    ("keras.src.backend", "get_keras_mask", "training/chunks.py: masks of outputs"),
    ("keras.src.backend", "set_keras_mask", "training/chunks.py: masks of outputs"),
    (
        "keras.src.saving.saving_lib",
        "_save_state",
        "checkpoints/keras_weights.py by weights_in_files: Keras' names in .weights.h5",
    ),
    ("keras.src.saving.saving_lib", "H5IOStore", "checkpoints/keras_weights.py, the same"),
    (
        "keras.layers:Layer()",
        "_flatten_layers",
        "checkpoints, by all_layers_of: layers inside of layers",
    ),
)


def keras_mask(tensor):
    """The mask that Keras carries with a tensor, or None."""
    from keras.src.backend import get_keras_mask

    return get_keras_mask(tensor)


def set_keras_mask(tensor, mask):
    """Gives a tensor the mask that layers called on it will see."""
    from keras.src.backend import set_keras_mask

    set_keras_mask(tensor, mask)


def all_layers_of(layer):
    """The layer, or model, and every layer inside of it."""
    return list(layer._flatten_layers())


def is_inside_xla():
    """Whether what TensorFlow traces now will be compiled: its graph, or one around it, says so.

    True where it cannot be told.
    """
    import tensorflow as tf

    graph = tf.compat.v1.get_default_graph()
    while graph is not None:
        find_context = getattr(graph, "_get_control_flow_context", None)
        if find_context is None:
            return True
        context = find_context()
        if context is not None and context.IsXLAContext():
            return True
        graph = getattr(graph, "outer_graph", None)
    return False


def weights_in_files(model):
    """{name in a .weights.h5: variable} as Keras would write it, or None where it does not tell.

    Saves into a store that only notes what it is given.
    """
    try:
        from keras.src.saving.saving_lib import H5IOStore, _save_state

        class Notes(H5IOStore):
            def __init__(self):
                super().__init__(io.BytesIO(), mode="w")
                self.found, self.path = {}, ""

            def make(self, path, metadata=None):
                self.path = path
                return self

            def __setitem__(self, key, value):
                self.found["/".join(filter(None, [self.path, "vars", key]))] = value

        notes = Notes()
        try:
            _save_state(model, notes, None, "", set())
        finally:
            notes.close()
        return notes.found
    except (ImportError, AttributeError, TypeError, ValueError):
        return None


def forget_gradient_with_its_graph(outputs):
    """Makes TensorFlow's registry hold the gradient of these outputs as long as their graph lives.

    ``tf.custom_gradient`` registers, for each call in a graph, a closure over that call's tensors
    under a new name, for good: the graph, and with it the model and its weights, then outlive
    everything. Here the graph holds the closure, and the registry only refers to it.

    Args:
        outputs: tensors that a function under ``tf.custom_gradient`` returned, in a graph.
    """
    from tensorflow.python.framework import ops

    entries = getattr(ops.gradient_registry, "_registry", None)
    if entries is None:  # another TensorFlow: the memory is kept, the results are right
        return
    name = outputs[0].op.get_attr("_gradient_op_type").decode()
    graph, entry = outputs[0].graph, entries[name]
    gradient = entry["type"]
    if not hasattr(graph, "_gradients_of_ours"):
        graph._gradients_of_ours = []
    graph._gradients_of_ours.append(gradient)
    entry["type"] = _weakly(gradient, name)
    weakref.finalize(graph, entries.pop, name, None).atexit = False


def _weakly(gradient, name):
    reference = weakref.ref(gradient)

    def forward(op, *upstream):
        gradient = reference()
        if gradient is None:
            raise RuntimeError(
                f"expected the graph in which {name} was traced to be alive, found it deleted: "
                "keep the tf.function or the model that was called until its gradient is taken"
            )
        return gradient(op, *upstream)

    return forward


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


def compiled_parts(model):
    """What ``compile`` puts into a model: optimizer, loss, metrics and the tracker of the loss.

    Keras writes them into a weights file, with nothing public to leave them out.
    """
    names = ("optimizer", "_compile_loss", "_compile_metrics", "_loss_tracker")
    parts = (getattr(model, name, None) for name in names)
    return [part for part in parts if part is not None]
