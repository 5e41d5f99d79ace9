"""Constraints: processors that leave only what may stand in an answer."""

import numpy as np
from keras import ops

from bert4keras_ext.generation.processors import _is_among, followers, marked, shifted
from bert4keras_ext.generation.search import FORBIDDEN


class ExtractiveNgrams:
    """Allows only what stands in the source: every n tokens in a row are some passage's.

    The end token is always allowed.

    Args:
        passages: for each row of the inputs a list of passages, each a list of ids. (Under
            ``votes``: for each group of rows.)
        n: how long the runs are that must be found; None is the whole answer.
        end_id: the end token, or several.

    Source: article 7115.
    """

    def __init__(self, passages, n=None, end_id=()):
        if n is not None and n < 1:
            raise ValueError(f"expected n of at least 1, or None for the whole answer; found {n}")
        self.n = n
        self.end_ids = (end_id,) if isinstance(end_id, (int, np.integer)) else tuple(end_id)
        self.text = _side_by_side(passages)

    def __call__(self, scores, generated):
        text = ops.take(ops.convert_to_tensor(self.text), generated.rows, axis=0)[:, None]
        tokens = generated.tokens
        if self.n is None:
            found = self._after_all(text, tokens, generated.length)
        else:
            found = self._after_some(text, tokens, generated.length)
        ends = ops.convert_to_tensor(_is_among(self.end_ids, scores.shape[-1]))
        allowed = ops.logical_or(marked(found, scores.shape[-1]), ends)
        return ops.where(allowed, scores, FORBIDDEN)

    def _after_some(self, text, tokens, length):
        found = followers(text, tokens, length, self.n - 1)
        for size in range(self.n - 2, -1, -1):  # the beginning of an answer is shorter than n
            shorter = followers(text, tokens, length, size)
            found = ops.where(length == size, shorter, found)
        return found + ops.zeros_like(tokens[..., :1])

    def _after_all(self, text, tokens, length):
        width = ops.shape(tokens)[1]
        text = ops.repeat(text, width, axis=1)

        def agree_with_one_more(place, agree):
            token = ops.take(tokens, place, axis=2)[..., None]
            agree = ops.logical_and(agree, text == token)
            return shifted(ops.cast(agree, "int32"), 1) > 0

        agree = ops.fori_loop(0, length, agree_with_one_more, ops.ones_like(text, dtype="bool"))
        return ops.where(agree, text, -1)


def _side_by_side(passages):
    """int32 (rows, places): the passages of each row, each followed by -1."""
    rows = [[i for passage in row for i in (*passage, -1)] for row in passages]
    text = np.full((len(rows), max([len(row) for row in rows] + [1])), -1, "int32")
    for line, row in zip(text, rows):
        line[: len(row)] = row
    return text


class PrefixTree:
    """Allows only sequences of a given list, each followed by the end token.

    Args:
        sequences: lists of ids, the allowed outputs (without the end).
        end_id: the end token.

    Raises:
        ValueError: for no sequences.

    Source: constrained decoding over a trie, arXiv 2010.00904.
    """

    def __init__(self, sequences, end_id):
        sequences = [[int(i) for i in sequence] for sequence in sequences]
        if not sequences:
            raise ValueError("expected at least one allowed sequence, found none")
        children = [{}]  # of each node, {token: node}
        for sequence in sequences:
            node = 0
            for token in [*sequence, int(end_id)]:
                if token not in children[node]:
                    children[node][token] = len(children)
                    children.append({})
                node = children[node][token]
        edges = [(a, t, b) for a, below in enumerate(children) for t, b in sorted(below.items())]
        self.nodes, self.tokens, self.targets = np.array(edges, "int32").T
        # Edges of node i are those from first[i] up to first[i + 1].
        self.first = np.searchsorted(self.nodes, np.arange(len(children) + 1)).astype("int32")
        self.steps = int(np.ceil(np.log2(max(map(len, children)) + 1))) + 1

    def __call__(self, scores, generated):
        node = ops.zeros_like(generated.tokens[..., 0])

        def follow(place, node):
            return self._child(node, ops.take(generated.tokens, place, axis=2))

        node = ops.fori_loop(0, generated.length, follow, node)
        own = ops.convert_to_tensor(self.nodes)[None, None] == node[..., None]
        allowed = ops.where(own, ops.convert_to_tensor(self.tokens)[None, None], -1)
        return ops.where(marked(allowed, scores.shape[-1]), scores, FORBIDDEN)

    def _child(self, node, token):
        """The node that a token leads to, -1 where none does: a binary search among its edges."""
        first, tokens = (ops.convert_to_tensor(x) for x in (self.first, self.tokens))
        low, end = ops.take(first, ops.maximum(node, 0)), ops.take(first, ops.maximum(node, 0) + 1)
        high, last = end, len(self.tokens) - 1
        for _ in range(self.steps):
            middle = (low + high) // 2
            smaller = ops.take(tokens, ops.minimum(middle, last)) < token
            smaller = ops.logical_and(smaller, low < high)
            low, high = ops.where(smaller, middle + 1, low), ops.where(smaller, high, middle)
        place = ops.minimum(low, last)
        found = ops.logical_and(low < end, ops.take(tokens, place) == token)
        found = ops.logical_and(found, node >= 0)
        return ops.where(found, ops.take(ops.convert_to_tensor(self.targets), place), -1)
