"""R-Drop: two passes through dropout should agree."""

from keras import ops

from bert4keras_ext.backend.exponentials import FORBIDDEN
from bert4keras_ext.backend.labels import at_labels, known_labels
from bert4keras_ext.backend.logits import expect_logits
from bert4keras_ext.backend.registration import register
from bert4keras_ext.backend.tensors import neighbours
from bert4keras_ext.losses.weights import PairLoss

# Weights of (CE1 + CE2, KL12 + KL21) beside alpha, a pair of rows.
WEIGHTINGS = {"article": (0.5, 0.25), "paper": (1.0, 0.5), "official": (0.5, 0.5)}


@register
def symmetric_kl(first, second):
    """``KL(p || q) + KL(q || p)`` of two rows of logits: (..., classes) twice -> float32 (...).

    It equals ``sum (p - q) (log p - log q)``, which neither overflows nor gives NaN. Classes at
    -inf in both take no part.

    Raises:
        ValueError: for probabilities in place of logits.

    Example:

    >>> float(symmetric_kl(ops.array([0.0, 1.0]), ops.array([0.0, 1.0])))
    0.0
    """
    for x in (first, second):
        expect_logits("symmetric_kl", x)
    return _symmetric_kl(first, second)


def _symmetric_kl(first, second):
    p, q = (_log_softmax(x) for x in (first, second))
    return ops.sum((ops.exp(p) - ops.exp(q)) * (p - q), axis=-1)


def _log_softmax(x):
    return ops.log_softmax(ops.maximum(ops.cast(x, "float32"), FORBIDDEN), axis=-1)


@register
def r_drop(y_true, y_pred, alpha=4.0, weighting="article"):
    """Cross-entropy of both passes plus ``alpha`` times how much they disagree.

    ==========  ========================================  =========================
    weighting   loss of a pair                            where it stands
    ==========  ========================================  =========================
    "article"   ``(CE1 + CE2) / 2 + alpha (KL12 + KL21) / 4``  article 8496's code
    "paper"     ``CE1 + CE2 + alpha (KL12 + KL21) / 2``   the paper's formula: twice
                                                          the article's
    "official"  ``(CE1 + CE2) / 2 + alpha (KL12 + KL21) / 2``  the paper's code: twice the
                                                          weight of KL
    ==========  ========================================  =========================

    Args:
        y_true: (2N,) or (2N, 1) class indices, or (2N, classes) probabilities. A negative index
            (-100) is no label: the row has no cross-entropy, the disagreement counts all the same.
        y_pred: (2N, classes) logits; rows 2i and 2i + 1 are the same sample twice.
        alpha, weighting: see the table.

    Returns:
        Float32 (N,), one value a pair. (With sample weights compile RDropLoss, not this function:
        Keras multiplies what a function returns by the weights of the 2N rows.)

    Raises:
        ValueError: for an unknown weighting, an odd number of rows, or probabilities in place of
            logits.

    Example:

    >>> loss = r_drop(ops.array([0, 0]), ops.zeros((2, 2)))
    >>> [round(v, 4) for v in loss.numpy().tolist()]
    [0.6931]

    Source: arXiv 2106.14448; article 8496.
    """
    if weighting not in WEIGHTINGS:
        raise ValueError(f"weighting expects one of {sorted(WEIGHTINGS)}, received {weighting!r}")
    of_labels, of_divergence = WEIGHTINGS[weighting]
    y_pred = ops.convert_to_tensor(y_pred)
    expect_logits("r_drop", y_pred)
    divergence = _symmetric_kl(*neighbours(y_pred))
    first, second = neighbours(_crossentropy(y_true, _log_softmax(y_pred)))
    return of_labels * (first + second) + of_divergence * alpha * divergence


def _crossentropy(y_true, logs):
    y_true = ops.convert_to_tensor(y_true)
    if len(y_true.shape) == len(logs.shape) and y_true.shape[-1] == logs.shape[-1] > 1:
        # A class of probability 0 counts nothing, however unlikely it is found.
        return -ops.sum(ops.cast(y_true, "float32") * logs, axis=-1)
    return -at_labels(logs, known_labels(ops.reshape(y_true, (-1,)), logs))


@register
class RDropLoss(PairLoss):
    """``r_drop`` as a Keras loss: repeat every row of a batch, and compile with this.

    Both rows of a pair must stay neighbours: batches of an even size, not shuffled by rows. Under
    a distribution strategy every replica's share must hold whole pairs; the loss is then the same.

    Inputs: labels (2N,), (2N, 1) or (2N, classes) and logits (2N, classes); classes at -inf take no
    part.

    Weights: one a row, ``(2N,)`` or ``(2N, 1)``, as ``fit(sample_weight=...)`` and ``class_weight``
    give them; the value of a pair is multiplied by the mean of both rows' weights. A mask of the
    rows leaves out pairs of which either row is masked.

    Args:
        alpha, weighting: see ``r_drop``.
        **kwargs: name, reduction.

    Raises:
        ValueError: for an unknown weighting, or weights that are not one a row; see ``r_drop``.

    Example:

    >>> loss = RDropLoss(alpha=4.0)
    >>> round(float(loss(ops.array([[0], [0]]), ops.zeros((2, 2)))), 4)
    0.6931

    Source: arXiv 2106.14448; article 8496.
    """

    def __init__(self, alpha=4.0, weighting="article", **kwargs):
        super().__init__(**kwargs)
        if weighting not in WEIGHTINGS:
            raise ValueError(
                f"weighting expects one of {sorted(WEIGHTINGS)}, received {weighting!r}"
            )
        self.alpha = alpha
        self.weighting = weighting

    def call(self, y_true, y_pred):
        return r_drop(y_true, y_pred, self.alpha, self.weighting)

    def get_config(self):
        return {**super().get_config(), "alpha": self.alpha, "weighting": self.weighting}
