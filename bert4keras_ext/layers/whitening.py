"""Whitening as a layer: a fixed linear map found from sentence vectors."""

import keras
import numpy as np
from keras import ops

from bert4keras_ext.backend.registration import register
from bert4keras_ext.layers.base import Layer
from bert4keras_ext.numerics.whitening import StreamingCovariance, whitening


@register
class Whitening(Layer):
    """``normalize((x - mean) W)``: vectors whose covariance over a corpus is the identity.

    Inner products of its outputs are better similarities than cosines of BERT's own vectors, and
    fewer dimensions often do better still. The map is found by ``adapt`` and not trained.

    Args:
        n_components: dimensions to keep; None is all.
        normalize: make the outputs unit vectors.

    Inputs: (batch, ..., dim); output: float32 (batch, ..., n_components or dim). The mask is
    passed on. Before ``adapt`` it is the identity (cut to n_components).

    Methods:
        adapt(vectors): sets the map from an array (n, dim) or an iterable of such batches, in one
            pass without keeping rows.

    Raises:
        ValueError: for more components than dimensions, or an ``adapt`` to no rows.

    Example:

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
            name="kernel", shape=(dim, kept), trainable=False, autocast=False,
            initializer=lambda shape, dtype=None: ops.eye(*shape, dtype=dtype),
        )  # fmt: skip
        self.bias = self.add_weight(
            name="bias", shape=(dim,), trainable=False, autocast=False, initializer="zeros"
        )

    def _kept(self, dim):
        if self.n_components is not None and not 0 < self.n_components <= dim:
            raise ValueError(f"n_components expects 1 to {dim}, received {self.n_components}")
        return self.n_components or dim

    def adapt(self, vectors):
        statistics = StreamingCovariance()
        for batch in [vectors] if hasattr(vectors, "ndim") else vectors:
            statistics.update(np.asarray(batch))
        kernel, bias = whitening(statistics, self.n_components)
        if not self.built:
            self.build((None, len(bias)))
            self.built = True
        self.kernel.assign(kernel)
        self.bias.assign(bias)

    def call(self, inputs):
        x = ops.matmul(ops.cast(inputs, "float32") + self.bias, self.kernel)
        if not self.normalize:
            return x
        square = ops.sum(ops.square(x), axis=-1, keepdims=True)
        return x * ops.rsqrt(ops.maximum(square, 1e-12))

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self._kept(input_shape[-1]))

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(self.compute_output_shape(inputs.shape), dtype="float32")

    def get_config(self):
        config = {"n_components": self.n_components, "normalize": self.normalize}
        return {**super().get_config(), **config}
