"""Gradients of batch-coupled losses over batches of any size, in the memory of one chunk."""

from numbers import Integral

import keras
from keras import tree

from bert4keras_ext.backend.registration import register
from bert4keras_ext.training.chunks import Chunks, checked_leaves

LAYER_LOSSES = (None, "mean", "sum")


@register
class ContrastiveAccumulationModel(keras.Model):
    """A functional model that trains on large batches chunk by chunk, with exact gradients.

    In a contrastive loss every row of a batch meets every other, so it is no sum over small
    batches, and accumulating their gradients is another training. But it reads the rows only
    through their vectors h_i, and for any loss ``L(h_1, ..., h_n)``

        ``dL/dw = sum_i <dh_i/dw, g_i>,  g_i = dL/dh_i``

    Pass 1 computes all h chunk by chunk and keeps nothing else; loss and g are those of the whole
    batch; pass 2 runs each chunk again, from the same dropout seeds, and adds up its gradients of
    ``sum_i <h_i, stop_gradient(g_i)>``. Then comes one update. This equals, up to rounding, running
    the chunks one after the other and differentiating the loss of all their vectors at once; with
    a single chunk, or without dropout, that is the ordinary gradient of the batch.

    All of it happens where the model is called with ``training=True``, as the gradient of that
    call. So `fit`, `train_on_batch` and your own loop with a tape work as for any Keras model: with
    any loss, metrics, sample weights, loss scaling, XLA and wrappers of ``train_step``; and the
    loss reported is L. Evaluation and prediction are those of an ordinary model.

    - Cost: one more forward pass (of four units of work instead of three), twice the tracing.
    - Memory: the activations of one chunk, the outputs and their gradients of all rows, and one
      dense gradient of each weight (of embedding tables too, whose gradients are not sparse here).
      What the loss itself needs comes on top: ContrastiveLoss takes 0.4 GiB for 4096 rows.
    - The last chunk is smaller where ``chunk_size`` does not divide the batch. Partners of the loss
      need not be in one chunk. If the model itself joins rows (two sentences into one cosine),
      take a ``chunk_size`` that does not cut them apart.
    - State: layers that normalise over the batch see one chunk at a time. Moving averages, seeds
      and metrics of layers advance once a chunk, in pass 1; pass 2 starts from the old values and
      leaves no trace.
    - Under a distribution strategy each replica compares, and cuts into chunks, its own share.
    - Training needs the TensorFlow backend. A loop of your own under XLA, traced for batches of an
      unknown size, needs ``compile(jit_compile=True)`` too: XLA's chunks are planned otherwise.

    Args:
        inputs, outputs, name: of a functional `keras.Model`; any number of both. Inputs and
            outputs have a row a sentence; all inputs have the same number.
        chunk_size: rows that are processed at a time.
        layer_losses: what to do with losses that layers add in their ``call`` (``add_loss``,
            activity regularizers): "mean" weights each chunk with its share of the rows, right
            where such a loss is a mean over rows; "sum" adds the chunks; None refuses them. Weight
            regularizers need nothing: they count once.
        **kwargs: of `keras.Model`.

    Inputs and outputs: those of the functional model. Masks are passed on.

    Raises:
        ValueError: ``chunk_size`` is no positive integer; another ``layer_losses``; inputs of
            different numbers of rows; a layer adds a loss, and ``layer_losses`` does not say how
            to count it; a layer changes a trainable weight, or draws from a global generator.
        TypeError: inputs that are no dense tensors.

    Example:

    >>> import numpy as np
    >>> from bert4keras_ext.losses import ContrastiveLoss
    >>> tokens = keras.Input((8,), dtype="int32")
    >>> x = keras.layers.Dropout(0.1)(keras.layers.Embedding(20, 4)(tokens))
    >>> vectors = keras.layers.GlobalAveragePooling1D()(x)
    >>> model = ContrastiveAccumulationModel(tokens, vectors, chunk_size=16)
    >>> model.compile("adam", ContrastiveLoss())
    >>> rows = np.random.default_rng(0).integers(0, 20, (30, 8)).repeat(2, axis=0)  # SimCSE
    >>> history = model.fit(rows, np.zeros((60, 1)), batch_size=60, shuffle=False, verbose=0)

    Source: GradCache, arXiv 2101.06983; article 8471.
    """

    def __init__(self, inputs, outputs, name=None, *, chunk_size=64, layer_losses=None, **kwargs):
        super().__init__(inputs, outputs, name=name, **kwargs)
        is_integer = isinstance(chunk_size, Integral) and not isinstance(chunk_size, bool)
        if not is_integer or chunk_size < 1:
            raise ValueError(
                f"chunk_size expects the number of rows in memory, 1 or more, found {chunk_size!r}"
            )
        if layer_losses not in LAYER_LOSSES:
            raise ValueError(f"layer_losses expects one of {LAYER_LOSSES}, found {layer_losses!r}")
        self.chunk_size = int(chunk_size)
        self.layer_losses = layer_losses
        # The same layers without the chunks. Not tracked: it has no weights of its own to save.
        self.__dict__["_plain"] = keras.Model(self.input, self.output, name=self.name)

    def call(self, inputs, training=None, mask=None, **kwargs):
        if not training:
            return super().call(inputs, training=training, mask=mask, **kwargs)
        if keras.backend.backend() != "tensorflow":
            raise NotImplementedError(
                "ContrastiveAccumulationModel trains on the TensorFlow backend only, found "
                f"{keras.backend.backend()!r}: train with KERAS_BACKEND=tensorflow"
            )
        leaves = checked_leaves([*tree.flatten(inputs), *tree.flatten(mask)], self.inputs)

        def function(leaves):
            count = len(tree.flatten(inputs))
            masks = None if mask is None else tree.pack_sequence_as(mask, leaves[count:])
            filled = tree.pack_sequence_as(inputs, leaves[:count])
            return self._plain(filled, training=True, mask=masks, **kwargs)

        chunks = Chunks(self, function, leaves)
        outputs, layer_loss = chunks.differentiable()
        if chunks.has_loss:  # not Functional's, which takes none
            keras.layers.Layer.add_loss(self, layer_loss)
        return outputs

    def get_config(self):
        config = {"chunk_size": self.chunk_size, "layer_losses": self.layer_losses}
        return {**super().get_config(), **config}
