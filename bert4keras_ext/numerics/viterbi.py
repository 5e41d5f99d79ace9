"""Viterbi decoding of one sequence with NumPy."""

import numpy as np


class ViterbiDecoder:
    """The best path through a table of scores, ``argmax_y sum_t s_t(y_t) + T(y_{t-1}, y_t)``.

    Args:
        trans: transitions (labels, labels), from row to column; -inf forbids one.
        starts: labels a path may begin with; None is all.
        ends: labels it may end with; None is all.

    Raises:
        ValueError: for transitions that are no square table, scores of another number of labels,
            an empty sequence, or one that no path is allowed through.

    Example:

    >>> decoder = ViterbiDecoder([[0.0, -1.0], [-1.0, 0.0]])
    >>> decoder.decode([[1.0, 0.0], [0.4, 0.6], [1.0, 0.0]]).tolist()
    [0, 0, 0]
    """

    def __init__(self, trans, starts=None, ends=None):
        self.trans = np.asarray(trans, dtype="float64")
        if self.trans.ndim != 2 or self.trans.shape[0] != self.trans.shape[1]:
            raise ValueError(
                f"trans expects a square table (labels, labels), found {self.trans.shape}"
            )
        self.num_labels = len(self.trans)
        self.non_starts = self._others(starts)
        self.non_ends = self._others(ends)

    def _others(self, allowed):
        return [] if allowed is None else [i for i in range(self.num_labels) if i not in allowed]

    def decode(self, nodes):
        """The labels of the best path: scores (length, labels) -> int array (length,)."""
        scores = np.array(nodes, dtype="float64")  # a copy: the caller's stay as they are
        if scores.ndim != 2 or not len(scores) or scores.shape[1] != self.num_labels:
            raise ValueError(
                f"nodes expects scores (length, {self.num_labels}) with a length of at least 1, "
                f"found {scores.shape}"
            )
        scores[0, self.non_starts] = -np.inf
        scores[-1, self.non_ends] = -np.inf
        best, came = scores[0], []
        for row in scores[1:]:
            paths = best[:, None] + self.trans  # (from, to)
            came.append(paths.argmax(axis=0))
            best = paths.max(axis=0) + row
        if np.isneginf(best.max()):
            raise ValueError("no path is allowed by these scores, transitions, starts and ends")
        labels = [int(best.argmax())]
        for pointers in reversed(came):
            labels.append(int(pointers[labels[-1]]))
        return np.array(labels[::-1])
