"""Class indices that may not be indices: what stands in padding is no label."""

from keras import ops

from bert4keras_ext.backend.keras_internals import keras_mask


def known_labels(y_true, y_pred):
    """Class indices as int32, -1 where a mask of the outputs says that nothing counts.

    Example:

    >>> known_labels([3.0, -100.0], ops.zeros((2, 4))).numpy().tolist()
    [3, -100]
    """
    labels, mask = ops.cast(y_true, "int32"), keras_mask(y_pred)
    if mask is None:
        return labels
    if len(mask.shape) == len(labels.shape) - 1:  # several labels a place
        mask = mask[..., None]
    fits = len(mask.shape) == len(labels.shape)
    return ops.where(ops.cast(mask, "bool"), labels, -1) if fits else labels


def at_labels(values, labels):
    """The value at each label: (..., classes) and int32 (...) -> (...), with no look-up that fails.

    A negative label (-100, by custom) is none: 0, without a gradient. One beyond the classes is a
    mistake that no backend reports under XLA: NaN.

    Example:

    >>> at_labels(ops.array([[1.0, 2.0]] * 3), ops.array([1, -100, 2])).numpy().tolist()
    [2.0, 0.0, nan]
    """
    classes = ops.shape(values)[-1]
    places = ops.clip(labels, 0, classes - 1)[..., None]
    found = ops.take_along_axis(values, places, axis=-1)[..., 0]
    found = ops.where(labels < classes, found, float("nan"))
    return ops.where(labels >= 0, found, 0.0)
