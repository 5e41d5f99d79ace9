"""A `DataGenerator` as a `tf.data.Dataset`."""

from functools import partial
from itertools import chain, islice

import numpy as np

from bert4keras_ext.data.batches import as_keras_batch, as_keras_sample, open_axes
from bert4keras_ext.data.lengths import bucket_length
from bert4keras_ext.data.padding import sequence_padding
from bert4keras_ext.data.shuffle import silence_shuffle_warning


def make_dataset(
    generator,
    types=None,
    shapes=None,
    names=None,
    padded_batch=False,
    *,
    padding_values=None,
    batched=None,
    random=True,
    repeat=True,
    initial_epoch=0,
    exact=True,
):
    """What `DataGenerator.to_dataset` does.

    Two kinds of generators are taken. Where `__iter__` yields whole batches, as for `forfit`,
    `to_dataset()` needs no argument: dtypes and shapes are those of the first batch, axes that
    may vary left open (see `open_axes`). Where it yields single samples, as bert4keras'
    `to_dataset` wants, `types` and `shapes` describe one sample, and `batch_size` samples are put
    together, across the end of an epoch too, so that all batches are full. A list in a sample is
    then several arrays where `types` (or else `shapes`, or `names`) is nested, one where it is not.

    Args:
        generator: a `DataGenerator`.
        types: dtypes, nested like what `__iter__` yields (or one for all arrays).
        shapes: shapes, nested likewise, `None` for what varies; with the batch axis when
            `batched`, without it for samples.
        names: names of inputs that make dicts: one string, a tuple of strings for the inputs, or
            a tuple of such tuples for inputs and targets.
        padded_batch: pads samples: an axis that is `None` in `shapes` to its longest row, rounded
            up to `generator.multiple`, any other to the size given there.
        padding_values: what samples are padded with, nested like `shapes` (or one number for all
            arrays); None is 0. Token ids of a model whose padding is not 0 need their own.
        batched: whether `__iter__` yields batches; by default it does if neither `types`,
            `shapes` nor `padded_batch` is given.
        random, repeat: shuffled, and endless (pass `steps_per_epoch=len(generator)`), or in order
            and one pass.
        initial_epoch: where shuffling continues, for generators with a seed.
        exact: whether one pass yields `len(generator)` batches, which Keras is then told. False
            where `__iter__` leaves items out or makes more of them: Keras, which finds the end by
            running into it, then warns that data ran out.

    Returns:
        A `tf.data.Dataset` of tuples `(inputs, targets)`; of dicts if `names` name them all;
        of `(inputs,)` where the targets are `None`.

    Raises:
        ValueError: no data, or `types` or `shapes` nested in another way than the data; while
            reading, when a pass yields another number of batches than `exact` says.

    Example::

        dataset = train.to_dataset(
            types=("float32", "float32"), shapes=([None], [None]),
            names=("Input-Token", "Input-Segment"), padded_batch=True,
        )
        model.fit(dataset, steps_per_epoch=len(train), epochs=3)
    """
    import tensorflow as tf

    if batched is None:
        batched = types is None and shapes is None and not padded_batch
    if padded_batch and shapes is None:
        raise ValueError("expected shapes=, None for each axis to pad, as padded_batch is set")
    if padding_values is not None and not padded_batch:
        raise ValueError("expected padded_batch=True, as padding_values are given")
    guide = _guide(types, shapes, names)

    def batches():
        stream = _passes(generator, random, repeat, initial_epoch)
        if batched:
            stream = map(as_keras_batch, stream)
        else:
            samples = (as_keras_sample(sample, *guide) for sample in stream)
            shapes_to_pad = shapes if padded_batch else None
            stream = _stacked(samples, generator, shapes_to_pad, padding_values)
        for batch in stream:
            yield _without_missing_targets(map_with(_cast, types, batch, _is_dtype))

    first, unread = _peek(batches())
    signature = map_with(
        lambda array, shape: _spec(tf, array, shape, batched), shapes, first, _is_shape
    )

    length = None
    if exact and not repeat and generator.steps is not None:
        length = len(generator)

    def elements():
        # The iterator that was looked into goes on, so that a stream loses nothing.
        stream = unread.pop() if unread else batches()
        for batch in _counted(stream, length) if length else stream:
            yield _named(names, batch)

    silence_shuffle_warning()
    dataset = tf.data.Dataset.from_generator(elements, output_signature=_named(names, signature))
    if length:
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(length))
    return dataset.prefetch(tf.data.AUTOTUNE)


def _counted(batches, length):
    """The batches, which must be as many as was said; TensorFlow's own error names no fix."""
    number = 0
    for number, batch in enumerate(batches, start=1):
        if number > length:
            break
        yield batch
    if number != length:
        found = "more" if number > length else number
        raise ValueError(
            f"expected a pass of len(generator) = {length} batches, found {found}; where __iter__ "
            "leaves items out or makes more of them, define __len__, or pass exact=False"
        )


