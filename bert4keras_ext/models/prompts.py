"""What generation starts from: rows of ids in any form users have them, checked and padded."""

from typing import NamedTuple

import keras
import numpy as np

from bert4keras_ext.layers import PositionEmbedding
from bert4keras_ext.models.ernie import TaskEmbedding
from bert4keras_ext.models.roberta import RealTokenPositions

_FORMS = (
    "a list of rows, each a list of ids or a pair (ids, segments); a pair of padded arrays "
    "(ids, segments); a dict {input: rows}; or texts with tokenizer="
)


class Prompt(NamedTuple):
    """ids: what the new tokens follow; others: {role: values} beside them, of the same length;
    source: what an encoder reads, or None; extras: {input's name: value} of the user's inputs."""

    ids: list
    others: dict
    source: list
    extras: dict


def read_prompts(inputs, graph, tokenizer=None, start_id=0):
    """List of Prompt, from whatever the caller has.

    Raises:
        ValueError, TypeError: naming the row, what was expected and what was found.
    """
    columns = _columns(inputs, graph, tokenizer)
    extras = [name for name in graph.roles.values() if name not in _KNOWN]
    known = {"source", "decoder", *_KNOWN, *extras}
    if set(columns) - known:
        raise ValueError(
            f"the model has the inputs {list(graph.roles.values())}, received {sorted(columns)}"
        )
    if missing := [name for name in extras if name not in columns]:
        raise ValueError(
            f"the model has further inputs, {missing}: pass all of them by name, "
            "generate({'Input-Token': rows, 'name': values})"
        )
    main = "source" if graph.is_seq2seq else "token"
    if any(len(graph.tensors[i].shape) > 2 for i in graph.ids_of("position")):
        raise ValueError(
            "the model's positions have several coordinates (rotary_axes), of which nobody knows "
            "the next: generation expects positions in a line"
        )
    if main not in columns:
        raise ValueError(
            f"expected rows of {main!r} among the inputs, found {sorted(columns)}: {_FORMS}"
        )
    lengths = {name: len(rows) for name, rows in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"expected as many rows of each input, found {lengths}")
    return [
        _prompt({name: rows[i] for name, rows in columns.items()}, i, main, graph, start_id, extras)
        for i in range(lengths[main])
    ]


_KNOWN = ("token", "segment", "position", "task", "source")
_SHORT = {
    "Encoder-Input-Token": "source", "Decoder-Input-Token": "decoder", "Input-Token": "token",
    "Input-Segment": "segment", "Input-Position": "position", "Input-Task": "task",
}  # fmt: skip


def _columns(inputs, graph, tokenizer):
    """{role or name: rows}"""
    main = "source" if graph.is_seq2seq else "token"
    if isinstance(inputs, dict):
        columns = {_role(name): _listed(name, rows, graph) for name, rows in inputs.items()}
        if any(isinstance(row, str) for row in columns.get(main, ())):
            columns[main] = _encoded(columns[main], graph, tokenizer)
        return columns
    if isinstance(inputs, str):
        inputs = [inputs]
    if isinstance(inputs, tuple) and (not inputs or any(isinstance(x, str) for x in inputs)):
        inputs = list(inputs)
    if isinstance(inputs, tuple) and inputs and all(map(_is_ids, inputs)):
        inputs = [inputs]  # one row, as a tokenizer's encode gives it
    elif isinstance(inputs, list) and inputs and all(map(_is_padded, inputs)):
        inputs = tuple(inputs)  # arrays, as a model takes them
    if isinstance(inputs, tuple):
        roles = [main, *_beside(graph)]
        if len(inputs) > len(roles):
            raise ValueError(f"expected at most {len(roles)} arrays {roles}, found {len(inputs)}")
        return {role: _listed(role, rows, graph) for role, rows in zip(roles, inputs)}
    if not isinstance(inputs, (list, np.ndarray)) and not hasattr(inputs, "__iter__"):
        raise TypeError(f"expected {_FORMS}; received {type(inputs).__name__}")
    rows = _listed(main, inputs, graph)
    if any(isinstance(row, str) for row in rows):
        rows = _encoded(rows, graph, tokenizer)
    elif rows and all(isinstance(x, (int, np.integer)) for x in rows):
        rows = [rows]  # a single row
    return _split(rows, main, graph)


