"""ZLPR as Keras losses; the functions behind them are in backend.multilabel."""

from bert4keras_ext.backend.multilabel import (
    global_pointer_crossentropy,
    multilabel_categorical_crossentropy,
    sparse_global_pointer_crossentropy,
    sparse_multilabel_categorical_crossentropy,
)
from bert4keras_ext.backend.registration import register
from bert4keras_ext.losses.base import Loss


@register
class MultilabelCategoricalCrossentropy(Loss):
    """``multilabel_categorical_crossentropy`` as a Keras loss.

    ``log(1 + sum_neg e^s) + log(1 + sum_pos e^-s)``. Inputs: labels 0 ... 1 and logits, both
    (batch, ..., classes); classes whose logit is -inf are masked.

    Example:

    >>> from keras import ops
    >>> float(MultilabelCategoricalCrossentropy()(ops.ones((2, 3)), 100 * ops.ones((2, 3))))
    0.0

    Source: arXiv 2208.02955; articles 7359, 8888.
    """

    def call(self, y_true, y_pred):
        return multilabel_categorical_crossentropy(y_true, y_pred)


@register
class SparseMultilabelCategoricalCrossentropy(Loss):
    """``sparse_multilabel_categorical_crossentropy`` as a Keras loss.

    Inputs: indices of the positive classes (batch, ..., k) and logits (batch, ..., classes);
    classes whose logit is -inf are masked.

    Args:
        mask_zero: index 0 fills rows up.
        **kwargs: name, reduction.

    Example:

    >>> from keras import ops
    >>> loss = SparseMultilabelCategoricalCrossentropy(mask_zero=True)
    >>> bool(loss(ops.array([[1, 0]]), ops.zeros((1, 3))) > 0)
    True

    Source: articles 7359, 8888.
    """

    def __init__(self, mask_zero=False, **kwargs):
        super().__init__(**kwargs)
        self.mask_zero = mask_zero

    def call(self, y_true, y_pred):
        # The Loss class casts labels to float32, which is exact up to 2^24 classes.
        return sparse_multilabel_categorical_crossentropy(y_true, y_pred, self.mask_zero)

    def get_config(self):
        return {**super().get_config(), "mask_zero": self.mask_zero}


@register
class GlobalPointerCrossentropy(Loss):
    """``global_pointer_crossentropy``, or with ``sparse=True`` its sparse form, as a Keras loss.

    Inputs: labels (batch, types, n, n), sparse (batch, types, k, 2); scores (batch, types, n, n),
    as GlobalPointer gives them, -inf where a span may not be.

    Args:
        sparse: labels are (start, end) pairs, filled up with (0, 0).
        **kwargs: name, reduction.

    Raises:
        ValueError: for labels of the other form.

    Example:

    >>> from keras import ops
    >>> float(GlobalPointerCrossentropy()(ops.zeros((1, 1, 2, 2)), -100 * ops.ones((1, 1, 2, 2))))
    0.0

    Source: articles 8373, 8888.
    """

    def __init__(self, sparse=False, **kwargs):
        super().__init__(**kwargs)
        self.sparse = sparse

    def call(self, y_true, y_pred):
        function = (
            sparse_global_pointer_crossentropy if self.sparse else global_pointer_crossentropy
        )
        return function(y_true, y_pred)

    def get_config(self):
        return {**super().get_config(), "sparse": self.sparse}
