"""ZLPR: softmax cross-entropy carried over to several labels, dense, soft and sparse."""

from keras import ops

from bert4keras_ext.backend.exponentials import FORBIDDEN, log1p_sum_exp
from bert4keras_ext.backend.labels import known_labels
from bert4keras_ext.backend.logits import expect_logits
from bert4keras_ext.backend.registration import register


@register
def multilabel_categorical_crossentropy(y_true, y_pred):
    """``log(1 + sum_neg e^s) + log(1 + sum_pos e^-s)``, along the last axis.

    It pushes every positive class above 0 and every negative one below: predict those with
    ``s > 0``. With soft labels t the sums are ``sum (1 - t) e^s`` and ``sum t e^-s``, least at
    ``t = sigmoid(2 s)``: see ``multilabel_probabilities``.

    Args:
        y_true: labels 0 ... 1, (..., classes), of any dtype.
        y_pred: logits s, (..., classes), of any floating dtype. Classes at -inf are masked: they
            count in neither sum.

    Returns:
        Float32 (...). Gradients are finite everywhere, and zero at masked classes.

    Raises:
        ValueError: for the output of a sigmoid or softmax in place of logits.

    Example:

    >>> round(float(multilabel_categorical_crossentropy(ops.array([1, 0]), ops.zeros(2))), 4)
    1.3863

    Source: arXiv 2208.02955; articles 7359, 9064; soft labels: 8888.
    """
    expect_logits("multilabel_categorical_crossentropy", y_pred)
    scores = ops.cast(y_pred, "float32")
    labels = ops.cast(y_true, "float32")
    known = scores > FORBIDDEN
    scores = ops.where(known, scores, 0.0)  # nothing infinite may enter a gradient
    negative = _weighted(scores, 1.0 - labels, known)
    positive = _weighted(-scores, labels, known)
    return log1p_sum_exp(negative) + log1p_sum_exp(positive)


def _weighted(scores, weights, known):
    """``s + log w``, forbidden where the weight is 0 or the class masked."""
    counts = ops.logical_and(known, weights > 0)
    logarithm = ops.log(ops.where(weights > 0, weights, 1.0))
    return ops.where(counts, scores + logarithm, FORBIDDEN)


@register
def sparse_multilabel_categorical_crossentropy(y_true, y_pred, mask_zero=False):
    """The same loss from the indices of the positive classes alone.

    Dense labels of relation extraction have millions of entries, nearly all 0: here they are
    never made. (bert4keras got the negative classes as a difference of two sums, which is wrong
    as soon as a positive class outweighs them by 16; here they are summed themselves.)

    Args:
        y_true: indices (..., k) of the positive classes, each once; a negative one (-100) is none.
        y_pred: logits (..., classes); -inf masks a class.
        mask_zero: index 0 stands for no class at all, to fill rows up with; class 0 then counts
            in neither sum.

    Returns:
        Float32 (...); NaN where an index is beyond the classes.

    Raises:
        ValueError: as there.

    Example:

    >>> scores = ops.array([0.0, 2.0, -1.0, 3.0])
    >>> dense = multilabel_categorical_crossentropy(ops.array([0, 1, 0, 1]), scores)
    >>> sparse = sparse_multilabel_categorical_crossentropy(ops.array([1, 3]), scores)
    >>> bool(abs(dense - sparse) < 1e-6)
    True

    Source: articles 7359, 8888.
    """
    expect_logits("sparse_multilabel_categorical_crossentropy", y_pred)
    scores = ops.cast(y_pred, "float32")
    scores = ops.where(scores > FORBIDDEN, scores, FORBIDDEN)
    indices = known_labels(y_true, y_pred)
    classes = ops.shape(scores)[-1]
    is_beyond = ops.any(indices >= classes, axis=-1)
    # A negative index points to a class that is positive anyway; to class 0 where none is.
    largest = ops.max(indices, axis=-1, keepdims=True, initial=-1)
    places = ops.clip(ops.where(indices < 0, largest, indices), 0, classes - 1)
    positive = ops.take_along_axis(scores, places, axis=-1)
    counts = ops.logical_and(positive > FORBIDDEN, indices > (0 if mask_zero else -1))
    positive = ops.where(counts, -ops.where(counts, positive, 0.0), FORBIDDEN)
    is_positive = _among(places, largest >= 0, scores)
    if mask_zero:
        is_positive = ops.logical_or(is_positive, ops.arange(classes) == 0)
    negative = ops.where(is_positive, FORBIDDEN, scores)
    loss = log1p_sum_exp(positive) + log1p_sum_exp(negative)
    return ops.where(is_beyond, float("nan"), loss)


