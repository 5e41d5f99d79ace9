"""A softmax classifier in closed form: Gaussian classes with one covariance."""

import numpy as np

from bert4keras_ext.numerics.whitening import StreamingCovariance


def analytic_softmax_regression(features, labels, n_classes=None, ridge=0.0):
    """Weights of the softmax classifier whose classes are Gaussian with a shared covariance.

    ``w_i = S^-1 m_i`` and ``b_i = log p_i - m_i' S^-1 m_i / 2``, with the means m_i, the shares
    p_i and the covariance S within classes (divisor N). This is linear discriminant analysis; it
    needs one pass over the features and no training. Features are whitened first, so that
    hundreds of correlated dimensions do no harm; directions without any spread within classes are
    left out.

    Args:
        features: (n, dim).
        labels: (n,) class indices.
        n_classes: number of classes; None is the largest label + 1. A class without rows gets
            weights 0 and a bias of -inf.
        ridge: share of the mean variance added to all directions, for few rows in many dimensions.

    Returns:
        (kernel (dim, n_classes), bias (n_classes,)), float64: ``softmax(x @ kernel + bias)``.

    Raises:
        ValueError: for shapes that do not belong together, labels outside the classes, or a
            negative ridge.

    Example:

    >>> x = np.array([[0.0], [1.0], [4.0], [5.0]])
    >>> kernel, bias = analytic_softmax_regression(x, [0, 0, 1, 1])
    >>> (x @ kernel + bias).argmax(1).tolist()
    [0, 0, 1, 1]

    Source: article 8578.
    """
    x, y = _checked(features, labels)
    classes = int(y.max()) + 1 if n_classes is None else n_classes
    if y.min() < 0 or y.max() >= classes:
        raise ValueError(f"labels expect 0 to {classes - 1}, found {y.min()} to {y.max()}")
    if ridge < 0:
        raise ValueError(f"ridge expects 0 or more, received {ridge}")
    counts = np.bincount(y, minlength=classes)
    means = np.zeros((classes, x.shape[1]))
    np.add.at(means, y, x)
    means /= np.maximum(counts, 1)[:, None]
    root = _inverse_root(StreamingCovariance().update(x - means[y]).covariance(), ridge)
    center = x.mean(axis=0)
    inner = (means - center) @ root  # in coordinates where S is the identity
    weights = np.where(counts[:, None] > 0, inner, 0.0)
    with np.errstate(divide="ignore"):
        bias = np.log(counts / len(y)) - 0.5 * np.sum(weights**2, axis=1)
    kernel = root @ weights.T
    return kernel, bias - center @ kernel


def _checked(features, labels):
    x, y = np.asarray(features, dtype="float64"), np.asarray(labels)
    if x.ndim != 2 or y.shape != (len(x),) or not len(x) or y.dtype.kind not in "iu":
        raise ValueError(
            "expected features (n, dim) and integer labels (n,), n at least 1; found "
            f"{x.shape} and {y.shape} of {y.dtype}"
        )
    return x, y


def _inverse_root(covariance, ridge):
    values, axes = np.linalg.eigh(covariance)
    values = values + ridge * values.mean()
    flat = values <= max(values.max(), 0) * len(values) * np.finfo("float64").eps
    return axes * np.where(flat, 0.0, 1 / np.sqrt(np.where(flat, 1.0, values)))


def initialize_dense(layer, features, labels, **kwargs):
    """Sets a built Dense layer (or any with kernel and bias) to the analytic classifier.

    Args:
        layer: a Keras Dense layer with as many units as there are classes.
        features, labels, **kwargs: as for ``analytic_softmax_regression``.

    Raises:
        ValueError: for a layer of another size.

    Example::

        head = keras.layers.Dense(15, activation="softmax")
        model = keras.Model(encoder.inputs, head(encoder.output))
        initialize_dense(head, encoder.predict(texts), labels)
    """
    units = layer.kernel.shape[-1]
    kernel, bias = analytic_softmax_regression(features, labels, **{"n_classes": units, **kwargs})
    if tuple(layer.kernel.shape) != kernel.shape:
        raise ValueError(
            f"the layer's kernel has the shape {tuple(layer.kernel.shape)}, features and labels "
            f"give {kernel.shape}: expected the same"
        )
    layer.kernel.assign(kernel)
    layer.bias.assign(np.maximum(bias, -1e4))  # -inf would make NaN in training
