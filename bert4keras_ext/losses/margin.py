"""Softmax with a margin, for classes that have to be told apart by cosine similarity."""

from keras import ops

from bert4keras_ext.backend.labels import at_labels, known_labels
from bert4keras_ext.backend.logits import expect_logits
from bert4keras_ext.backend.registration import register
from bert4keras_ext.losses.base import Loss


@register
def am_softmax(y_true, y_pred, scale=30.0, margin=0.35):
    """Cross-entropy of ``scale * cos``, with ``margin`` taken off the target's cosine.

    ``-log(e^{s (c_t - m)} / (e^{s (c_t - m)} + sum_{i != t} e^{s c_i}))``; with m = 0 it is plain
    cross-entropy of the scaled cosines.

    Args:
        y_true: (..., classes) one-hot.
        y_pred: (..., classes) cosines, as CosineDense gives them.
        scale, margin: see the formula.

    Returns:
        Float32 (...).

    Raises:
        ValueError: for probabilities, as a softmax gives them, in place of cosines.

    Example:

    >>> round(float(am_softmax(ops.array([1, 0]), ops.zeros(2), scale=1.0, margin=0.0)), 4)
    0.6931

    Source: arXiv 1801.05599; article 8656.
    """
    _expect_cosines("am_softmax", y_pred)
    cosines, target = ops.cast(y_pred, "float32"), ops.cast(y_true, "float32")
    return _crossentropy(target, scale * (cosines - margin * target))


@register
def simpler_a_softmax(y_true, y_pred, scale=30.0):
    """The same with the target's cosine c replaced by ``min(c, 8 c^4 - 8 c^2 + 1)``.

    That is ``cos(4 angle)`` where it is the smaller one: the angle margin of A-Softmax with m = 4,
    without its piecewise definition.

    Args, returns: as for ``am_softmax``, without a margin.

    Example:

    >>> round(float(simpler_a_softmax(ops.array([1, 0]), ops.array([1.0, 0.0]), scale=1.0)), 4)
    0.3133

    Source: article 8656; A-Softmax: arXiv 1704.08063.
    """
    _expect_cosines("simpler_a_softmax", y_pred)
    cosines, target = ops.cast(y_pred, "float32"), ops.cast(y_true, "float32")
    return _crossentropy(target, scale * (cosines + (_four_angles(cosines) - cosines) * target))


@register
def sparse_am_softmax(y_true, y_pred, scale=30.0, margin=0.35):
    """``am_softmax`` from class indices (...) or (..., 1), without one-hot labels.

    A negative index (-100) is no label: value 0, gradient 0; one beyond the classes gives NaN.

    The margin is put in at the target's place, so nothing is lost when the target dominates (the
    article takes the target out of a finished sum, which float32 cannot do then).

    Example:

    >>> one_hot = am_softmax(ops.array([0, 1]), ops.array([0.2, 0.9]))
    >>> bool(abs(sparse_am_softmax(ops.array(1), ops.array([0.2, 0.9])) - one_hot) < 1e-6)
    True
    """
    _expect_cosines("sparse_am_softmax", y_pred)
    return _sparse(y_true, y_pred, scale, lambda cosines: cosines - margin)


@register
def sparse_simpler_a_softmax(y_true, y_pred, scale=30.0):
    """``simpler_a_softmax`` from class indices.

    Example:

    >>> one_hot = simpler_a_softmax(ops.array([0, 1]), ops.array([0.2, 0.9]))
    >>> bool(abs(sparse_simpler_a_softmax(ops.array(1), ops.array([0.2, 0.9])) - one_hot) < 1e-6)
    True
    """
    _expect_cosines("sparse_simpler_a_softmax", y_pred)
    return _sparse(y_true, y_pred, scale, _four_angles)


def _expect_cosines(name, scores):
    expect_logits(name, scores, "end the model in CosineDense", expected="cosines")


def _crossentropy(target, scores):
    # Not logsumexp less the score: at a scale of 1e4 float32 keeps 3 digits of that difference.
    return -ops.sum(ops.log_softmax(scores, axis=-1) * target, axis=-1)


def _four_angles(cosines):
    square = ops.square(cosines)
    return ops.minimum(cosines, 8 * square * (square - 1) + 1)


def _sparse(y_true, y_pred, scale, replace):
    cosines, labels = ops.cast(y_pred, "float32"), ops.convert_to_tensor(y_true)
    if len(labels.shape) == len(cosines.shape):
        labels = labels[..., 0]
    labels = known_labels(labels, y_pred)
    own = at_labels(cosines, labels)[..., None]
    at = ops.arange(cosines.shape[-1]) == labels[..., None]  # bool, no one-hot in float32
    logs = ops.log_softmax(scale * ops.where(at, replace(own), cosines), axis=-1)
    return -at_labels(logs, labels)


@register
class AMSoftmax(Loss):
    """``am_softmax``, or from class indices its sparse form, as a Keras loss.

    Inputs: labels (batch, ...), or one-hot (batch, ..., classes), and cosines (batch, ...,
    classes), as CosineDense gives them.

    Args:
        scale, margin: see ``am_softmax``.
        sparse: labels are class indices instead of one-hot rows.
        **kwargs: name, reduction.

    Example:

    >>> loss = AMSoftmax(scale=1.0, margin=0.0)
    >>> round(float(loss(ops.array([[1]]), ops.zeros((1, 2)))), 4)
    0.6931

    Source: arXiv 1801.05599; article 8656.
    """

    def __init__(self, scale=30.0, margin=0.35, sparse=True, **kwargs):
        super().__init__(**kwargs)
        self.scale = scale
        self.margin = margin
        self.sparse = sparse

    def call(self, y_true, y_pred):
        function = sparse_am_softmax if self.sparse else am_softmax
        return function(y_true, y_pred, self.scale, self.margin)

    def get_config(self):
        config = {"scale": self.scale, "margin": self.margin, "sparse": self.sparse}
        return {**super().get_config(), **config}


@register
class SimplerASoftmax(Loss):
    """``simpler_a_softmax``, or from class indices its sparse form, as a Keras loss.

    Inputs: as for AMSoftmax.

    Args:
        scale: see ``simpler_a_softmax``.
        sparse: labels are class indices instead of one-hot rows.
        **kwargs: name, reduction.

    Example:

    >>> bool(SimplerASoftmax()(ops.array([[1]]), ops.zeros((1, 2))) < 1)
    True

    Source: article 8656.
    """

    def __init__(self, scale=30.0, sparse=True, **kwargs):
        super().__init__(**kwargs)
        self.scale = scale
        self.sparse = sparse

    def call(self, y_true, y_pred):
        function = sparse_simpler_a_softmax if self.sparse else simpler_a_softmax
        return function(y_true, y_pred, self.scale)

    def get_config(self):
        return {**super().get_config(), "scale": self.scale, "sparse": self.sparse}
