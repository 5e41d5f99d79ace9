"""A layer that computes a loss, so that a model can be trained without targets outside of it."""

from keras import ops

from bert4keras_ext.layers.base import Layer


class Loss(Layer):
    """Base class: adds a loss to the model and passes (some of) its inputs through.

    Subclasses define ``compute_loss(self, inputs, mask=None)``, which returns a scalar. The model
    is then compiled with an optimizer only, and fitted on ``(x, None)``.

    Args:
        output_axis: None passes all inputs through; an int only that one; a list those.

    Inputs: a tensor or a list of tensors (batch, ...), with their masks in ``mask``; output: those
    passed through, with their masks. The loss is added as a float32 scalar.

    Raises:
        NotImplementedError: when ``compute_loss`` is not defined.

    Example:

    >>> class MeanSquare(Loss):
    ...     def compute_loss(self, inputs, mask=None):
    ...         y_true, y_pred = inputs
    ...         return ops.mean(ops.square(y_true - y_pred))
    >>> layer = MeanSquare(output_axis=1)
    >>> float(layer([ops.zeros((2,)), ops.ones((2,))])[0])
    1.0
    """

    def __init__(self, output_axis=None, **kwargs):
        super().__init__(**kwargs)
        self.output_axis = output_axis

    def call(self, inputs, mask=None):
        self.add_loss(ops.cast(self.compute_loss(inputs, mask), "float32"))
        return self._chosen(inputs)

    def compute_loss(self, inputs, mask=None):
        raise NotImplementedError(
            f"{type(self).__name__} must define compute_loss(self, inputs, mask=None)"
        )

    def _chosen(self, values):
        if self.output_axis is None or values is None:
            return values
        if isinstance(self.output_axis, (list, tuple)):
            return [values[axis] for axis in self.output_axis]
        return values[self.output_axis]

    def compute_mask(self, inputs, previous_mask=None):
        return self._chosen(previous_mask)

    def compute_output_shape(self, input_shape):
        return self._chosen(input_shape)

    def get_config(self):
        return {**super().get_config(), "output_axis": self.output_axis}
