"""Weights of another width: repeat or cut them, and keep what the layer computes in scale."""

import numpy as np


def orthogonally_resize(weights, new_shape, window=2):
    """Repeats or cuts an array along each axis to a new shape and keeps its Frobenius norm.

    An axis of size d that grows to n is repeated in blocks of `window` entries, each block
    ceil(n / d) times in a row, and cut to n; an axis that shrinks is cut. The rows of a matrix
    repeated this way keep their mutual angles, which is where the name comes from.

    Args:
        weights: the array.
        new_shape: its new shape, of the same rank.
        window: entries to a block. The size of an axis that grows has to be divisible by it.

    Returns:
        A new array of `new_shape`.

    Raises:
        ValueError: if the ranks differ or a growing axis is not divisible by `window`.

    Example:

    >>> import numpy
    >>> from bert4keras_ext.checkpoints import orthogonally_resize
    >>> orthogonally_resize(numpy.array([3.0, 4.0]), (4,)) * 2**0.5
    array([3., 4., 3., 4.])

    Reference: J. Su, "Expanding a trained model to larger widths", https://kexue.fm/archives/8444.
    """
    weights = np.asarray(weights)
    if weights.ndim != len(new_shape):
        raise ValueError(f"Expected {weights.ndim} axes like {weights.shape}, found {new_shape}.")
    resized = weights
    for axis, (old, new) in enumerate(zip(weights.shape, new_shape)):
        resized = np.take(resized, _positions(old, new, window), axis=axis)
    norm = np.linalg.norm(resized)
    return resized / norm * np.linalg.norm(weights) if norm else resized


def resizable(old_shape, new_shape, window=2):
    """Whether `orthogonally_resize` can turn one shape into the other."""
    axes = zip(old_shape, new_shape)
    return len(old_shape) == len(new_shape) and all(
        new <= old or (old and old % window == 0) for old, new in axes
    )


def _positions(old, new, window):
    """Which old positions stand at the new ones."""
    repeats = -(-new // old)
    if repeats <= 1:
        return np.arange(new)
    if old % window:
        raise ValueError(
            f"An axis of size {old} can grow to {new} only if it is "
            f"divisible by the window {window}."
        )
    blocks = np.arange(old).reshape(-1, window)
    return np.repeat(blocks, repeats, axis=0).reshape(-1)[:new]


def resize_scale(name, old_shape, new_shape, hidden_act=None, attention_scale=True):
    """The factor that a weight takes after `orthogonally_resize`, so that its layer stays in scale.

    Queries and keys of attention whose logits are divided by sqrt(key size) grow with the fourth
    root of their width. In a feed-forward layer the way in grows with the root of its width and
    the way out shrinks with the root of its own, so that their product stays; where the
    activation is positively homogeneous (ReLU) all weights are treated like the way out. Any
    other weight has factor 1.

    Args:
        name: our name of the weight, such as "Transformer-0-FeedForward/i0/kernel".
        old_shape: its shape in the checkpoint.
        new_shape: its shape in the model.
        hidden_act: the model's activation (a name, or a list of them for gated layers).
        attention_scale: whether the attention layer divides its logits by sqrt(key size).

    Returns:
        A float.
    """
    layer, _, weight = name.partition("/")
    part = weight.partition("/")[0]
    wider = new_shape[-1] / old_shape[-1]
    if "MultiHead" in layer and part in ("q", "k"):
        return wider**0.25 if attention_scale else 1.0
    if layer.endswith("FeedForward"):
        if part == "i0" and hidden_act not in ("relu", "leaky_relu"):
            return wider**0.5
        return (old_shape[0] / new_shape[0]) ** 0.5
    return 1.0
