"""The position-wise feed-forward layer, plain or gated."""

import keras

from bert4keras_ext.backend.activations import get_activation, serialize_activation
from bert4keras_ext.backend.recompute import recompute_grad
from bert4keras_ext.backend.registration import register
from bert4keras_ext.layers.base import Layer
from bert4keras_ext.layers.dense import Dense


@register
class FeedForward(Layer):
    """``W_o f(W_0 x)``, or gated: ``W_o (f_0(W_0 x) * f_1(W_1 x) * ...)``.

    Args:
        units: width of the hidden layer.
        activation: a name, a function, or a list of them: a gated unit with one projection for
            each (["gelu", "linear"] is T5.1.1's GEGLU, ["swish", "linear"] is SwiGLU).
        use_bias: biases in all projections.
        kernel_initializer: of all projections.

    Inputs and output: (batch, ..., dim), of the same shape. The mask is passed on. The
    projections are Dense layers ``i0``, ``i1``, ... (``gates``, the list of them) and ``o``.

    Example:

    >>> layer = FeedForward(16, activation=["gelu", "linear"], use_bias=False)
    >>> tuple(layer(keras.ops.ones((1, 3, 8))).shape)
    (1, 3, 8)

    Source: arXiv 1706.03762; gated: arXiv 2002.05202.
    """

    def __init__(
        self,
        units,
        activation="relu",
        use_bias=True,
        kernel_initializer="glorot_uniform",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.units = units
        names = activation if isinstance(activation, (list, tuple)) else [activation]
        self.activation = [get_activation(name) for name in names]
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.gates = [
            self._dense(f"i{i}", units, function) for i, function in enumerate(self.activation)
        ]

    def __getattr__(self, name):
        # Not attributes: Keras saves a layer under each attribute's name. Python asks here for what
        # it found nowhere, and that may be `gates` itself, in a copy that is not filled yet.
        if name[:1] == "i" and name[1:].isdecimal() and "gates" in vars(self):
            gates = {f"i{i}": gate for i, gate in enumerate(self.gates)}
            if name in gates:
                return gates[name]
        # On PyTorch a layer's parent has a __getattr__ too: it finds sub-layers and weights.
        if hasattr(super(), "__getattr__"):
            return super().__getattr__(name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _dense(self, name, units, activation=None):
        return Dense(
            units,
            activation=activation,
            use_bias=self.use_bias,
            # A shared initializer object would give every projection the same values.
            kernel_initializer=self.kernel_initializer.clone(),
            dtype=self.dtype_policy,
            name=name,
        )

    def build(self, input_shape):
        for gate in self.gates:
            gate.build(input_shape)
        self.o = self._dense("o", input_shape[-1])
        self.o.build((*input_shape[:-1], self.units))

    @recompute_grad
    def call(self, inputs, training=None):
        hidden = self.gates[0](inputs, training=training)
        for gate in self.gates[1:]:
            hidden = hidden * gate(inputs, training=training)
        return self.o(hidden)

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "activation": [serialize_activation(function) for function in self.activation],
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }
