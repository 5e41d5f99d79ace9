"""Losses of sequences: cross-entropy of target tokens, label smoothing, focal weights, SimBERT."""

from keras import ops

from bert4keras_ext.backend.exponentials import FORBIDDEN
from bert4keras_ext.backend.labels import at_labels, known_labels
from bert4keras_ext.backend.logits import LOGITS_OF_A_MODEL, expect_logits
from bert4keras_ext.backend.registration import register
from bert4keras_ext.layers import Loss as LossLayer
from bert4keras_ext.losses.contrastive import contrastive_crossentropy, simcse_similarities


@register
def token_crossentropy(y_true, y_pred, label_smoothing=0.0, gamma=0.0):
    """Cross-entropy of each token: ``-(1 - p_t)^gamma log p_t``, smoothed where asked for.

    Args:
        y_true: (...) int token ids; a negative one (-100) is no label: value 0, gradient 0. What
            stands under a Keras mask of ``y_pred`` may be anything.
        y_pred: (..., classes) logits; classes at -inf are masked and get no gradient.
        label_smoothing: share of the label that goes to all (unmasked) classes alike.
        gamma: 0 is plain cross-entropy; above 0, tokens that are right already count less (focal
            loss, arXiv 1708.02002; 2 is usual).

    Returns:
        Float32 (...); NaN for a label beyond the classes.

    Raises:
        ValueError: for probabilities, as a softmax gives them, in place of logits.

    Example:

    >>> round(float(token_crossentropy(ops.array([1]), ops.zeros((1, 4)))[0]), 4)
    1.3863
    """
    expect_logits("token_crossentropy", y_pred, LOGITS_OF_A_MODEL)
    return _token_crossentropy(y_true, y_pred, label_smoothing, gamma)


def _token_crossentropy(y_true, y_pred, label_smoothing, gamma):
    scores = ops.maximum(ops.cast(y_pred, "float32"), FORBIDDEN)
    logs = ops.log_softmax(scores, axis=-1)
    labels = known_labels(y_true, y_pred)
    target = at_labels(logs, labels)
    loss = -target
    if label_smoothing:
        known = ops.cast(scores > FORBIDDEN, "float32")
        mean = ops.sum(logs * known, axis=-1) / ops.maximum(ops.sum(known, axis=-1), 1.0)
        loss = (1 - label_smoothing) * loss - label_smoothing * mean
    if gamma:
        loss = loss * ops.power(ops.maximum(-ops.expm1(target), 1e-12), gamma)
    return ops.where(labels < 0, 0.0, loss)


@register
def seq2seq_crossentropy(y_true, y_pred, mask=None, label_smoothing=0.0, gamma=0.0):
    """The mean of ``token_crossentropy`` over tokens that have a label and that the mask counts.

    Args:
        y_true, y_pred, label_smoothing, gamma: as there, for (batch, length).
        mask: (batch, length) 0/1 or bool: which tokens are to be learned; None is all. Other
            numbers >= 0 are weights of the tokens.

    Returns:
        A float32 scalar; 0 where nothing is counted.

    Raises:
        ValueError: as there.

    Example:

    >>> loss = seq2seq_crossentropy(ops.array([[1, 0]]), ops.zeros((1, 2, 4)), ops.array([[1, 0]]))
    >>> round(float(loss), 4)
    1.3863
    """
    expect_logits("seq2seq_crossentropy", y_pred, LOGITS_OF_A_MODEL)
    labels = known_labels(y_true, y_pred)
    weights = ops.cast(labels >= 0, "float32")
    if mask is not None:
        weights = weights * ops.cast(mask, "float32")
        labels = ops.where(weights > 0, labels, -1)  # anything may stand in padding
    loss = _token_crossentropy(labels, y_pred, label_smoothing, gamma)
    loss = ops.where(weights > 0, loss, 0.0)  # an infinite loss of padding must not count either
    total = ops.sum(weights)
    return ops.sum(loss * weights) / ops.where(total > 0, total, 1.0)


@register
class Seq2SeqLoss(LossLayer):
    """Adds the loss of predicting the next token of the target, and passes the logits on.

    Inputs: [token ids (batch, length), target mask (batch, length), logits (batch, length,
    classes)]: the logits at place i predict token i + 1 where the mask of i + 1 is set. For UniLM
    the mask is the segment ids; where the logits carry a Keras mask, masked tokens do not count.

    Weights: Keras gives ``sample_weight`` and ``class_weight`` to compiled losses alone, not to
    layers. Multiply the target mask by them: it may hold weights of tokens.

    Args:
        output_axis: which input is passed on; 2, the logits, by default.
        label_smoothing, gamma: see ``token_crossentropy``.
        **kwargs: those of the Loss layer.

    Raises:
        ValueError: for probabilities, as a softmax gives them, in place of logits: models of
            ``build_transformer_model`` give logits by ``with_mlm="linear"`` (UniLM) and
            ``with_lm="linear"`` (GPT, T5).

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

    def compute_output_spec(self, inputs, *args, **kwargs):
        if type(self).compute_loss.__module__ == __name__:  # a subclass's own may want others
            expect_logits(self.name, inputs[2], LOGITS_OF_A_MODEL)
        return super().compute_output_spec(inputs, *args, **kwargs)

    def compute_loss(self, inputs, mask=None):
        tokens, targets, logits = inputs
        expect_logits(self.name, logits, LOGITS_OF_A_MODEL)
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
    each row among all others. On several replicas each compares its own rows only. Weights in the
    target mask concern the first of the two; the second is the mean of all rows.

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
        values = contrastive_crossentropy(*table, self.method)
        # Not the mean: of no rows at all, which a replica may be left with, it is NaN.
        similarity = ops.sum(values) / ops.maximum(ops.cast(ops.size(values), "float32"), 1.0)
        return generation + self.contrastive_weight * similarity

    def get_config(self):
        return {
            **super().get_config(),
            "scale": self.scale,
            "contrastive_weight": self.contrastive_weight,
            "method": self.method,
        }
