"""Tables of another length: which row of the checkpoint's table each row of the model's takes.

Tokens, positions, segments and tasks keep their rows; a longer table ends in new rows, which stay
as the model has them (random in a new one). In a table of relative positions each distance keeps
its vector, wherever its row then is, and distances that had none take the nearest one's.
"""

import numpy as np

from bert4keras_ext.backend.positions import log_bucket_table
from bert4keras_ext.checkpoints.resize import orthogonally_resize, resizable

# Tables besides those of the vocabulary -> the axis of their rows.
ROW_AXES = {
    "Embedding-Position/embeddings": 0,
    "Embedding-Segment/embeddings": 0,
    "Embedding-Task/embeddings": 0,
}
DISTANCES = "Relative-Position/embeddings"
NEW = -1


def row_axis(builder, name):
    """The axis of a weight along which rows are told apart by what they stand for, or None."""
    axes = {**ROW_AXES, **builder.vocabulary_axes}
    return 0 if name.endswith(DISTANCES) else axes.get(name)


def can_be_resized(builder, match):
    """Whether `resized` can make the model's weight of a match."""
    axis = row_axis(builder, match.ours)
    if axis is None or len(match.found) != len(match.expected):
        return resizable(match.found, match.expected)
    if not match.found[axis] or match.ours.endswith(DISTANCES) and _rows(builder, match) is None:
        return False
    return resizable(_without(match.found, axis), _without(match.expected, axis))


def resized(builder, match, value, scale=1.0):
    """The model's weight: rows in their places, other axes as `orthogonally_resize` has them.

    Args:
        builder: the model's builder.
        match: the Match.
        value: the array of shape `match.found`.
        scale: factor for what changed its width.
    """
    axis = row_axis(builder, match.ours)
    if axis is None:
        return orthogonally_resize(value.astype(np.float32), match.expected) * scale
    rows = _rows(builder, match)
    if _without(match.found, axis) != _without(match.expected, axis):
        value = np.take(value, np.arange(min(value.shape[axis], 1 + rows.max())), axis)
        shape = [*match.expected]
        shape[axis] = value.shape[axis]
        value = orthogonally_resize(value.astype(np.float32), tuple(shape)) * scale
    taken = np.take(value, np.maximum(rows, 0), axis)
    if (rows == NEW).any():
        keep_own_rows(taken, rows == NEW, axis, builder.named_weights()[match.ours])
    return taken


def note_on_new_rows(builder, match):
    """What to know about the rows that the checkpoint does not have, as a sentence, or None."""
    axis = row_axis(builder, match.ours)
    if axis is None or len(match.found) != len(match.expected):
        return None
    found, expected = match.found[axis], match.expected[axis]
    if found >= expected or match.ours.endswith(DISTANCES):
        return None
    return (
        f"{match.ours}: the checkpoint has {found} rows, so rows {found} to {expected - 1} stay as "
        "they are (random in a new model)"
    )


def keep_own_rows(array, where, axis, variable):
    """Puts a variable's own rows into an array."""
    own = np.asarray(variable.numpy() if hasattr(variable, "numpy") else variable)
    where = (slice(None),) * axis + (where,)
    array[where] = own[where].astype(array.dtype)


def _rows(builder, match):
    """For each row of the model's table the checkpoint's, or NEW; None where they do not map."""
    axis = row_axis(builder, match.ours)
    found, expected = match.found[axis], match.expected[axis]
    if match.ours.endswith(DISTANCES):
        return _rows_of_distances(builder, match.ours, found, expected)
    rows = np.arange(expected)
    return np.where(rows < found, rows, NEW)


def _rows_of_distances(builder, name, found, expected):
    row_of = _row_function(builder, name)
    try:
        reach = np.arange(_reach(builder, found, expected) + 1)
        # The nearest distance of those that share a row speaks for it.
        distances = np.stack([reach, -reach], 1).reshape(-1)
        old, new = row_of(distances, found), row_of(distances, expected)
    except (ValueError, TypeError):  # numbers of rows that no such table has
        return None
    rows = np.full(expected, NEW)
    places, first = np.unique(new, return_index=True)
    rows[places] = old[first]
    return rows


def _reach(builder, *rows):
    layers = (getattr(builder, "layers", None) or {}).values()
    return max(*rows, *(getattr(layer, "max_distance", 0) or 0 for layer in layers))


def _row_function(builder, name):
    """A function (distances, number of rows) -> the row of each distance."""
    layers = getattr(builder, "layers", None) or {}
    layer = layers.get((builder.prefix or "") + name.partition("/")[0])
    if hasattr(layer, "rows"):  # T5's, and others whose layer knows
        return lambda distances, rows: _of_layer(layer, distances, rows)
    attention = next((one for one in layers.values() if hasattr(one, "span")), None)
    return lambda distances, rows: _of_attention(attention, distances, rows)


def _of_layer(layer, distances, rows):
    other = type(layer).from_config({**layer.get_config(), "input_dim": rows})
    return np.asarray(other.rows(distances.astype("int32")))


def _of_attention(layer, distances, rows):
    """DeBERTa's rows: the span, half of the table, is that of its buckets or of its distances."""
    span = rows // 2
    if layer is not None and layer.buckets:
        table = log_bucket_table(span, layer.max_distance)
        distances = np.sign(distances) * table[np.minimum(np.abs(distances), len(table) - 1)]
    return np.clip(distances, -span, span - 1) + span


def _without(shape, axis):
    return tuple(size for i, size in enumerate(shape) if i != axis)
