"""Token embeddings, which are also the output projection of a language model."""

import keras
from keras import ops

from bert4keras_ext.backend.registration import register
from bert4keras_ext.layers.lora import KeepsLoRA


@register
class Embedding(KeepsLoRA, keras.layers.ReversibleEmbedding):
    """Looks up rows of a table; in mode "dense" multiplies by the transposed table.

    ==============  ===============================  =======================================
    mode            inputs                           output
    ==============  ===============================  =======================================
    "embedding"     ids (batch, length)              (batch, length, output_dim)
    "dense"         (batch, length, output_dim)      ``x E^T``, (batch, length, input_dim)
    ==============  ===============================  =======================================

    Args:
        input_dim: number of rows of the table.
        output_dim: width of a row.
        mask_zero: ids of padding are masked.
        padding_id: the id that is padding where it is not 0.
        weights: the table to start from, (input_dim, output_dim), or a list of it.
        descriptions: of the models that the layer was built for, as a file has them.
        **kwargs: those of ``keras.layers.ReversibleEmbedding``.

    Masks: with ``mask_zero`` the output carries the mask ``ids != padding_id``, except that **the
    first position is never masked**: so no sequence is empty, and a causal row has a key to look
    at. An id without a position, of inputs (batch,), is masked as it is.
    The mask of the "dense" mode's input is passed on.

    Raises:
        ValueError: for an unknown mode.

    Example:

    >>> layer = Embedding(10, 4, mask_zero=True)
    >>> states = layer(ops.array([[2, 5, 0]]))
    >>> tuple(layer(states, mode="dense").shape)
    (1, 3, 10)

    Source: weight tying, arXiv 1608.05859.
    """

    lora_weights = ("_embeddings", "lora_embeddings_a", "lora_embeddings_b")

    def __init__(
        self, input_dim, output_dim, padding_id=0, weights=None, descriptions=(), **kwargs
    ):
        super().__init__(input_dim, output_dim, **kwargs)
        self.descriptions = tuple(descriptions)
        self.supports_masking = True
        self.padding_id = padding_id
        if weights is not None:  # Keras' own base class would set them before it can build
            self.build()
            is_list = isinstance(weights, (list, tuple)) and len(weights) == 1
            self.set_weights(weights if is_list else [weights])

    def __call__(self, inputs, **kwargs):
        # Float ids (keras.Input's default) become what they are here, where the mode is known:
        # `compute_mask`, which does not see it, can then tell ids from hidden states.
        dtype = keras.backend.standardize_dtype(getattr(inputs, "dtype", "int32"))
        if "float" in dtype and not self._dense(kwargs.get("mode", "embedding")):
            inputs = ops.cast(inputs, "int32")
        return super().__call__(inputs, **kwargs)

    def call(self, inputs, mode="embedding"):
        if self._dense(mode):
            # The table is kept in float32; the product belongs in the precision of the layer.
            kernel = ops.cast(ops.transpose(self.embeddings), self.compute_dtype)
            return ops.matmul(ops.cast(inputs, self.compute_dtype), kernel)
        return keras.layers.Embedding.call(self, inputs)

    def quantized_call(self, inputs, mode="embedding"):
        return super().quantized_call(inputs, reverse=self._dense(mode))

    def quantize(self, mode=None, type_check=True, **kwargs):
        # Keras checks for its own class exactly, not knowing that a subclass can do it too.
        return super().quantize(mode, type_check=False, **kwargs)

    def _dense(self, mode):
        if mode not in ("embedding", "dense"):
            raise ValueError(f"mode expects 'embedding' or 'dense', received {mode!r}")
        return mode == "dense"

    def compute_mask(self, inputs, previous_mask=None):
        if "float" in keras.backend.standardize_dtype(inputs.dtype):
            return previous_mask
        if not self.mask_zero:
            return None
        mask = ops.not_equal(inputs, self.padding_id)
        if len(mask.shape) == 1:
            return mask
        return ops.concatenate([ops.ones_like(mask[:, :1]), mask[:, 1:]], axis=1)

    def compute_output_shape(self, input_shape, mode="embedding"):
        return tuple(super().compute_output_shape(input_shape, reverse=self._dense(mode)))

    def compute_output_spec(self, inputs, mode="embedding"):
        shape = self.compute_output_shape(inputs.shape, mode)
        return keras.KerasTensor(shape, dtype=self.compute_dtype)

    def get_config(self):
        config = {**super().get_config(), "padding_id": self.padding_id}
        return {**config, "descriptions": list(self.descriptions)} if self.descriptions else config
