"""Every private name of Keras and TensorFlow that the package reads, in one place.

A name may vanish with a release, so each stands in ``PRIVATE_NAMES`` with its reason, and a test
names those that an installed Keras or TensorFlow no longer has before anything else fails. Methods
that have to be overridden are so in optimizers/base.py; the rest are the functions below.
"""

import io
import weakref

_BASE = "optimizers/base.py"

# (where, attribute, what needs it); "()" and arguments in `where` make an instance
PRIVATE_NAMES = (
    *[
        ("keras.optimizers:Optimizer", name, f"{_BASE} {reason}")
        for name, reason in {
            "_backend_apply_gradients": "overrides it: sums over replicas, copies of short weights",
            "_backend_update_step": "calls it: the rule of each weight, on each device",
            "_clip_gradients": "overrides it: equal rows of sparse gradients are summed first",
            "_apply_weight_decay": "overrides it: decay follows the rates of extensions",
            "_use_weight_decay": "asks it which weights Keras' weight_decay is for",
            "_get_current_learning_rate": "overrides it: schedules",
            "_get_variable_index": "asks it where the slots of a weight stand",
            "_var_key": "overrides it: a float32 copy stands for its weight",
            "_check_variables_are_known": "overrides it: says what to do with unknown weights",
            "_filter_empty_gradients": "calls it: accumulation leaves out missing gradients",
            "_overwrite_variable_with_gradient": "asks it: scales of float8 have no slots",
            "_update_model_variables_moving_average": "overrides it: use_ema around lookahead",
            "_overwrite_model_variables_with_average_value": "overrides it: frozen weights",
        }.items()
    ],
    *[
        ("tensorflow backend:keras.optimizers:Optimizer", name, f"{_BASE} {reason}")
        for name, reason in {
            "_all_reduce_sum_gradients": "overrides it: the sums are there before clipping",
            "_distributed_tf_update_step": "overrides it: large weights are updated in one pass",
        }.items()
    ],
    ("keras.optimizers:SGD()", "_trainable_variables", f"{_BASE} model_weights"),
    ("keras.optimizers:SGD()", "_trainable_variables_indices", f"{_BASE} knows weights by it"),
    ("tensorflow backend:keras.optimizers:SGD()", "_distribution_strategy", f"{_BASE} for_each"),
    (
        "keras.optimizers:SGD(use_ema=True)",
        "_model_variables_moving_average",
        "optimizers/base.py: the averages of Keras' use_ema",
    ),
    ("keras.optimizers:Adam(amsgrad=True)", "_momentums", "optimizers/adam.py by adam_slots"),
    ("keras.optimizers:Adam(amsgrad=True)", "_velocities", "optimizers/adam.py by adam_slots"),
    ("keras.optimizers:Adam(amsgrad=True)", "_velocity_hats", "optimizers/adam.py by adam_slots"),
    ("keras.optimizers:Lion()", "_momentums", "optimizers/lion.py by lion_slot"),
    (
        "tensorflow backend:tensorflow:__internal__.distribute.interim",
        "maybe_merge_call",
        "optimizers/base.py by merge_replicas",
    ),
    (
        "tensorflow.python.framework.ops:gradient_registry",
        "_registry",
        "backend/gradients.py lets go of the graphs that gradients of its functions hold",
    ),
    (
        "tensorflow:Graph",
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
    ("keras.src.ops.symbolic_arguments:SymbolicArguments", "fill_in", "models/graph.py: values"),
    ("keras:Variable", "_direct_assign", "backend/rounded.py: assigning within a scope"),
    ("keras.layers:Layer", "_flatten_layers", "all_layers_of and sublayers: layers in layers"),
    ("keras.layers:Flatten()", "_trainable_variables", "layers/parts.py by freezable_weights"),
    ("keras.src.backend.common.tensor_attributes", "get_tensor_attr", "layers/methods.py: marks"),
    ("keras.src.backend.common.tensor_attributes", "set_tensor_attr", "layers/methods.py: marks"),
)
# Attributes of a layer in which Keras keeps once more what other attributes hold.
TRACKED = ("_layers", "_trainable_variables", "_non_trainable_variables", "_tracker")


def merge_replicas(function, strategy):
    """function(strategy), where the weights of all replicas may be written.

    There is no public way to ask whether a strategy merges its replicas for that.
    """
    import tensorflow as tf

    if tf.distribute.in_cross_replica_context() and tf.distribute.has_strategy():
        return function(strategy)
    return tf.__internal__.distribute.interim.maybe_merge_call(function, strategy)


def adam_slots(optimizer, index):
    """(momentum, velocity, largest velocity or None) of a weight of `keras.optimizers.Adam`."""
    largest = optimizer._velocity_hats[index] if optimizer.amsgrad else None
    return optimizer._momentums[index], optimizer._velocities[index], largest


def lion_slot(optimizer, index):
    """The momentum of a weight of `keras.optimizers.Lion`."""
    return optimizer._momentums[index]


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


def sublayers(layer):
    """The layers that a layer holds itself; Keras lists those of models only."""
    return layer._flatten_layers(include_self=False, recursive=False)


def freezable_weights(layer):
    """A layer's own weights but those made with trainable=False: what its `trainable` sets."""
    return list(layer._trainable_variables)


def get_tensor_attr(tensor, name):
    """What was noted on a tensor, or None; a tensor of JAX takes no attributes."""
    from keras.src.backend.common.tensor_attributes import get_tensor_attr

    return get_tensor_attr(tensor, name)


def set_tensor_attr(tensor, name, value):
    """Notes something on a tensor, as Keras does its masks."""
    from keras.src.backend.common.tensor_attributes import set_tensor_attr

    set_tensor_attr(tensor, name, value)


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


def graph_nodes(model):
    """[(operation, arguments, output tensors)] of a functional model, in an order of execution.

    ``arguments`` has ``keras_tensors`` and ``fill_in({id: value}) -> args, kwargs``. None for a
    model that is not functional. Keras keeps the nodes to itself, and its one public walk over
    them, ``clone_model``, does not let values in.
    """
    model = getattr(model, "_functional", None) or model  # within a Sequential
    by_depth = getattr(model, "_nodes_by_depth", None)
    if by_depth is None:
        return None
    nodes = [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]]
    return [
        (node.operation, node.arguments, node.outputs)
        for node in nodes
        if node.operation is not None and not node.is_input
    ]


def layer_of_input(tensor):
    """The name of the layer whose output a symbolic tensor is: an input's, that of the input."""
    history = getattr(tensor, "_keras_history", None)
    return tensor.name if history is None else history.operation.name


def assign_now(variable, value):
    """Assigns to a variable, also within a StatelessScope, which would only note it."""
    variable._direct_assign(value)


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
