"""A constraint to a list of allowed outputs."""

import numpy as np
from keras import ops

from bert4keras_ext.generation.search import FORBIDDEN
from bert4keras_ext.generation.token_sets import among, as_ids, check_ids, marked

BITS = 32


class PrefixTree:
    """Allows only sequences of a given list, each followed by the end token.

    A step costs the same for ten sequences and for a million: the place in the tree is not walked
    to, but looked up by a hash of the tokens so far, ``sum (token + 1) * m[place]`` with random odd
    m, twice modulo 2 ** 32. (Of ten million beginnings two would have the same hash in one
    of 400,000 lists.)

    Args:
        sequences: lists of ids, the allowed outputs (without the end).
        end_id: the end token, or several.

    Raises:
        ValueError: for no sequences, no end token, an end token within a sequence, negative ids;
            and, when it is used, for ids outside of the vocabulary.

    Example:

    >>> tree = PrefixTree([[5, 6], [5, 7, 8]], end_id=3)
    >>> tree.allowed_first
    [5]

    Source: constrained decoding over a trie, arXiv 2010.00904.
    """

    def __init__(self, sequences, end_id):
        self.end_ids = as_ids(end_id)
        tokens, lengths = _as_matrix(sequences, self.end_ids)
        depth = tokens.shape[1]
        self.factors = _factors(depth)
        nodes, self.keys, self.checks = _nodes(tokens, lengths, self.factors)
        self.repeats = int(np.unique(self.keys, return_counts=True)[1].max())
        edges = _edges(nodes, tokens, lengths, self.end_ids)
        root = edges[:, 0] == nodes[0, 0]
        # The root is left alone: it has many children, and is where all are at the same time.
        self.allowed_first = edges[root, 1].tolist()
        parents, children = edges[~root].T
        self.children = np.append(children, -1).astype("int32")
        # Children of node i are those from first[i] up to first[i + 1].
        self.first = np.searchsorted(parents, np.arange(len(self.keys) + 1)).astype("int32")
        self.most = max(int(np.diff(self.first).max()), 1)

    def __call__(self, scores, generated):
        vocabulary = scores.shape[-1]
        check_ids(self.children[:-1], vocabulary)
        later = marked(self._children(self._node(generated)), vocabulary)
        first = among(self.allowed_first, vocabulary)
        allowed = ops.where(generated.length == 0, first, later)
        return ops.where(allowed, scores, FORBIDDEN)

    def _node(self, generated):
        """int32 (batch, width), -1 for what is no beginning of a sequence."""
        depth, places = len(self.factors), ops.arange(ops.shape(generated.tokens)[2])
        factors = ops.take(ops.convert_to_tensor(self.factors), places % depth, axis=0)
        written = ops.logical_and(places < generated.length, places < depth)
        factors = ops.where(written[:, None], factors, 0)  # (capacity, 2)
        hashes = ops.sum((generated.tokens[..., None] + 1) * factors, axis=2)
        key, check = hashes[..., :1], hashes[..., 1:]
        keys, checks = (ops.convert_to_tensor(x) for x in (self.keys, self.checks))
        place = ops.cast(ops.searchsorted(keys, ops.reshape(key, (-1,))), "int32")
        places = ops.reshape(place, ops.shape(key)) + ops.arange(self.repeats)
        places = ops.minimum(places, len(self.keys) - 1)
        same = ops.logical_and(ops.take(keys, places) == key, ops.take(checks, places) == check)
        return ops.max(ops.where(same, places, -1), axis=-1)

    def _children(self, node):
        """int32 (batch, width, most), filled with -1."""
        first = ops.convert_to_tensor(self.first)
        start, end = (ops.take(first, ops.maximum(node, 0) + i)[..., None] for i in (0, 1))
        places = start + ops.arange(self.most)
        there = ops.logical_and(places < end, node[..., None] >= 0)
        places = ops.minimum(places, len(self.children) - 1)
        return ops.where(there, ops.take(ops.convert_to_tensor(self.children), places), -1)


def _as_matrix(sequences, end_ids):
    """(int64 (sequences, longest), lengths)."""
    sequences = [np.asarray(sequence, "int64").reshape(-1) for sequence in sequences]
    if not sequences or not end_ids:
        raise ValueError(
            f"expected at least one allowed sequence and an end token, found {len(sequences)} and "
            f"{len(end_ids)}"
        )
    lengths = np.array([len(sequence) for sequence in sequences])
    tokens = np.zeros((len(sequences), max(lengths.max(), 1)), "int64")
    tokens[np.arange(tokens.shape[1]) < lengths[:, None]] = np.concatenate(sequences)
    if tokens.min() < 0 or min(end_ids) < 0:
        raise ValueError("expected ids, whole numbers from 0 on, found negative ones")
    inner = np.isin(tokens, end_ids) & (np.arange(tokens.shape[1]) < lengths[:, None])
    if inner.any():
        raise ValueError(
            f"expected sequences without an end token ({list(end_ids)}), found it in "
            f"{sequences[inner.any(1).argmax()].tolist()}: it is added behind each"
        )
    return tokens, lengths


def _factors(depth):
    """int32 (depth, 2), odd."""
    factors = np.random.default_rng(0).integers(2**BITS, size=(depth, 2), dtype="uint32")
    return (factors | 1).view("int32")


def _nodes(tokens, lengths, factors):
    """(node after so many tokens of each sequence (sequences, longest + 1), keys, checks)."""
    summands = (tokens[..., None] + 1) * factors.view("uint32").astype("int64")
    hashes = np.cumsum(summands, axis=1).astype("uint32").view("int32").astype("int64")
    hashes = np.pad(hashes, ((0, 0), (1, 0), (0, 0)))
    # Both in one, in the order of the keys.
    both = (hashes[..., 0] << BITS) + (hashes[..., 1] & (2**BITS - 1))
    there = np.arange(both.shape[1]) <= lengths[:, None]
    unique, inverse = np.unique(both[there], return_inverse=True)
    nodes = np.full(both.shape, -1)
    nodes[there] = inverse.reshape(-1)
    checks = (unique & (2**BITS - 1)).astype("uint32").view("int32")
    return nodes, (unique >> BITS).astype("int32"), checks


def _edges(nodes, tokens, lengths, end_ids):
    """(edges, 2), sorted: nodes and the tokens that may follow them."""
    inside = np.arange(tokens.shape[1]) < lengths[:, None]
    within = np.stack([nodes[:, :-1][inside], tokens[inside]], axis=1)
    last = nodes[np.arange(len(nodes)), lengths]
    ends = [np.stack([last, np.full_like(last, end)], axis=1) for end in end_ids]
    return np.unique(np.concatenate([within, *ends]), axis=0)
