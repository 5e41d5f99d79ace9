"""Whitening as a layer: a fixed linear map found from sentence vectors."""

import keras
from keras import ops

from bert4keras_ext.backend.registration import register
from bert4keras_ext.layers.base import Layer
from bert4keras_ext.numerics.whitening import whitening


@register
class Whitening(Layer):
    """``normalize((x - mean) W)``: vectors whose covariance over a corpus is the identity.

    Inner products of its outputs are better similarities than cosines of BERT's own vectors, and
    fewer dimensions often do better still. The map is found by ``adapt`` and not trained.

    Args:
        n_components: dimensions to keep; None is all.
        normalize: make the outputs unit vectors.

    Inputs: (batch, ..., dim), of any dtype; output: (batch, ..., n_components or dim). Map and
    output are float32 whatever the precision of the layer, float64 in a float64 one: a map that
    whitens has numbers of many sizes. The mask is passed on. Before ``adapt`` it is the identity
    (cut to n_components).

    Methods:
        adapt(vectors): sets the map from an array or tensor (n, dim), a list of rows, or an
            iterable of such batches, in one pass without keeping rows.

    Raises:
        ValueError: for more components than dimensions, or an ``adapt`` to no rows.

    Example:

    >>> import numpy as np
    >>> layer = Whitening(n_components=2)
    >>> layer.adapt(np.random.default_rng(0).normal(size=(50, 4)))
    >>> tuple(layer(ops.ones((3, 4))).shape)
    (3, 2)

    Source: arXiv 2103.15316; articles 8069 and 8321.
    """

    def __init__(self, n_components=None, normalize=True, **kwargs):
        super().__init__(**kwargs)
        self.n_components = n_components
        self.normalize = normalize
        self.autocast = False

    def build(self, input_shape):
        dim = input_shape[-1]
        kept = self._kept(dim)
        self.kernel = self.add_weight(
            name="kernel", shape=(dim, kept), trainable=False, autocast=False, dtype=self._dtype(),
            initializer=lambda shape, dtype=None: ops.eye(*shape, dtype=dtype),
        )  # fmt: skip
        self.bias = self.add_weight(
            name="bias", shape=(dim,), trainable=False, autocast=False, dtype=self._dtype(),
            initializer="zeros",
        )  # fmt: skip

    def _dtype(self):
        return "float64" if self.compute_dtype == "float64" else "float32"

    def _kept(self, dim):
        if self.n_components is not None and not 0 < self.n_components <= dim:
            raise ValueError(f"n_components expects 1 to {dim}, received {self.n_components}")
        return self.n_components or dim

    def adapt(self, vectors):
        kernel, bias = whitening(vectors, self.n_components)
        if not self.built:
            self.build((None, len(bias)))
            self.built = True
        self.kernel.assign(kernel)
        self.bias.assign(bias)

    def call(self, inputs):
        x = ops.matmul(ops.cast(inputs, self._dtype()) + self.bias, self.kernel)
        if not self.normalize:
            return x
        square = ops.sum(ops.square(x), axis=-1, keepdims=True)
        return x * ops.rsqrt(ops.maximum(square, 1e-12))

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self._kept(input_shape[-1]))

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(self.compute_output_shape(inputs.shape), dtype=self._dtype())

    def get_config(self):
        config = {"n_components": self.n_components, "normalize": self.normalize}
        return {**super().get_config(), **config}
