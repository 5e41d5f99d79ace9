"""What sample weights mean where rows belong together: one number a row, or a pair of rows."""

from keras import ops

from bert4keras_ext.backend.keras_internals import keras_mask
from bert4keras_ext.backend.tensors import neighbours
from bert4keras_ext.losses.base import Loss


def row_weights(weights, y_pred, what="sample_weight"):
    """Weights of the rows as float32 (rows,), from (rows,), (rows, 1) or one number for all.

    Raises:
        ValueError: for another shape: a loss of rows has no use for it, and Keras would spread it.

    Example:

    >>> row_weights([[1], [2]], ops.zeros((2, 3))).numpy().tolist()
    [1.0, 2.0]
    """
    weights = ops.cast(weights, "float32")
    shape, rows = tuple(weights.shape), y_pred.shape[0]
    fits = len(shape) < 3 and shape[1:] in ((), (1,))
    if not fits or (shape and None not in (shape[0], rows) and shape[0] != rows):
        raise ValueError(
            f"expected {what} with one number for each row, "
            f"{('rows' if rows is None else rows,)} or {('rows' if rows is None else rows, 1)}, "
            f"found the shape {shape}"
        )
    rows = ops.shape(y_pred)[0]
    if not shape:
        return ops.broadcast_to(weights, (rows,))
    return ops.reshape(weights, (rows,))  # fails for another number known only later


def pair_weights(weights, y_pred):
    """The mean of the weights of rows 2i and 2i + 1: (2n,) as `row_weights` takes it -> (n,).

    Example:

    >>> pair_weights([1, 3, 2, 2], ops.zeros((4, 3))).numpy().tolist()
    [2.0, 2.0]
    """
    first, second = neighbours(row_weights(weights, y_pred))
    return (first + second) / 2


def without_mask(y_pred):
    """The same numbers without the mask that a layer left on them."""
    return ops.add(y_pred, 0.0)  # a tensor of its own: Keras hangs masks on the object


class RowLoss(Loss):
    """Base of the losses that give one value a row: weights and masks are one number a row.

    Raises:
        ValueError: for weights or a mask of another shape.
    """

    def __call__(self, y_true, y_pred, sample_weight=None):
        mask = keras_mask(y_pred)
        if mask is not None:
            row_weights(mask, y_pred, "a mask of the outputs")
        if sample_weight is not None:
            sample_weight = row_weights(sample_weight, y_pred)
        return super().__call__(y_true, y_pred, sample_weight)


class PairLoss(Loss):
    """Base of the losses that give one value for each pair of neighbouring rows (2i, 2i + 1).

    The weight of a pair is the mean of its rows' weights; a pair counts where the mask of both
    rows does.

    Raises:
        ValueError: for weights or a mask that are not one number a row.
    """

    def __call__(self, y_true, y_pred, sample_weight=None):
        mask = keras_mask(y_pred)
        if sample_weight is not None:
            sample_weight = pair_weights(sample_weight, y_pred)
        if mask is not None:
            counts = ops.cast(pair_weights(mask, y_pred) == 1, "float32")
            counts = counts * self._share_of_masked(counts)
            sample_weight = counts if sample_weight is None else counts * sample_weight
            if y_true.shape[1:] in ((), (1,)):  # class indices: anything may stand under a mask
                y_true = ops.where(ops.reshape(mask, y_true.shape), y_true, -1)
            y_pred = without_mask(y_pred)
        return super().__call__(y_true, y_pred, sample_weight)

    def _share_of_masked(self, counts):
        """Keras' mean of a masked loss is taken over what counts."""
        if self.reduction not in ("mean", "sum_over_batch_size"):
            return 1.0
        total = ops.cast(ops.shape(counts)[0], "float32")
        return total / ops.maximum(ops.sum(counts), 1.0)
