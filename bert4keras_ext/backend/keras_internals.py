"""Every private name of Keras and TensorFlow that the package reads, in one place.

A name may vanish with a release, so each stands in ``PRIVATE_NAMES`` with its reason, and a test
names those that an installed Keras or TensorFlow no longer has before anything else fails.
"""

import weakref

# (where, attribute, what needs it)
PRIVATE_NAMES = (
    (
        "tensorflow.python.framework.ops:gradient_registry",
        "_registry",
        "backend/gradients.py lets go of the graphs that gradients of its functions hold",
    ),
)


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
