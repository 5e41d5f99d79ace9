import numpy as np

from bert4keras_ext.data import is_one_of, softmax, to_array
from tests.shared import oracle


def test_softmax_as_bert4keras():
    recorded = np.load(oracle("bert4keras", "snippets.npz"))
    assert np.allclose(softmax(recorded["softmax/in"]), recorded["softmax/out"], atol=1e-12)


def test_softmax_of_large_and_masked_values():
    result = softmax(np.array([[1e4, 1e4], [0.0, -np.inf]]), axis=-1)
    assert result.tolist() == [[0.5, 0.5], [1.0, 0.0]]
    assert np.allclose(softmax(np.eye(3), axis=0).sum(axis=0), 1)


def test_to_array():
    assert to_array([1, 2]).tolist() == [1, 2]
    first, second = to_array([1], [[2.0]])
    assert first.shape == (1,) and second.shape == (1, 1)


def test_is_one_of():
    a, b = np.zeros(3), np.zeros(3)
    assert is_one_of(a, [b, a]) and not is_one_of(a, [b])
