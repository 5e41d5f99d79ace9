"""UniLM: one encoder that reads the source and writes the target behind it.

    [CLS] source [SEP] target [SEP]     segments 0 ... 0 1 ... 1

Source: arXiv 1905.03197; article 6933.
"""

import keras
import pretrained
from keras import layers, ops

from bert4keras_ext.data import BucketedGenerator
from bert4keras_ext.losses import Seq2SeqLoss


def unilm(args, texts, **options):
    """(builder of the pretrained model with the UniLM mask and logits, tokenizer)."""
    return pretrained.language_model(args, texts, application="unilm", **options)


def with_loss(transformer, target_maxlen):
    """The model that `fit` takes, which has the weights of the transformer and adds the loss."""
    inputs = transformer.model.inputs
    return keras.Model(inputs, Seq2SeqLoss(name="Loss")(target_logits(transformer, target_maxlen)))


def target_logits(transformer, target_maxlen):
    """[tokens, segments, logits] of the target alone.

    No other place needs logits: over all of them the softmax is a third of a small model's time.
    """
    last = transformer.num_hidden_layers - 1
    states = transformer.model.get_layer(f"Transformer-{last}-FeedForward-Norm").output
    *ids, states = TargetPlaces(target_maxlen)([*transformer.model.inputs, states])
    return [*ids, transformer.apply_mlm(states)]


class TargetPlaces(layers.Layer):
    """[tokens, segments, states] (batch, length, ...) -> the same, (batch, target_maxlen + 1, ...).

    They begin at the [SEP] of the source, from which the first token of the target is told.
    """

    def __init__(self, target_maxlen, **kwargs):
        super().__init__(**kwargs)
        self.target_maxlen = target_maxlen

    def call(self, inputs):
        tokens, segments, states = inputs
        length = ops.shape(tokens)[1]
        places = ops.argmax(segments, axis=1)[:, None] - 1 + ops.arange(self.target_maxlen + 1)
        inside = ops.minimum(places, length - 1)
        tokens, segments = (ops.take_along_axis(ids, inside, axis=1) for ids in (tokens, segments))
        segments = ops.where(places < length, segments, 0)
        return [tokens, segments, ops.take_along_axis(states, inside[..., None], axis=1)]

    def compute_mask(self, inputs, mask=None):
        return [None, None, None]  # the segments say what counts


class UniLMPairs(BucketedGenerator):
    """Batches of (source, target) of similar length, padded to a multiple of 32."""

    def __init__(self, data, tokenizer, args):
        super().__init__(data, args.batch_size, seed=args.seed, length=self.count_tokens)
        self.tokenizer = tokenizer
        self.args = args

    def encode(self, source, target):
        """(ids, segments) of a row, source and target each cut to its own length."""
        ids, segments = self.tokenizer.encode(source, maxlen=self.args.source_maxlen)
        written = self.tokenizer.encode(target, maxlen=self.args.target_maxlen + 1)[0][1:]
        return ids + written, segments + [1] * len(written)

    def count_tokens(self, row):
        return len(self.encode(*row)[0])

    def __iter__(self, random=False):
        token_ids, segment_ids = [], []
        for is_end, row in self.sample(random):
            ids, segments = self.encode(*row)
            token_ids.append(ids)
            segment_ids.append(segments)
            if len(token_ids) == self.batch_size or is_end:
                yield ([self.pad(token_ids), self.pad(segment_ids)],)
                token_ids, segment_ids = [], []