def _among(places, counts, scores):
    """True where a class is one of the given places, in rows that count; of the scores' shape."""
    classes, number = ops.shape(scores)[-1], ops.shape(places)[-1]
    rows = ops.arange(ops.size(scores) // classes) * classes
    flat = ops.reshape(ops.reshape(places, (-1, number)) + rows[:, None], (-1, 1))
    values = ops.reshape(ops.broadcast_to(counts, ops.shape(places)), (-1,))
    nowhere = ops.zeros((ops.size(scores),), "bool")
    return ops.reshape(ops.scatter_update(nowhere, flat, values), ops.shape(scores))


@register
def multilabel_probabilities(y_pred):
    """``sigmoid(2 s)``: the probabilities that logits trained with this loss on soft labels stand
    for (not ``sigmoid(s)``).

    Example:

    >>> float(multilabel_probabilities(ops.array(0.0)))
    0.5
    """
    return ops.sigmoid(2.0 * ops.cast(y_pred, "float32"))


@register
def global_pointer_crossentropy(y_true, y_pred):
    """ZLPR over all spans of each type: (batch, heads, n, n) twice -> (batch,).

    The mean over the heads (types) of ``multilabel_categorical_crossentropy`` over n * n spans.

    Raises:
        ValueError: for labels of another shape, such as (start, end) pairs.

    Example:

    >>> x = ops.zeros((2, 3, 4, 4))
    >>> tuple(global_pointer_crossentropy(x, x).shape)
    (2,)

    Source: article 8373.
    """
    y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
    sizes = zip(y_true.shape, y_pred.shape)
    if any(None not in pair and pair[0] != pair[1] for pair in sizes):
        raise ValueError(
            f"expected labels of the shape of the scores, {tuple(y_pred.shape)}, found "
            f"{tuple(y_true.shape)}; (start, end) pairs belong to the sparse form"
        )
    return ops.mean(
        multilabel_categorical_crossentropy(_spans_last(y_true), _spans_last(y_pred)), axis=-1
    )


@register
def sparse_global_pointer_crossentropy(y_true, y_pred):
    """The same from (start, end) pairs alone, without a dense label tensor.

    Args:
        y_true: (batch, heads, k, 2), start and (inclusive) end of each span; rows are filled up
            with pairs (0, 0), which is [CLS] and no span, or with negative ones.
        y_pred: (batch, heads, n, n).

    Returns:
        Float32 (batch,); NaN where a span ends beyond the scores.

    Raises:
        ValueError: for labels that are no pairs, such as dense ones.

    Example:

    >>> spans = ops.array([[[[1, 2], [0, 0]]]])
    >>> tuple(sparse_global_pointer_crossentropy(spans, ops.zeros((1, 1, 4, 4))).shape)
    (1,)

    Source: article 8888.
    """
    pairs = ops.cast(y_true, "int32")
    if len(pairs.shape) != 4 or pairs.shape[-1] not in (2, None):
        raise ValueError(
            f"expected (start, end) pairs (batch, heads, k, 2), found {tuple(pairs.shape)}; dense "
            "labels (batch, heads, n, n) belong to the form that is not sparse"
        )
    length = ops.shape(y_pred)[-1]
    places = pairs[..., 0] * length + pairs[..., 1]
    places = ops.where(ops.any(pairs < 0, axis=-1), -1, places)
    # (0, length + 1) would count as (1, 1).
    places = ops.where(ops.any(pairs >= length, axis=-1), length * length, places)
    scores = _spans_last(y_pred)
    return ops.mean(
        sparse_multilabel_categorical_crossentropy(places, scores, mask_zero=True), axis=-1
    )


def _spans_last(x):
    shape = ops.shape(x)
    return ops.reshape(x, (*shape[:-2], shape[-2] * shape[-1]))
