"""Small tools for NumPy values."""

import numpy as np


def to_array(*values):
    """Each value as an array: one array for one value, a list of arrays for several.

    >>> to_array([1, 2]).shape
    (2,)
    >>> [a.shape for a in to_array([[1, 2]], [[0, 0]])]
    [(1, 2), (1, 2)]
    """
    arrays = [np.array(value) for value in values]
    return arrays[0] if len(arrays) == 1 else arrays


def is_one_of(x, ys):
    """Whether `x` is (the very object, not merely equal) among `ys`.

    `x in ys` compares with `==`, which arrays and tensors answer element by element.

    >>> a = np.zeros(2)
    >>> is_one_of(a, [np.zeros(2), a]), is_one_of(a, [np.zeros(2)])
    (True, False)
    """
    return any(x is y for y in ys)


def softmax(x, axis=-1):
    """exp(x) / sum(exp(x)) along `axis`, in NumPy; entries of -inf become 0.

    >>> softmax(np.array([0.0, 0.0, -np.inf]))
    array([0.5, 0.5, 0. ])
    """
    x = np.asarray(x)
    exponentials = np.exp(x - x.max(axis=axis, keepdims=True))
    return exponentials / exponentials.sum(axis=axis, keepdims=True)
