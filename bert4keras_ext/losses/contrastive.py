"""Contrastive losses: InfoNCE and FlatNCE over the other rows of a batch."""

from keras import ops

from bert4keras_ext.backend.exponentials import FORBIDDEN, log1p_sum_exp, log_sum_exp
from bert4keras_ext.backend.labels import known_labels
from bert4keras_ext.backend.logits import expect_logits
from bert4keras_ext.backend.registration import register
from bert4keras_ext.backend.tensors import whole_pairs
from bert4keras_ext.losses.weights import RowLoss

METHODS = ("infonce", "flatnce")
FORMS = ("simcse", "pairs")


@register
def contrastive_crossentropy(y_true, y_pred, method="infonce"):
    """InfoNCE or FlatNCE from a table of scaled similarities.

    With ``xi = sum_{i != t} exp(s_i - s_t)`` for the positive column t:

    =========  ============================  ===========================================
    infonce    ``log(1 + xi)``               softmax cross-entropy
    flatnce    ``xi / stop_gradient(xi)``    always 1; its gradient is that of ``log xi``
    =========  ============================  ===========================================

    ``grad infonce = xi / (1 + xi) * grad flatnce``: the same direction, but FlatNCE's does not
    vanish when the positive is far ahead, which float32 cannot tell from 1 below xi = 6e-8. So
    small batches learn on. Watch ``log_gap`` instead of a loss that is always 1.

    Args:
        y_true: (rows,) int, the positive column of each row; a negative one (-100) is none: value
            0, gradient 0.
        y_pred: (rows, columns) similarities, already scaled; -inf leaves a column out.
        method: a row of the table.

    Returns:
        Float32 (rows,).

    Raises:
        ValueError: for an unknown method, or probabilities in place of similarities.

    Example:

    >>> scores = ops.zeros((2, 2))
    >>> [round(v, 4) for v in contrastive_crossentropy(ops.array([0, 1]), scores).numpy().tolist()]
    [0.6931, 0.6931]

    Source: InfoNCE: arXiv 1807.03748; FlatNCE: arXiv 2107.01152, article 8586.
    """
    if method not in METHODS:
        raise ValueError(f"method expects one of {METHODS}, received {method!r}")
    expect_logits("contrastive_crossentropy", y_pred, expected="similarities")
    gaps = _gaps(y_true, y_pred)
    if method == "infonce":
        return log1p_sum_exp(gaps)
    log_xi = log_sum_exp(gaps)
    value = ops.exp(log_xi - ops.stop_gradient(log_xi))
    return ops.where(ops.cast(y_true, "int32") < 0, 0.0, value)


@register
def log_gap(y_true, y_pred):
    """``log xi``: how far the other columns are ahead of the positive one (negative is good).

    Inputs and output as for ``contrastive_crossentropy``.

    Example:

    >>> log_gap(ops.array([0]), ops.array([[5.0, 2.0]])).numpy().tolist()
    [-3.0]

    Source: article 8586.
    """
    return log_sum_exp(_gaps(y_true, y_pred))


def _gaps(y_true, y_pred):
    """``s_i - s_t`` for i != t; forbidden at t and at masked columns."""
    scores = ops.maximum(ops.cast(y_pred, "float32"), FORBIDDEN)
    target = known_labels(y_true, y_pred)[:, None]
    columns = ops.arange(ops.shape(scores)[1])[None]
    # A sum, since a look-up fails where a replica is left without rows.
    positive = ops.sum(ops.where(columns == target, scores, 0.0), axis=1, keepdims=True)
    positive = ops.where(target < ops.shape(scores)[1], positive, float("nan"))
    counts = ops.logical_and(target >= 0, ops.logical_and(columns != target, scores > FORBIDDEN))
    return ops.where(counts, scores - positive, FORBIDDEN)


def l2_normalize(x):
    """Rows of length 1; a row of zeros stays zeros, with gradient 0. Float32."""
    x = ops.cast(x, "float32")
    square = ops.sum(ops.square(x), axis=-1, keepdims=True)
    # A slope of 1e6 at zero would be infinite in float16.
    return x * ops.where(square > 0, ops.rsqrt(ops.maximum(square, 1e-12)), 0.0)


@register
def simcse_similarities(vectors, scale=20.0, normalize=True):
    """All rows against all others: (2N, dim), partners in neighbouring rows -> (2N, 2N).

    Under a distribution strategy "all" are the rows of the replica's own share of the batch. The
    diagonal is -inf; the positive column of row i is i + 1 for even i and i - 1 for odd i. A single
    row, as the end of the data may leave it to a replica, has none: -1, which counts nothing.

    Returns:
        (y_true, y_pred) for ``contrastive_crossentropy``.

    Raises:
        ValueError: for an odd number of rows above 1 (InvalidArgumentError where it is known only
            at run time; NaN under XLA, which knows no errors).

    Example:

    >>> simcse_similarities(ops.ones((4, 2)))[0].numpy().tolist()
    [1, 0, 3, 2]

    Source: arXiv 2104.08821; article 8348.
    """
    vectors = whole_pairs(vectors)
    x = l2_normalize(vectors) if normalize else ops.cast(vectors, "float32")
    scores = ops.matmul(x, ops.transpose(x)) * scale
    places = ops.arange(ops.shape(x)[0])
    scores = ops.where(places[:, None] == places[None], FORBIDDEN, scores)
    return ops.where(ops.shape(x)[0] == 1, -1, places + 1 - 2 * (places % 2)), scores


