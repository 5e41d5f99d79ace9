"""The base class of the Keras losses here."""

import keras


class Loss(keras.losses.Loss):
    """A Keras loss computed in float32 whatever the precision of the model.

    Subclasses define ``call(y_true, y_pred)``, which returns one value a row, and name their own
    arguments in ``get_config``. Labels and outputs arrive as float32.

    Args:
        reduction: "sum_over_batch_size" (the mean), "sum" or None.
        name, dtype: as in Keras.

    Example:

    >>> class Distance(Loss):
    ...     def call(self, y_true, y_pred):
    ...         return keras.ops.max(keras.ops.abs(y_true - y_pred), axis=-1)
    >>> float(Distance()(keras.ops.zeros((2, 3)), keras.ops.ones((2, 3))))
    1.0
    """

    def __init__(self, reduction="sum_over_batch_size", name=None, dtype="float32"):
        super().__init__(name=name, reduction=reduction, dtype=dtype)
