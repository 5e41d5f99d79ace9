"""Sampling by re-parameterisation: the sphere's von Mises-Fisher distribution."""

import keras
import numpy as np
from keras import ops

from bert4keras_ext.backend.registration import register
from bert4keras_ext.layers.base import Layer
from bert4keras_ext.layers.cosine import l2_normalize

# Quantiles of the table: linear between them, the distribution is met to about 1e-4.
NODES = 10000


@register
class VonMisesFisherSampling(Layer):
    """Draws z from the von Mises-Fisher distribution around each unit vector mu, in training.

    ``z = w mu + sqrt(1 - w^2) nu`` with nu a random unit vector orthogonal to mu, and w of density
    proportional to ``exp(kappa w) (1 - w^2)^((d-3)/2)`` on (-1, 1), looked up in a table of its
    quantiles. Gradients reach mu. The divergence from the uniform distribution depends on kappa
    alone, so an autoencoder with this layer needs no further loss. Outside training z is mu.

    Args:
        kappa: concentration; larger is closer to mu.
        seed: of the random numbers.

    Inputs: (batch, ..., d), d at least 2, made unit vectors first; output: the same shape, unit
    vectors. The mask is passed on.

    Raises:
        ValueError: for a kappa below 0, or fewer than 2 dimensions.

    Example:

    >>> z = VonMisesFisherSampling(kappa=32.0)(ops.ones((2, 4)))
    >>> ops.convert_to_numpy(z)[0].tolist()
    [0.5, 0.5, 0.5, 0.5]

    Source: UniVAE, article 8475; arXiv 1808.10805.
    """

    def __init__(self, kappa=32.0, seed=None, **kwargs):
        super().__init__(**kwargs)
        if kappa < 0:
            raise ValueError(f"kappa expects 0 or more, received {kappa}")
        self.kappa = kappa
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def build(self, input_shape):
        if input_shape[-1] < 2:
            raise ValueError(f"a sphere needs 2 dimensions or more, found {input_shape[-1]}")
        self.quantiles = cosine_quantiles(self.kappa, input_shape[-1])

    def call(self, inputs, training=None):
        mu = l2_normalize(inputs)
        if training:
            mu = self.sample(mu)
        return ops.cast(mu, self.compute_dtype)

    def sample(self, mu):
        shape = ops.shape(mu)
        w = self._cosines((*shape[:-1], 1))
        noise = keras.random.normal(shape, dtype="float32", seed=self.seed_generator)
        # Twice, since rounding leaves a part along mu where the noise is nearly parallel to it.
        nu = _across(_across(noise, mu), mu)
        return w * mu + ops.sqrt(ops.maximum(1 - ops.square(w), 0.0)) * nu

    def _cosines(self, shape):
        """Random w: linear between the quantiles left and right of a uniform number."""
        u = keras.random.uniform(shape, dtype="float32", seed=self.seed_generator)
        place = u * (NODES - 1)
        left = ops.cast(ops.floor(place), "int32")
        table = ops.convert_to_tensor(self.quantiles)
        low = ops.take(table, left)
        high = ops.take(table, ops.minimum(left + 1, NODES - 1))
        return low + (high - low) * (place - ops.cast(left, "float32"))

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def get_config(self):
        return {**super().get_config(), "kappa": self.kappa, "seed": self.seed}


def _across(x, mu):
    """The direction of x orthogonal to mu."""
    return l2_normalize(x - ops.sum(x * mu, axis=-1, keepdims=True) * mu)


def cosine_quantiles(kappa, dim):
    """Quantiles of ``w = <z, mu>`` at NODES even shares from 0 to 1, float32."""
    # w = cos(angle): over the angle the density is smooth also for two dimensions.
    angle = np.linspace(np.pi, 0, 200001)
    with np.errstate(divide="ignore"):
        logs = kappa * np.cos(angle) + (dim - 2) * np.log(np.maximum(np.sin(angle), 1e-300))
    density = np.exp(logs - logs.max())
    cumulative = np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2)])
    shares = np.linspace(0, 1, NODES)
    return np.interp(shares, cumulative / cumulative[-1], np.cos(angle)).astype("float32")
