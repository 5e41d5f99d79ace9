import numpy as np
import pytest
from keras import ops

from bert4keras_ext.layers import MaskedConv1D
from tests.harness import FLOAT32_TOLERANCE, check_layer

RNG = np.random.default_rng(0)


def convolution_by_loops(x, kernel, bias, groups):
    """Float64 "same" convolution of one text (length, channels); zeros beyond its ends."""
    size, width, filters = kernel.shape
    out = np.tile(bias.astype("float64"), (len(x), 1))
    for place, tap, f, c in np.ndindex(len(x), size, filters, width):
        source = place + tap - (size - 1) // 2
        if 0 <= source < len(x):
            channel = f // (filters // groups) * width + c
            out[place, f] += float(x[source, channel]) * float(kernel[tap, c, f])
    return out


@pytest.mark.parametrize("groups, size", [(1, 3), (2, 5)])
def test_padding_counts_as_zero(groups, size):
    mask = np.array([[True] * 6, [True] * 4 + [False] * 2])
    x = RNG.normal(size=(2, 6, 4)).astype("float32")
    layer, output = check_layer(
        MaskedConv1D,
        dict(filters=6, kernel_size=size, groups=groups),
        x,
        masks=[mask],
        expected_shape=(2, 6, 6),
        expected_weights=2,
        expected_mask=mask,
    )
    kernel, bias = layer.get_weights()
    for text, keep, found in zip(x, mask, output):
        wanted = convolution_by_loops(text[keep], kernel, bias, groups)
        np.testing.assert_allclose(found[keep], wanted, atol=8 * FLOAT32_TOLERANCE)


def test_without_a_mask():
    x = RNG.normal(size=(1, 5, 4)).astype("float32")
    layer = MaskedConv1D(3, 3)
    found = ops.convert_to_numpy(layer(x))[0]
    wanted = convolution_by_loops(x[0], *layer.get_weights(), groups=1)
    np.testing.assert_allclose(found, wanted, atol=FLOAT32_TOLERANCE)


@pytest.mark.parametrize("change", [{"strides": 2}, {"padding": "valid"}])
def test_the_length_stays(change):
    with pytest.raises(ValueError, match="expected strides=1 and padding 'same' or 'causal'"):
        MaskedConv1D(4, 3, **change)
