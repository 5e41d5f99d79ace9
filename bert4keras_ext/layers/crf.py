"""Conditional random field: the best sequence of labels as a whole."""

import inspect

import keras
from keras import ops

from bert4keras_ext.backend.masking import sequence_masking
from bert4keras_ext.backend.registration import register
from bert4keras_ext.layers.base import Layer
from bert4keras_ext.layers.chains import (
    best_paths,
    label_ids,
    log_partition,
    masked_mean,
    pack,
    unmasked,
)
from bert4keras_ext.layers.methods import layer_method, with_owner


class ChainLayer(Layer):
    """What CRF and MEMM share: logits pass through, the loss is a method, weights learn faster.

    Subclasses define ``sparse_loss(y_true, y_pred)`` and ``sparse_accuracy(y_true, y_pred)``, and
    others that end so; a model compiled with one of them comes back from a file as it was.

    Args:
        lr_multiplier: how many times faster the transitions learn than the rest: the weight is
            the transition divided by it.
    """

    def __init__(self, lr_multiplier=1, **kwargs):
        super().__init__(**kwargs)
        if not lr_multiplier > 0:
            raise ValueError(f"lr_multiplier expects a positive number, received {lr_multiplier}")
        self.lr_multiplier = lr_multiplier

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        for name, method in list(vars(cls).items()):
            if name.endswith(("_loss", "_accuracy")) and inspect.isfunction(method):
                if not name.startswith("_"):
                    setattr(cls, name, layer_method(method))

    def __call__(self, *args, **kwargs):
        return with_owner(super().__call__(*args, **kwargs), self)

    def _table(self, name, shape):
        """A weight of glorot's size once it is multiplied."""
        initializer = keras.initializers.VarianceScaling(
            1.0 / self.lr_multiplier**2, "fan_avg", "uniform"
        )
        return self.add_weight(name=name, shape=shape, initializer=initializer, autocast=False)

    def multiplied(self, weight):
        try:
            weight = ops.cast(weight, "float32")
        except TypeError as error:
            if keras.backend.backend() != "jax":
                raise
            raise RuntimeError(
                f"{self.name} reads its weight {weight.name!r}, and on JAX Keras hands no weights "
                "to metrics: leave this metric out of compile(), and call it on the outputs of "
                "predict() instead"
            ) from error
        return weight if self.lr_multiplier == 1 else weight * self.lr_multiplier

    def call(self, inputs, mask=None):
        # A copy where nothing is masked: two layers on the same logits have outputs of their own.
        return ops.copy(inputs) if mask is None else sequence_masking(inputs, mask, "-inf", axis=1)

    @layer_method
    def dense_loss(self, y_true, y_pred):
        """``sparse_loss`` from one-hot labels (batch, length, labels)."""
        return self.sparse_loss(ops.argmax(y_true, axis=-1), y_pred)

    @layer_method
    def dense_accuracy(self, y_true, y_pred):
        """``sparse_accuracy`` from one-hot labels."""
        return self.sparse_accuracy(ops.argmax(y_true, axis=-1), y_pred)

    def compute_mask(self, inputs, previous_mask=None):
        return None  # it is in the logits from here on, as -inf

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def get_config(self):
        return {**super().get_config(), "lr_multiplier": self.lr_multiplier}


@register
class ConditionalRandomField(ChainLayer):
    """A linear-chain CRF: ``P(y | x) = exp(sum_t s_t(y_t) + sum_t T(y_{t-1}, y_t)) / Z``.

    The layer passes the scores s on, with -inf in masked places; the transitions T are its weight.
    Masked places, at the end or amidst a row, are left out of the chain: the label after a gap
    follows the one before it. Compile with its methods::

        crf = ConditionalRandomField(lr_multiplier=100)
        model = keras.Model(inputs, crf(logits))
        model.compile("adam", loss=crf.sparse_loss, metrics=[crf.sparse_accuracy])
        labels = crf.decode(model.predict(x))

    Methods, with y_pred the layer's output (batch, length, labels) and y_true label ids (batch,
    length) in the ``sparse`` forms, one-hot rows in the ``dense`` ones:

    - ``sparse_loss``, ``dense_loss``: ``-log P(y | x)``, float32 (batch,), never negative; a row
      without any unmasked place gives 0. Labels of masked places may be anything.
    - ``sparse_accuracy``, ``dense_accuracy``: share of right labels by the scores alone, a rough
      and cheap figure during training.
    - ``decode``: the best path by Viterbi's algorithm, int32 (batch, length), 0 in masked places.

    Args:
        lr_multiplier: how many times faster the transitions learn; 10 to 1000 beside a pretrained
            encoder.

    Inputs and output: (batch, length, labels), with a mask or none; the output has none.

    Raises:
        ValueError: for a lr_multiplier that is not positive.

    Example:

    >>> crf = ConditionalRandomField()
    >>> logits = crf(ops.zeros((1, 3, 2)))
    >>> tuple(crf.sparse_loss(ops.array([[0, 1, 1]]), logits).shape)
    (1,)

    Source: article 5542; lr_multiplier: article 6671.
    """

    def build(self, input_shape):
        self._trans = self._table("trans", (input_shape[-1], input_shape[-1]))

    @property
    def trans(self):
        """The transitions (from, to)."""
        return self.multiplied(self._trans)

    def sparse_loss(self, y_true, y_pred):
        return self._loss(label_ids(y_true, y_pred), y_pred)

    def _loss(self, labels, y_pred):
        mask, _, labels, scores = pack(unmasked(y_pred), labels, ops.cast(y_pred, "float32"))
        scores, labels = ops.where(mask[..., None], scores, 0.0), ops.where(mask, labels, 0)
        trans = self.trans
        log_z = log_partition(scores, trans, mask)
        loss = log_z - self._path_score(labels, scores, trans, mask)
        return ops.where(ops.any(mask, axis=-1), loss, 0.0)

    def _path_score(self, labels, scores, trans, mask):
        weights = ops.cast(mask, "float32")
        points = ops.take_along_axis(scores, labels[..., None], axis=-1)[..., 0]
        pairs = labels[:, :-1] * scores.shape[-1] + labels[:, 1:]
        steps = ops.take(ops.reshape(trans, (-1,)), pairs)
        return ops.sum(points * weights, axis=1) + ops.sum(steps * weights[:, 1:], axis=1)

    def sparse_accuracy(self, y_true, y_pred):
        right = ops.cast(ops.argmax(y_pred, axis=-1), "int32") == label_ids(y_true, y_pred)
        return masked_mean(right, unmasked(y_pred))

    def decode(self, y_pred):
        y_pred = ops.convert_to_tensor(y_pred)
        kept = unmasked(y_pred)
        mask, order, scores = pack(kept, ops.cast(y_pred, "float32"))
        labels = best_paths(ops.where(mask[..., None], scores, 0.0), self.trans, mask)
        back = ops.argsort(order, axis=1)[:, : ops.shape(kept)[1]]
        return ops.where(kept, ops.take_along_axis(labels, back, axis=1), 0)