def _is_ids(row):
    """Whether it is a list (or array) of whole numbers."""
    is_row = isinstance(row, (list, np.ndarray)) and len(row) > 0
    return is_row and all(isinstance(x, (int, np.integer)) for x in row)


def _is_padded(rows):
    """Whether it is an array of several rows."""
    return len(getattr(rows, "shape", ())) == 2


def _role(name):
    return next((role for end, role in _SHORT.items() if name.endswith(end)), name)


def _beside(graph):
    """Roles of what comes with the ids in a tuple."""
    if graph.is_seq2seq:
        return ["decoder"]
    return [role for role in ("segment", "position", "task") if role in graph.roles.values()]


def _listed(name, rows, graph):
    """Rows as a list; of a padded array without its padding."""
    shape = getattr(rows, "shape", None)
    if shape is None or len(shape) != 2 or name not in _KNOWN and name not in _SHORT:
        return list(rows)
    return list(np.asarray(rows))


def _encoded(texts, graph, tokenizer):
    if tokenizer is None:
        raise ValueError("texts need the tokenizer: generate(texts, tokenizer=tokenizer)")
    rows = []
    for text in texts:
        if not isinstance(text, str):
            raise TypeError(
                f"expected texts alone, or rows of ids alone; found {text!r} among texts"
            )
        ids, _ = tokenizer.encode(text)
        one_piece = not (graph.is_seq2seq or graph.is_unilm)
        if one_piece and len(ids) > 1 and ids[-1] == getattr(tokenizer, "_token_end_id", None):
            ids = ids[:-1]  # what a language model is to go on with
        rows.append(list(ids))
    return rows


def _split(rows, main, graph):
    """Columns from rows that are ids, or tuples of ids and what belongs to them."""
    pairs = [_is_nested(row) for row in rows]
    if not any(pairs):
        return {main: rows}
    roles = [main, *_beside(graph)]
    if not all(pairs) or len({len(row) for row in rows}) > 1 or len(rows[0]) > len(roles):
        raise ValueError(f"expected every row to be ids, or to be {tuple(roles)}: {_FORMS}")
    return {role: [row[i] for row in rows] for i, role in enumerate(roles[: len(rows[0])])}


def _is_nested(row):
    is_row = isinstance(row, (list, tuple)) and len(row) > 0
    return is_row and isinstance(row[0], (list, tuple, np.ndarray))


def _prompt(row, index, main, graph, start_id, extras):
    values = {name: _whole_numbers(row[name], index, name) for name in row if name not in extras}
    values = _without_padding(values, main, graph)
    ids = values.pop(main)
    source = None
    if graph.is_seq2seq:
        source, ids = ids, values.pop("decoder", None) or [start_id]
        _check_ids(source, index, graph)
    values.pop("decoder", None)
    _check_ids(ids, index, graph)
    for name, found in values.items():
        if len(found) != len(ids):
            raise ValueError(f"row {index} has {len(ids)} ids and {len(found)} of {name!r}")
        _check_range(found, index, name, graph)
    for role in graph.roles.values():
        if role in ("segment", "task"):
            values.setdefault(role, [0] * len(ids))
        elif role == "position":
            values.setdefault(role, list(range(len(ids))))
    values = {role: x for role, x in values.items() if role in graph.roles.values()}
    return Prompt(ids, values, source, {name: row[name] for name in extras})


def _whole_numbers(row, index, name):
    numbers = np.asarray(row)
    if numbers.ndim != 1 or (numbers.size and numbers.dtype.kind not in "iu"):
        raise TypeError(
            f"row {index} of {name!r}: expected a list of whole numbers, found "
            f"{str(row)[:60]}: expected {_FORMS}"
        )
    return numbers.tolist()


