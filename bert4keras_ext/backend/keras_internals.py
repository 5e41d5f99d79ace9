"""Every private name of Keras and TensorFlow that the package reads, in one place.

A name may vanish with a release, so each stands in ``PRIVATE_NAMES`` with its reason, and a test
names those that an installed Keras or TensorFlow no longer has before anything else fails. Methods
that have to be overridden are so in optimizers/base.py; the rest are the functions below.
"""

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
)


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
