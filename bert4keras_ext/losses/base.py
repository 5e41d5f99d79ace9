"""The base class of the Keras losses here."""

import keras


class Loss(keras.losses.Loss):
    """A Keras loss computed in float32 whatever the precision of the model.

    Subclasses define ``call(y_true, y_pred)``, which returns one value a row, and name their own
    arguments in ``get_config``.
    """

    def __init__(self, reduction="sum_over_batch_size", name=None, dtype="float32"):
        super().__init__(name=name, reduction=reduction, dtype=dtype)