def _without_padding(values, main, graph):
    """Takes padding off the end of a row, where the model would mask it; and off its beginning,
    where position ids tell it from a start token."""
    ids = values[main]
    if graph.padding is None or not ids:
        return values
    real = [i for i, token in enumerate(ids) if token != graph.padding]
    if not real or len(real) == len(ids):
        return values
    first, last = real[0] if "position" in values else 0, real[-1] + 1
    same = {name for name, x in values.items() if len(x) == len(ids)}
    return {name: x[first:last] if name in same else x for name, x in values.items()}


def _check_ids(ids, index, graph):
    if not ids:
        raise ValueError(
            f"row {index} is empty: expected at least one token, such as a start token"
        )
    outside = [i for i in ids if not 0 <= i < graph.vocabulary]
    if outside:
        raise ValueError(
            f"row {index} has ids outside of the vocabulary of {graph.vocabulary}: {outside[:5]}. "
            "Were they made with the vocabulary that the model was built for (keep_tokens)?"
        )


def _check_range(values, index, role, graph):
    """Raises ValueError for segments, tasks or positions that there is no vector for."""
    limit = _limit_of(role, graph)
    outside = [i for i in values if i < 0 or limit is not None and i >= limit]
    if outside:
        expected = "at least 0" if limit is None else f"from 0 to {limit - 1}"
        raise ValueError(f"row {index}: expected {role} ids {expected}, found {outside[:5]}")


_TABLES = (keras.layers.Embedding, PositionEmbedding, TaskEmbedding)


def _limit_of(role, graph):
    """How many rows the tables have in which ids of a role are looked up; None without one."""
    ids, limits = set(graph.ids_of(role)), []
    for call in graph.calls:
        layer = call.operation
        if isinstance(layer, _TABLES) and ids & set(call.inputs):
            is_square = getattr(layer, "hierarchical", None)
            limits.append(layer.input_dim**2 if is_square else layer.input_dim)
    return min(limits, default=None)


def check_positions(prompts, graph, new_tokens):
    """Raises ValueError for the first prompt whose own positions leave no room for new tokens."""
    limit = _limit_of("position", graph)
    for index, prompt in enumerate(prompts):
        last = prompt.others["position"][-1] if limit is not None else 0
        if limit is not None and last + new_tokens >= limit:
            raise ValueError(
                f"row {index} ends at position {last}, with max_new_tokens={new_tokens} at "
                f"{last + new_tokens}: the model knows {limit} positions, from 0 on. Ask for fewer "
                "new tokens, or shorten the prompt"
            )


def window_of(graph):
    """The most places that a model has positions for, or None."""
    limits = []
    for call in graph.calls:
        layer = call.operation
        if isinstance(layer, PositionEmbedding) and not layer.custom_position_ids:
            limits.append(layer.input_dim**2 if layer.hierarchical else layer.input_dim)
        elif isinstance(layer, RealTokenPositions):
            limits.append(layer.limit)
    return min(limits, default=None)


def check_window(prompts, window, new_tokens):
    """Raises ValueError for the first prompt that leaves no room for so many new tokens."""
    for index, prompt in enumerate(prompts):
        if window is not None and len(prompt.ids) + new_tokens > window:
            raise ValueError(
                f"row {index} has {len(prompt.ids)} tokens, with max_new_tokens={new_tokens} "
                f"{len(prompt.ids) + new_tokens}: the model knows {window} positions. Shorten the "
                "prompt (maxlen of the tokenizer), or ask for fewer new tokens"
            )


def padded(rows, length, value=0, side="right"):
    """int32 (rows, length)."""
    found = np.full((len(rows), length), value, "int32")
    for line, row in zip(found, rows):
        if side == "right":
            line[: len(row)] = row
        else:
            line[length - len(row) :] = row
    return found
