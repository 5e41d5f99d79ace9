"""Whitening against scikit-learn's PCA and the definition of a covariance."""

import numpy as np
import pytest

from bert4keras_ext.numerics import StreamingCovariance, whiten, whitening

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(300, 6)) @ RNG.normal(size=(6, 6)) + 5


@pytest.mark.parametrize("components", [None, 1, 4])
def test_equals_pca(components):
    pca = pytest.importorskip("sklearn.decomposition").PCA(components, whiten=True)
    wanted = pca.fit_transform(ROWS)
    kernel, bias = whitening(ROWS, components)
    found = (ROWS + bias) @ kernel
    # scikit-learn divides by N - 1 and picks other signs.
    wanted = wanted * np.sqrt(300 / 299)
    np.testing.assert_allclose(np.abs(found), np.abs(wanted), atol=1e-8)


def test_the_covariance_becomes_the_identity():
    kernel, bias = whitening(ROWS)
    np.testing.assert_allclose(np.cov((ROWS + bias) @ kernel, rowvar=False, bias=True), np.eye(6),
                               atol=1e-10)  # fmt: skip


@pytest.mark.parametrize("offset", [0, 1e6])
def test_streams_equal_one_pass(offset):
    rows = ROWS + offset
    statistics = StreamingCovariance()
    for batch in np.split(rows, [1, 40, 40, 299]):
        statistics.update(batch)
    assert statistics.count == 300
    np.testing.assert_allclose(statistics.mean, rows.mean(0), rtol=1e-12)
    # float64 eps times the offset
    np.testing.assert_allclose(statistics.covariance(), np.cov(rows, rowvar=False, bias=True),
                               rtol=1e-6, atol=1e-9)  # fmt: skip
    kernel, _ = whitening(np.split(ROWS, 3))
    np.testing.assert_allclose(kernel, whitening(ROWS)[0], atol=1e-9)


def test_flat_directions_get_zero():
    rows = np.column_stack([ROWS[:, :2], ROWS[:, 0] + ROWS[:, 1]])
    kernel, bias = whitening(rows)
    assert np.all(np.isfinite(kernel)) and np.abs(kernel[:, 2]).max() == 0


def test_whiten_gives_unit_rows():
    vectors = whiten(ROWS, *whitening(ROWS, 3))
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1)
    assert whiten(np.zeros((1, 3))).tolist() == [[0, 0, 0]]


def test_bad_input():
    with pytest.raises(ValueError, match="n_components expects 1 to 6, received 7"):
        whitening(ROWS, 7)
    with pytest.raises(ValueError, match="no rows"):
        whitening(np.zeros((0, 3)))
    with pytest.raises(ValueError, match=r"rows \(n, 6\), found \(3, 2\)"):
        StreamingCovariance().update(ROWS).update(np.zeros((3, 2)))


def test_no_rows_are_refused():
    with pytest.raises(ValueError, match="no rows have been seen"):
        whitening([])
