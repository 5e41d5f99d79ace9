"""Losses of sequences: cross-entropy of target tokens, label smoothing, focal weights, SimBERT."""

from keras import ops

from bert4keras_ext.backend.exponentials import FORBIDDEN
from bert4keras_ext.backend.registration import register
from bert4keras_ext.layers import Loss as LossLayer
from bert4keras_ext.losses.contrastive import contrastive_crossentropy, simcse_similarities


@register
def token_crossentropy(y_true, y_pred, label_smoothing=0.0, gamma=0.0):
    """Cross-entropy of each token: ``-(1 - p_t)^gamma log p_t``, smoothed where asked for.

    Args:
        y_true: (...) int token ids.
        y_pred: (..., classes) logits; classes at -inf are masked and get no gradient.
        label_smoothing: share of the label that goes to all (unmasked) classes alike.
        gamma: 0 is plain cross-entropy; above 0, tokens that are right already count less (focal
            loss, arXiv 1708.02002; 2 is usual).

    Returns:
        Float32 (...).

    Example:

    >>> round(float(token_crossentropy(ops.array([1]), ops.zeros((1, 4)))[0]), 4)
    1.3863
    """
    scores = ops.maximum(ops.cast(y_pred, "float32"), FORBIDDEN)
    logs = ops.log_softmax(scores, axis=-1)
    target = ops.take_along_axis(logs, ops.cast(y_true, "int32")[..., None], axis=-1)[..., 0]
    loss = -target
    if label_smoothing:
        known = ops.cast(scores > FORBIDDEN, "float32")
        mean = ops.sum(logs * known, axis=-1) / ops.maximum(ops.sum(known, axis=-1), 1.0)
        loss = (1 - label_smoothing) * loss - label_smoothing * mean
    if gamma:
        loss = loss * ops.power(ops.maximum(-ops.expm1(target), 1e-12), gamma)
    return loss


@register
def seq2seq_crossentropy(y_true, y_pred, mask=None, label_smoothing=0.0, gamma=0.0):
    """The mean of ``token_crossentropy`` over the tokens that the mask counts.

    Args:
        y_true, y_pred, label_smoothing, gamma: as there, for (batch, length).
        mask: (batch, length) 0/1 or bool: which tokens are to be learned; None is all.

    Returns:
        A float32 scalar; 0 where nothing is counted.

    Example:

    >>> loss = seq2seq_crossentropy(ops.array([[1, 0]]), ops.zeros((1, 2, 4)), ops.array([[1, 0]]))
    >>> round(float(loss), 4)
    1.3863
    """
    loss = token_crossentropy(y_true, y_pred, label_smoothing, gamma)
    if mask is None:
        return ops.mean(loss)
    weights = ops.cast(mask, "float32")
    loss = ops.where(weights > 0, loss, 0.0)  # an infinite loss of padding must not count either
    return ops.sum(loss * weights) / ops.maximum(ops.sum(weights), 1.0)


@register
class Seq2SeqLoss(LossLayer):
    """Adds the loss of predicting the next token of the target, and passes the logits on.

    Inputs: [token ids (batch, length), target mask (batch, length), logits (batch, length,
    classes)]: the logits at place i predict token i + 1 where the mask of i + 1 is set. For UniLM
    the mask is the segment ids; where the logits carry a Keras mask, masked tokens do not count.

    Args:
        output_axis: which input is passed on; 2, the logits, by default.
        label_smoothing, gamma: see ``token_crossentropy``.
        **kwargs: those of the Loss layer.

    Example:

    >>> tokens = ops.array([[1, 2, 3]])
    >>> outputs = Seq2SeqLoss()([tokens, ops.ones((1, 3)), ops.zeros((1, 3, 5))])
    >>> tuple(outputs.shape)
    (1, 3, 5)

    Source: UniLM, arXiv 1905.03197; article 6933.
    """

    def __init__(self, output_axis=2, label_smoothing=0.0, gamma=0.0, **kwargs):
        super().__init__(output_axis=output_axis, **kwargs)
        self.label_smoothing = label_smoothing
        self.gamma = gamma

    def compute_loss(self, inputs, mask=None):
        tokens, targets, logits = inputs
        targets = ops.cast(targets, "float32")
        if mask is not None and mask[2] is not None:
            targets = targets * ops.cast(mask[2], "float32")
        return seq2seq_crossentropy(
            tokens[:, 1:], logits[:, :-1], targets[:, 1:], self.label_smoothing, self.gamma
        )

    def get_config(self):
        config = {"label_smoothing": self.label_smoothing, "gamma": self.gamma}
        return {**super().get_config(), **config}


@register
class SimBERTLoss(Seq2SeqLoss):
    """SimBERT's two losses in one: generate the similar sentence, and find it in the batch.

    Each batch holds ``[CLS] a [SEP] b [SEP]`` and ``[CLS] b [SEP] a [SEP]`` in neighbouring rows.
    UniLM's mask keeps b from the [CLS] vector of a, so the vectors of neighbours are those of two
    similar sentences: ``Seq2SeqLoss`` plus ``contrastive_weight`` times the contrastive loss of
    each row among all others. On several replicas each compares its own rows only.

    Inputs: [token ids, segment ids, logits, sentence vectors (batch, dim)].

    Args:
        scale: of the cosines; 30 in SimBERT, 20 in RoFormer-Sim.
        contrastive_weight: of the second loss.
        method: "infonce" or "flatnce".
        **kwargs: those of Seq2SeqLoss.

    Example:

    >>> tokens = ops.array([[1, 2, 3], [1, 3, 2]])
    >>> inputs = [tokens, ops.ones((2, 3)), ops.zeros((2, 3, 5)), ops.eye(2)]
    >>> tuple(SimBERTLoss()(inputs).shape)
    (2, 3, 5)

    Source: SimBERT, article 7427; RoFormer-Sim, article 8454.
    """

    def __init__(self, scale=30.0, contrastive_weight=1.0, method="infonce", **kwargs):
        super().__init__(**kwargs)
        self.scale = scale
        self.contrastive_weight = contrastive_weight
        self.method = method

    def compute_loss(self, inputs, mask=None):
        *sequence, vectors = inputs
        generation = super().compute_loss(sequence, None if mask is None else mask[:3])
        table = simcse_similarities(vectors, self.scale)
        similarity = ops.mean(contrastive_crossentropy(*table, self.method))
        return generation + self.contrastive_weight * similarity

    def get_config(self):
        return {
            **super().get_config(),
            "scale": self.scale,
            "contrastive_weight": self.contrastive_weight,
            "method": self.method,
        }
