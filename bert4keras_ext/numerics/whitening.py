"""Whitening of sentence vectors: mean zero, identity covariance, fewer dimensions."""

import numpy as np


class StreamingCovariance:
    """Mean and covariance of rows that arrive in batches; float64, no row is kept.

    Batches are merged by their own means (Chan et al.), so nothing is lost when the mean is far
    larger than the spread.

    Attributes:
        count, mean (dim,), scatter (dim, dim): sum of products of deviations.

    Example:

    >>> statistics = StreamingCovariance().update([[0.0], [2.0]]).update([[4.0]])
    >>> statistics.mean.tolist(), statistics.covariance().round(4).tolist()
    ([2.0], [[2.6667]])
    """

    def __init__(self):
        self.count, self.mean, self.scatter = 0, None, None

    def update(self, rows):
        """Takes in a batch (n, dim); returns itself."""
        rows = np.asarray(rows, dtype="float64")
        if rows.ndim != 2 or (self.mean is not None and rows.shape[1] != len(self.mean)):
            wanted = "dim" if self.mean is None else len(self.mean)
            raise ValueError(f"expected rows (n, {wanted}), found {rows.shape}")
        if not len(rows):
            return self
        mean = rows.mean(axis=0)
        own = rows - mean
        if self.mean is None:
            self.count, self.mean, self.scatter = len(rows), mean, own.T @ own
            return self
        total = self.count + len(rows)
        shift = mean - self.mean
        self.scatter += own.T @ own + np.outer(shift, shift) * self.count * len(rows) / total
        self.mean = self.mean + shift * len(rows) / total
        self.count = total
        return self

    def covariance(self):
        """The covariance, with divisor N as in the article."""
        if not self.count:
            raise ValueError("no rows have been seen yet: call update(rows) first")
        return self.scatter / self.count


def whitening(vectors, n_components=None):
    """The linear map that whitens: ``(x + bias) @ kernel``.

    ``kernel = U L^(-1/2)`` from the covariance ``U L U'`` with eigenvalues L in falling order, of
    which the first ``n_components`` columns are kept; ``bias = -mean``. Then normalise to unit
    length (``whiten`` does both) and use inner products. Directions without any spread would
    become infinite: they get zero.

    Args:
        vectors: (n, dim), an array or tensor of any dtype or a list of rows; an iterable of such
            batches; or a StreamingCovariance.
        n_components: columns to keep; None is all.

    Returns:
        (kernel (dim, n_components), bias (dim,)), float64.

    Raises:
        ValueError: for no rows, or more components than dimensions.

    Example:

    >>> x = np.random.default_rng(0).normal(size=(100, 3)) * [1, 5, 9] + 7
    >>> kernel, bias = whitening(x, n_components=2)
    >>> np.cov((x + bias) @ kernel, rowvar=False, bias=True).round(6).tolist()
    [[1.0, 0.0], [0.0, 1.0]]

    Source: arXiv 2103.15316; articles 8069 and 8321.
    """
    statistics = _statistics(vectors)
    values, axes = np.linalg.eigh(statistics.covariance())
    values, axes = values[::-1], axes[:, ::-1]
    dim = len(values)
    if n_components is not None and not 0 < n_components <= dim:
        raise ValueError(f"n_components expects 1 to {dim}, received {n_components}")
    flat = values <= max(values[0], 0) * dim * np.finfo("float64").eps
    scale = np.where(flat, 0.0, 1 / np.sqrt(np.where(flat, 1.0, values)))
    kernel = (axes * scale)[:, :n_components]
    # Eigenvectors have no sign of their own: the largest entry of each is made positive.
    kernel = kernel * np.where(
        kernel[np.abs(kernel).argmax(0), np.arange(kernel.shape[1])] < 0, -1, 1
    )
    return kernel, -statistics.mean


def whiten(vectors, kernel=None, bias=None):
    """``normalize((x + bias) @ kernel)``: rows of length 1, ready for inner products.

    Example:

    >>> whiten([[3.0, 4.0]]).tolist()
    [[0.6, 0.8]]
    """
    x = np.asarray(vectors, dtype="float64")
    x = x if bias is None else x + np.asarray(bias, dtype="float64")
    x = x if kernel is None else x @ np.asarray(kernel, dtype="float64")
    lengths = np.linalg.norm(x, axis=-1, keepdims=True)
    return x / np.maximum(lengths, 1e-12)


def _statistics(vectors):
    if isinstance(vectors, StreamingCovariance):
        return vectors
    statistics = StreamingCovariance()
    is_list = isinstance(vectors, (list, tuple)) and len(vectors)
    if hasattr(vectors, "ndim") or (is_list and np.ndim(vectors[0]) < 2):
        return statistics.update(vectors)
    for batch in vectors:
        statistics.update(batch)
    return statistics
