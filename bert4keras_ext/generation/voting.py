"""Voting: several passages answer one question together, token by token."""

import numpy as np
from keras import ops

from bert4keras_ext.generation.search import FORBIDDEN

NEVER = -1e4  # the logarithm of a vote of nothing


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
        gives_up = ops.zeros_like(best, dtype="bool")
        for token in self.end_ids:
            gives_up = ops.logical_or(gives_up, best == token)
        kept = ops.logical_not(gives_up)
        empty = self._sum(ops.cast(kept, "float32")) == 0  # (groups,)
        ends = np.full(logits.shape[-1], FORBIDDEN, "float32")
        ends[list(self.end_ids)] = 0.0
        votes = self.of_groups(logits, kept)
        return ops.where(empty[:, None, None], ops.convert_to_tensor(ends), votes), kept

    def of_groups(self, logits, kept):
        """Scores (groups, width, vocabulary) from logits (rows, width, vocabulary)."""
        p = ops.softmax(logits, axis=-1) * ops.cast(kept, "float32")[:, None, None]
        votes = self._sum(p * p) / (1 + self._sum(p))
        found = ops.where(votes > 0, ops.log(ops.maximum(votes, 1e-38)), NEVER)
        return ops.where(ops.isnan(votes), votes, found)  # for the search to tell

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