@register
def pair_similarities(queries, keys, negatives=None, scale=20.0, normalize=True):
    """Each query against all keys, and against all hard negatives: (N, dim) each.

    Under a distribution strategy N counts the rows of the replica's own share of the batch.

    Args:
        queries, keys: (N, dim); row i of one belongs to row i of the other.
        negatives: (M, dim) of any number, or None.
        scale: the inverse of the temperature.
        normalize: make rows unit vectors (cosine similarity).

    Returns:
        (y_true, y_pred) for ``contrastive_crossentropy``, y_pred (N, N + M).

    Example:

    >>> targets, table = pair_similarities(ops.eye(2), ops.eye(2), negatives=ops.ones((3, 2)))
    >>> targets.numpy().tolist(), tuple(table.shape)
    ([0, 1], (2, 5))

    Source: arXiv 1807.03748.
    """
    keys = keys if negatives is None else ops.concatenate([keys, negatives], axis=0)
    if normalize:
        queries, keys = l2_normalize(queries), l2_normalize(keys)
    queries, keys = ops.cast(queries, "float32"), ops.cast(keys, "float32")
    return ops.arange(ops.shape(queries)[0]), ops.matmul(queries, ops.transpose(keys)) * scale


@register
class ContrastiveLoss(RowLoss):
    """A contrastive loss over the sentence vectors of a batch; labels are not used.

    ==========  ===========================  ================================================
    form        vectors (``y_pred``)         what is compared
    ==========  ===========================  ================================================
    "simcse"    (2N, dim), partners in       every row with the 2N - 1 others
                neighbouring rows
    "pairs"     (N, 2 + h, dim): query,      every query with the N keys and all N h hard
                key and h hard negatives     negatives; with ``symmetric`` keys ask as well
    ==========  ===========================  ================================================

    Under a distribution strategy every replica compares the rows of its own share of the batch
    only: the loss of the whole batch needs one replica, or exact accumulation.

    Weights: one a row, (2N,) or (N,), or with an axis of 1 behind: how much the row counts that
    asks (for "simcse" each row of a pair by its own weight). A row of weight 0 is still something
    that others are compared with. The same holds for a mask of the rows.

    Args:
        scale: similarities are multiplied by it (20 in SimCSE, 30 in SimBERT).
        temperature: the same the other way round, ``scale = 1 / temperature``; give one of them.
        method: "infonce" or "flatnce".
        form: a row of the table.
        normalize: cosine similarity instead of the inner product.
        symmetric: for "pairs": the mean of both directions.
        **kwargs: name, reduction.

    Raises:
        ValueError: for an unknown method or form, a scale or temperature that is not positive, an
            odd number of rows ("simcse"; a single one counts nothing), vectors of another rank, or
            weights that are not one a row.

    Example:

    >>> loss = ContrastiveLoss(temperature=0.05)
    >>> bool(loss(ops.zeros((4, 1)), ops.eye(4)) > 1)
    True

    Source: arXiv 2104.08821; article 8348; FlatNCE: arXiv 2107.01152.
    """

    def __init__(
        self,
        scale=None,
        temperature=None,
        method="infonce",
        form="simcse",
        normalize=True,
        symmetric=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if method not in METHODS or form not in FORMS:
            raise ValueError(
                f"expected a method of {METHODS} and a form of {FORMS}, received {method!r}, "
                f"{form!r}"
            )
        if scale is not None and temperature is not None:
            raise ValueError("give scale or temperature (scale = 1 / temperature), not both")
        if temperature is not None:
            if not temperature > 0:
                raise ValueError(f"temperature expects a positive number, received {temperature!r}")
            scale = 1.0 / temperature
        scale = 20.0 if scale is None else scale
        if not scale > 0:
            raise ValueError(f"scale expects a positive number, received {scale!r}")
        self.scale = scale
        self.method = method
        self.form = form
        self.normalize = normalize
        self.symmetric = symmetric

    def call(self, y_true, y_pred):
        rank = 2 if self.form == "simcse" else 3
        if len(y_pred.shape) != rank:
            raise ValueError(
                f'form "{self.form}" expects vectors of {rank} dimensions (see the table of '
                f"ContrastiveLoss), received the shape {tuple(y_pred.shape)}"
            )
        if self.form == "simcse":
            table = simcse_similarities(y_pred, self.scale, self.normalize)
            return contrastive_crossentropy(*table, self.method)
        queries, keys = y_pred[:, 0], y_pred[:, 1]
        negatives = None
        if y_pred.shape[1] != 2:  # unknown in an open graph: there may be some, or none
            negatives = ops.reshape(y_pred[:, 2:], (-1, y_pred.shape[-1]))
        loss = self._one_way(queries, keys, negatives)
        if not self.symmetric:
            return loss
        return (loss + self._one_way(keys, queries, None)) / 2

    def _one_way(self, queries, keys, negatives):
        table = pair_similarities(queries, keys, negatives, self.scale, self.normalize)
        return contrastive_crossentropy(*table, self.method)

    def get_config(self):
        return {
            **super().get_config(),
            "scale": self.scale,
            "method": self.method,
            "form": self.form,
            "normalize": self.normalize,
            "symmetric": self.symmetric,
        }
