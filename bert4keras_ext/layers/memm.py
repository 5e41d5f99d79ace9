"""Maximum entropy Markov model: each label from its neighbour, in both directions."""

from keras import ops

from bert4keras_ext.backend.registration import register
from bert4keras_ext.layers.chains import label_ids, masked_mean, pack, unmasked
from bert4keras_ext.layers.crf import ChainLayer


@register
class MaximumEntropyMarkovModel(ChainLayer):
    """``P(y_t | y_{t-1}, x) = softmax((s_t + T(y_{t-1}, .)) / 2)``, and the same backwards.

    Like a CRF it passes the scores s on, with -inf in masked places, and its methods are the loss;
    it is faster, since no sum over paths is needed. The loss is the mean of both directions:
    forwards each label depends on the one before, backwards on the one after, by the same table
    T. The first (last) label depends on x alone.

    Methods, with y_pred the layer's output and y_true as for ConditionalRandomField:
    ``sparse_loss`` and ``dense_loss`` (a scalar, the mean over unmasked places),
    ``sparse_accuracy`` and ``dense_accuracy`` (share of right labels, given right neighbours; on
    JAX not as metrics of compile(), where Keras hands weights to losses only), ``transitions`` (the
    table T).

    Args:
        lr_multiplier: how many times faster T learns.
        hidden_dim: None, or the rank of T as a product of two narrow tables (many labels).

    Inputs and output: (batch, length, labels), with a mask or none; the output has none.

    Raises:
        ValueError: for a lr_multiplier or a hidden_dim that is not positive.

    Example:

    >>> memm = MaximumEntropyMarkovModel()
    >>> logits = memm(ops.zeros((1, 3, 2)))
    >>> tuple(memm.sparse_loss(ops.array([[0, 1, 1]]), logits).shape)
    ()

    Source: article 7213.
    """

    def __init__(self, lr_multiplier=1, hidden_dim=None, **kwargs):
        super().__init__(lr_multiplier, **kwargs)
        if hidden_dim is not None and hidden_dim < 1:
            raise ValueError(f"hidden_dim expects None, or 1 or more; received {hidden_dim}")
        self.hidden_dim = hidden_dim

    def build(self, input_shape):
        labels = input_shape[-1]
        if self.hidden_dim is None:
            self._trans = self._table("trans", (labels, labels))
        else:
            self._l_trans = self._table("l_trans", (labels, self.hidden_dim))
            self._r_trans = self._table("r_trans", (labels, self.hidden_dim))

    def transitions(self):
        """T: (from, to)."""
        if self.hidden_dim is None:
            return self.multiplied(self._trans)
        left, right = self.multiplied(self._l_trans), self.multiplied(self._r_trans)
        return ops.matmul(left, ops.transpose(right))

    def sparse_loss(self, y_true, y_pred):
        losses = [
            masked_mean(_crossentropy(labels, logits), mask)
            for labels, logits, mask in self._both_ways(y_true, y_pred)
        ]
        return (losses[0] + losses[1]) / 2

    def sparse_accuracy(self, y_true, y_pred):
        shares = [
            masked_mean(ops.cast(ops.argmax(logits, axis=-1), "int32") == labels, mask)
            for labels, logits, mask in self._both_ways(y_true, y_pred)
        ]
        return (shares[0] + shares[1]) / 2

    def _both_ways(self, y_true, y_pred):
        """(labels, logits, mask), forwards and backwards, unmasked places first."""
        mask, _, labels, scores = pack(
            unmasked(y_pred), label_ids(y_true, y_pred), ops.cast(y_pred, "float32")
        )
        scores, labels = ops.where(mask[..., None], scores, 0.0), ops.where(mask, labels, 0)
        table = self.transitions()
        before = ops.take(table, labels[:, :-1], axis=0)
        yield labels, self._logits(scores, before, mask[:, 1:], first=True), mask
        after = ops.take(ops.transpose(table), labels[:, 1:], axis=0)
        yield labels, self._logits(scores, after, mask[:, 1:], first=False), mask

    def _logits(self, scores, history, known, first):
        """Scores averaged with what the neighbour says, where there is one."""
        inner = scores[:, 1:] if first else scores[:, :-1]
        mixed = ops.where(known[..., None], (inner + history) / 2, inner)
        edge = scores[:, :1] if first else scores[:, -1:]
        return ops.concatenate([edge, mixed] if first else [mixed, edge], axis=1)

    def get_config(self):
        return {**super().get_config(), "hidden_dim": self.hidden_dim}


def _crossentropy(labels, logits):
    # Not logsumexp less the target's: that difference loses its digits where both are large.
    logs = ops.log_softmax(logits, axis=-1)
    return -ops.take_along_axis(logs, labels[..., None], axis=-1)[..., 0]
