"""load_checkpoint: weights from any checkpoint into a model, all of them or none."""

import logging
import re
from dataclasses import dataclass, field

import numpy as np

from bert4keras_ext.checkpoints.arrays import assign, dtype_of
from bert4keras_ext.checkpoints.detect import open_checkpoint
from bert4keras_ext.checkpoints.keras_h5 import KerasWeightsReader
from bert4keras_ext.checkpoints.keras_weights import load_keras_weights
from bert4keras_ext.checkpoints.names import tables_if_known
from bert4keras_ext.checkpoints.problems import check
from bert4keras_ext.checkpoints.reader import Reader
from bert4keras_ext.checkpoints.resize import resize_scale
from bert4keras_ext.checkpoints.resolve import resolve
from bert4keras_ext.checkpoints.tables import keep_own_rows, note_on_new_rows, resized

logger = logging.getLogger(__name__)

SHOWN = 10

# A conditional norm's matrices and LoRA's: the last ones start at zero, so that the layer starts as
# the plain one.
_NEUTRAL = r".*/((beta|gamma|hidden)_dense/kernel|lora_\w+)"


@dataclass
class LoadReport:
    """What `load_checkpoint` did.

    Attributes:
        format: the checkpoint's format.
        path: where it lies.
        source: whose names it has: "tensorflow", "huggingface", "native", "mapping" or "keras".
        loaded: {our weight: name in the checkpoint}.
        missing: {our weight: name in the checkpoint} that was not there, and ignored.
        unused: names in the checkpoint that the model has no weight for.
        unnamed: our weights that no checkpoint of this source holds; they stay as they are.
        resized: {our weight: (shape in the checkpoint, shape in the model)}.
        notes: what else deserves to be known, as sentences.
    """

    format: str
    path: str
    source: str
    loaded: dict = field(default_factory=dict)
    missing: dict = field(default_factory=dict)
    unused: list = field(default_factory=list)
    unnamed: list = field(default_factory=list)
    resized: dict = field(default_factory=dict)
    notes: list = field(default_factory=list)

    def __str__(self):
        return (
            f"{len(self.loaded)} weights loaded from {self.format} {self.path!r} "
            f"({self.source} names); "
            f"{len(self.missing)} missing, {len(self.unused)} unused, {len(self.resized)} resized, "
            f"{len(self.unnamed)} without a name"
        )


def load_checkpoint(builder, checkpoint, mapping=None):
    """Loads a checkpoint into a model: all weights are found, and fit, before one is assigned.

    Args:
        builder: what built the model. It has to offer `family`, `named_weights()` ({our weight's
            name without prefix: variable} in order of creation), `vocabulary_axes` ({weight:
            axis}), `keep_tokens`, `compound_tokens`, `autoresize_weights`,
            `ignore_invalid_weights`, `hidden_act`, `prefix` and `model`; and, where tokens are
            kept, `original_vocab_size`, the config's, by which edited tables are told.
        checkpoint: a path, a `Reader` or a dict {name: array}; see `open_checkpoint`.
        mapping: names in the checkpoint, given by hand instead of the family's tables: {layer
            name: list of names in the order of the layer's weights} as bert4keras'
            `variable_mapping`, {our weight: name} or {our weight: (name, transform)}. None in
            place of a name skips a weight. A name that the tables know keeps its transform.

    Returns:
        A `LoadReport`.

    Raises:
        CheckpointError: if the file is damaged, or a weight is missing (unless the builder says
            `ignore_invalid_weights`) or of another shape (unless `autoresize_weights`). The model
            is then as it was. The message lists what was found and the likely fix.

    Example::

        report = load_checkpoint(builder, "chinese_L-12_H-768_A-12/bert_model.ckpt")
        len(report.loaded), report.unused
    """
    if not isinstance(checkpoint, Reader):
        with open_checkpoint(checkpoint) as reader:
            return load_checkpoint(builder, reader, mapping)
    if mapping is None and isinstance(checkpoint, KerasWeightsReader):
        names = load_keras_weights(builder.model, checkpoint)
        return LoadReport(checkpoint.format, checkpoint.path, "keras", dict(zip(names, names)))
    plan = resolve(builder, checkpoint, mapping)
    check(builder, checkpoint, plan)
    checkpoint.verify([match.foreign for match in plan.matches])
    report = _report(builder, checkpoint, plan)
    weights = builder.named_weights()
    for match in plan.matches:
        variable = weights[match.ours]
        value = _value(builder, checkpoint, match, dtype_of(variable.dtype))
        assign(variable, value)
        del value  # before the next tensor is read
    for note in report.notes:
        logger.warning(note)
    logger.info("%s", report)
    return report


def _value(builder, reader, match, dtype):
    """The array that one weight is assigned. Mostly it is filled straight from the file."""
    view = match.transform.view
    if reader.streams and view and match.vocabulary is None and match.found == match.expected:
        value = np.empty(match.expected, dtype)
        reader.read_into(match.foreign, view(value))
        return value
    value = match.transform.forward(reader.read(match.foreign))
    if match.vocabulary is not None:
        value = match.vocabulary.apply(value, builder.vocabulary_axes[match.ours])
    if value.shape != match.expected:
        value = _resized(builder, match, value)
    if match.vocabulary is not None and (unknown := match.vocabulary.unknown()).any():
        axis = builder.vocabulary_axes[match.ours]
        keep_own_rows(value, unknown, axis, builder.named_weights()[match.ours])
    return np.ascontiguousarray(value, dtype=dtype)


def _resized(builder, match, value):
    shapes, scaled = (match.found, match.expected), _scaled(builder, match.ours)
    scale = resize_scale(match.ours, *shapes, builder.hidden_act, scaled)
    return resized(builder, match, value, scale)


def _scaled(builder, weight):
    """Whether the attention layer of a weight divides its logits by sqrt(key size)."""
    layers = getattr(builder, "layers", None) or {}
    layer = layers.get((builder.prefix or "") + weight.partition("/")[0])
    return bool(getattr(layer, "attention_scale", True))


def _report(builder, reader, plan):
    report = LoadReport(reader.format, reader.path, plan.source)
    report.loaded = {match.ours: match.foreign for match in plan.matches}
    report.missing = dict(plan.missing)
    report.unused = list(plan.unused)
    report.unnamed = list(plan.unnamed)
    for match in plan.matches:
        if match.found != match.expected:
            report.resized[match.ours] = (match.found, match.expected)
            report.notes += filter(None, [note_on_new_rows(builder, match)])
        if match.vocabulary is not None and match.vocabulary.note:
            report.notes.append(match.vocabulary.note)
    if report.missing:
        some = ", ".join(f"{ours} ({name})" for ours, name in plan.missing[:SHOWN])
        report.notes.append(
            f"{len(plan.missing)} weights are not in the checkpoint, ignored: {some}"
        )
    random = _random(builder, plan)
    if random:
        report.notes.append(
            f"{len(random)} weights have no name among the {plan.source} names of "
            f"{builder.family!r} and stay as they are (random in a new model): "
            f"{', '.join(random[:SHOWN])}. "
            "Either the config has options that this checkpoint was trained without "
            "(hidden_act, pre_norm, a head), or give their names with mapping="
        )
    return report


def _random(builder, plan):
    """The weights that nothing was found for although they need to be learned."""
    if plan.source == "mapping":
        return []  # what it leaves out is left out on purpose
    tables = tables_if_known(builder.family)
    return [
        name
        for name in plan.unnamed
        if not re.fullmatch(_NEUTRAL, name) and not any(table.computes(name) for table in tables)
    ]
