"""What vectors of relative positions add to attention: to its scores and to its averages.

The vectors r come for every pair of places, (query, key, size) or (batch, query, key, size), or as
a table (2 * reach + 1, size) of which row ``reach + d`` belongs to the distance d = j - i of key j
from query i, distances beyond the reach sharing the outermost rows.
"""

from keras import ops


def vectors_of_pairs(table, query_places, key_places):
    """The table's vector for each pair: (batch or 1, query, key, size) from (batch or 1, ...)."""
    return ops.take(table, _rows_of_pairs(table, query_places, key_places), axis=0)


def relative_scores(query, relative, keys, query_places=None, key_places=None):
    """``Q_i r_ij``: (batch, heads, query, size) and r give (batch, heads, query, keys).

    With a table, places (batch or 1, query) and (batch or 1, keys) where they do not count from 0.
    """
    if len(relative.shape) == 2 and query_places is not None:
        rows = _rows_of_pairs(relative, query_places, key_places)[:, None]
        by_row = ops.matmul(query, ops.transpose(relative))  # (batch, heads, query, rows)
        rows = ops.broadcast_to(rows, (*ops.shape(by_row)[:3], keys))
        return ops.take_along_axis(by_row, rows, axis=-1)
    if len(relative.shape) == 2:
        return _scores_by_table(query, relative, keys)
    equation = "bhid,ijd->bhij" if len(relative.shape) == 3 else "bhid,bijd->bhij"
    return ops.einsum(equation, query, relative)


def relative_context(weights, relative, query_places=None, key_places=None):
    """``sum_j A_ij r_ij``: (batch, heads, query, key) and r give (batch, heads, query, size)."""
    if len(relative.shape) == 2:
        if query_places is None:
            query_places, key_places = (ops.arange(n)[None] for n in ops.shape(weights)[2:])
        relative = vectors_of_pairs(relative, query_places, key_places)
        relative = relative[0] if relative.shape[0] == 1 else relative  # the same for all rows
    equation = "bhij,ijd->bhid" if len(relative.shape) == 3 else "bhij,bijd->bhid"
    return ops.einsum(equation, weights, relative)


def _rows_of_pairs(table, query_places, key_places):
    """(batch or 1, query, key)"""
    return _rows(table, key_places[:, None, :] - query_places[:, :, None])


def _rows(table, distances):
    reach = (table.shape[0] - 1) // 2
    return ops.clip(distances, -reach, reach) + reach


def _smaller(a, b):
    """The smaller of two lengths: a number where both are, since it tells the shape of a tensor.

    An operation would make a tensor of it, of which a compiler (JAX's) does not know the value.
    """
    return min(a, b) if isinstance(b, int) else ops.minimum(a, b)


def _scores_by_table(query, table, keys):
    """Products with the table, moved into place by reshaping; queries must not outnumber keys.

    Written one after the other, the scores of row i are followed by those of row i + 1. Cut into
    lines of ``keys + 1`` instead of ``keys``, line i begins with the pair (i, i), so its place p
    is the pair (i, i + p), of distance p, or behind the end of that row (i + 1, i + p - keys), of
    distance p - keys - 1: one and the same distance in all lines. Beyond the reach it is even one
    and the same number in a line. This reads 2 * keys / reach times less than vectors of all pairs.
    """
    batch, heads, queries, _ = ops.shape(query)
    if isinstance(queries, int) and isinstance(keys, int) and queries > keys:
        raise ValueError(
            f"relative_embeddings as a table expects no more queries than keys, received {queries} "
            f"queries and {keys} keys; pass the vectors of all pairs (RelativePositionEmbedding)"
        )
    reach = (table.shape[0] - 1) // 2
    first = _smaller(reach, (keys + 1) // 2)
    last = _smaller(reach, keys + 1 - first)
    between = keys + 1 - first - last
    following = ops.roll(query, -1, axis=2)

    def products(x, distances):
        vectors = ops.take(table, _rows(table, distances), axis=0)
        return ops.matmul(x, ops.transpose(vectors))

    def part(places, width=None):
        """Places of every line; with a width, that many of which each is as the only one given."""
        own = products(query, places)
        next_row = products(following, places - keys - 1)
        if width is not None:
            places = places + ops.arange(width)
        in_row = ops.arange(queries)[:, None] + places[None, :] < keys
        return ops.where(in_row, own, next_row)

    parts = [
        part(ops.arange(first)),
        part(first + ops.arange(1), between),
        part(keys + 1 - last + ops.arange(last)),
    ]
    lines = ops.reshape(ops.concatenate(parts, axis=-1), (batch * heads, queries * (keys + 1)))
    # ops.slice, since the gradient of strided slices is slow on a CPU.
    lines = ops.slice(lines, (0, 0), (batch * heads, queries * keys))
    return ops.reshape(lines, (batch, heads, queries, keys))
