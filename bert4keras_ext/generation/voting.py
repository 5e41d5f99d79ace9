"""Voting: several passages answer one question together, token by token."""

import numpy as np
from keras import ops

from bert4keras_ext.generation.search import FORBIDDEN, log_sum_exp

LOWEST = -1e30


class Votes:
    """Makes one model's step over many rows a step over groups of rows.

    At each token the rows of a group, the passages of a question, give distributions p, and what
    the search sees is the logarithm of

        ``sum p^2 / (1 + sum p)``

    in which a few passages that are sure outweigh many that are not. Passages whose first choice is
    the end token have no answer, and drop out; if all do, the answer is empty.

    Args:
        group: int32 (rows,), rising from 0: which group each row belongs to.
        groups: how many there are.
        end_ids: tokens that end a text.

    Source: article 7115.
    """

    def __init__(self, group, groups, end_ids):
        self.group, self.groups = group, groups
        self.end_ids = tuple(end_ids)

    def first(self, logits):
        """(scores of the groups (groups, 1, vocabulary), kept bool (rows,)) of the first token."""
        best = ops.argmax(logits[:, 0], axis=-1)
        kept = ops.ones_like(best, dtype="bool")
        for token in self.end_ids:
            kept = ops.logical_and(kept, best != token)
        empty = self._sum(ops.cast(kept, "float32")) == 0  # (groups,)
        only_end = np.full(logits.shape[-1], FORBIDDEN, "float32")
        only_end[list(self.end_ids[:1])] = 0.0
        only_end = ops.convert_to_tensor(only_end)
        votes = self.of_groups(logits, kept)
        # NaN stays, to be told of.
        votes = ops.where(empty[:, None, None], ops.where(ops.isnan(votes), votes, only_end), votes)
        return votes, kept

    def of_groups(self, logits, kept):
        """Scores (groups, width, vocabulary) from logits (rows, width, vocabulary).

        ``log sum p^2`` is summed less the largest of the group, lest small p be lost.
        """
        logits = ops.cast(logits, "float32")
        log_p = logits - log_sum_exp(logits)
        log_p = log_p + ops.where(kept, 0.0, FORBIDDEN)[:, None, None]
        largest = ops.segment_max(log_p, self.group, num_segments=self.groups)
        largest = ops.maximum(largest, LOWEST)
        squares = self._sum(ops.exp(2 * (log_p - self.of_rows(largest))))
        return 2 * largest + ops.log(squares) - ops.log1p(self._sum(ops.exp(log_p)))

    def of_rows(self, x):
        """What belongs to the groups, for each of their rows."""
        return ops.take(x, self.group, axis=0)

    def step(self, step):
        """The step function of the groups, from that of the rows.

        Its caches are the pair (those of the rows, ``kept``).
        """

        def step_of_groups(tokens, parents, count, caches):
            own, kept = caches
            parents = None if parents is None else self.of_rows(parents)
            logits, own = step(self.of_rows(tokens), parents, count, own)
            return self.of_groups(logits, kept), (own, kept)

        return step_of_groups

    def _sum(self, x):
        return ops.segment_sum(x, self.group, num_segments=self.groups)