def _passes(generator, random, repeat, initial_epoch):
    return generator.passes(random, initial_epoch) if repeat else generator.__iter__(random)


def _guide(types, shapes, names):
    """The first of them that is nested, which tells how samples are, and what its leaves are."""
    for description, is_leaf in ((types, _is_dtype), (shapes, _is_shape), (names, _is_name)):
        if description is not None and not is_leaf(description):
            return description, is_leaf
    return None, None


def _peek(batches):
    """The first batch, and a list that holds the iterator over all of them."""
    for first in batches:
        return first, [chain([first], batches)]
    raise ValueError("expected at least one batch to make a dataset of, received none")


def map_with(function, description, value, is_leaf):
    """`function(array, its description)` for every array of a nested value.

    `description` is nested like `value`, or a leaf at any depth that holds for all below it.
    """
    if isinstance(description, dict) and isinstance(value, tuple):
        description = (description,)
    if not isinstance(value, (dict, tuple)):
        _check_nesting(value is None or is_leaf(description), "one array", description)
        return None if value is None else function(value, description)
    keys = list(value) if isinstance(value, dict) else range(len(value))
    if is_leaf(description):
        description = dict.fromkeys(keys, description)
    _check_nesting(len(description) == len(value), f"{len(value)} entries", description)
    parts = {key: map_with(function, description[key], value[key], is_leaf) for key in keys}
    return parts if isinstance(value, dict) else tuple(parts.values())


def _check_nesting(is_right, found, description):
    if not is_right:
        raise ValueError(
            f"expected types and shapes nested like the data, {found} here, received "
            f"{description!r}"
        )


def _is_name(description):
    return isinstance(description, str)


def _is_dtype(description):
    return not isinstance(description, (dict, tuple, list))


def _is_shape(description):
    return description is None or (
        not isinstance(description, dict)
        and all(size is None or isinstance(size, (int, np.integer)) for size in description)
    )


def _cast(array, dtype):
    # tf.float32 and its like are no NumPy dtypes.
    return np.asarray(array, dtype=getattr(dtype, "as_numpy_dtype", dtype))


def _spec(tf, array, shape, batched):
    if shape is None:
        shape = [None if open_ else size for open_, size in zip(open_axes(array), array.shape)]
    elif not batched:
        shape = [None, *shape]
    return tf.TensorSpec(shape, array.dtype)


def _stacked(samples, generator, shapes, padding_values):
    """Batches of `batch_size` samples, padded where `shapes` is given; the last may be short."""

    def with_value(column, value):
        return partial(_stack, column, generator=generator, value=value or 0)

    while rows := list(islice(samples, generator.batch_size)):
        stacks = map_with(with_value, padding_values, _columns(rows), _is_dtype)
        yield map_with(lambda stack, shape: stack(shape), shapes, stacks, _is_shape)


def _columns(rows):
    """One nested value with lists of arrays in place of many with arrays."""
    first = rows[0]
    if isinstance(first, dict):
        return {key: _columns([row[key] for row in rows]) for key in first}
    if isinstance(first, tuple):
        return tuple(_columns(column) for column in zip(*rows))
    return None if first is None else list(rows)


def _stack(rows, shape, generator, value):
    rows = [np.asarray(row) for row in rows]
    if shape is None or not rows[0].ndim:
        try:
            return np.stack(rows)
        except ValueError:
            raise ValueError(
                f"expected samples of one shape, received {sorted({row.shape for row in rows})}; "
                "fix: padded_batch=True with shapes="
            ) from None
    longest = np.max([row.shape for row in rows], axis=0).tolist()
    lengths = [
        size if size is not None else bucket_length(found, generator.multiple, generator.buckets)
        for size, found in zip(shape, longest)
    ]
    return sequence_padding(rows, length=lengths, value=value, seq_dims=len(lengths))


def _without_missing_targets(batch):
    """(inputs, None) as (inputs,): a dataset cannot hold None."""
    while batch and batch[-1] is None:
        batch = batch[:-1]
    return batch


def _named(names, batch):
    """Dicts in place of tuples, by names nested like the batch or like its inputs."""
    if names is None:
        return batch
    if isinstance(names, str) or all(isinstance(name, str) for name in names):
        # Names of the inputs alone: of the batch itself if it is a flat list of inputs, as
        # bert4keras' single samples are.
        if isinstance(batch[0], tuple) or isinstance(names, str):
            return (_as_dict(names, batch[0]), *batch[1:])
        return _as_dict(names, batch)
    if len(names) != len(batch):
        raise ValueError(f"expected names for {len(batch)} parts of a batch, received {names!r}")
    return tuple(_as_dict(group, part) for group, part in zip(names, batch))


def _as_dict(names, value):
    names = [names] if isinstance(names, str) else list(names)
    values = value if isinstance(value, tuple) else (value,)
    if len(names) != len(values):
        raise ValueError(f"expected {len(values)} names, received {names!r}")
    return dict(zip(names, values))
