"""Convolution over texts that are padded."""

import keras
from keras import ops

from bert4keras_ext.backend.registration import register
from bert4keras_ext.layers.parts import KeepsFrozenWeights


@register
class MaskedConv1D(KeepsFrozenWeights, keras.layers.Conv1D):
    """``conv(m x)``: Keras' Conv1D on sequences whose padding counts as zero.

    What stands in masked places never reaches the others, so a text gives the same outputs with
    any amount of padding (with ``padding="same"``, where places beyond the end are zero as well).

    Args: those of ``keras.layers.Conv1D``. Strides are 1 and the length stays ("same"), so that
    the mask fits the output.

    Inputs and output: (batch, length, channels). The mask is passed on.

    Raises:
        ValueError: for other strides or paddings.

    Example:

    >>> layer = MaskedConv1D(filters=4, kernel_size=3)
    >>> tuple(layer(ops.ones((1, 5, 8))).shape)
    (1, 5, 4)
    """

    def __init__(self, filters, kernel_size, strides=1, padding="same", **kwargs):
        super().__init__(filters, kernel_size, strides=strides, padding=padding, **kwargs)
        if self.strides != (1,) or padding not in ("same", "causal"):
            raise ValueError(
                "MaskedConv1D keeps the length: expected strides=1 and padding 'same' or 'causal', "
                f"received strides={strides!r} and padding={padding!r}"
            )
        self.supports_masking = True

    def call(self, inputs, mask=None):
        if mask is not None:
            inputs = inputs * ops.cast(mask, inputs.dtype)[..., None]
        return super().call(inputs)
