"""What is wrong between a checkpoint and a model, said so that it can be mended."""

import re

from bert4keras_ext.checkpoints import names as name_tables
from bert4keras_ext.checkpoints.reader import CheckpointError
from bert4keras_ext.checkpoints.tables import can_be_resized

SHOWN = 10

_HEADS = {
    "MLM-": ("masked language model head", "with_mlm=False"),
    "NSP-": ("next sentence head", "with_nsp=False"),
    "Pooler-": ("pooler", "with_pool=False"),
    "Decoder-Output-LM": (
        "output table of its own",
        "with_lm=False, or tie_word_embeddings=True to use the word table",
    ),
    "Decoder-": ("decoder", "a model= that ends in _encoder"),
}

_LENGTHS = {
    "Embedding-Position/embeddings": "max_position",
    "Embedding-Segment/embeddings": "segment_vocab_size (type_vocab_size in the config)",
    "Embedding-Task/embeddings": "task_type_vocab_size",
}

_OTHERWISE = (
    "give the config and the model= that belong to this checkpoint, or the names with mapping=; "
    "ignore_invalid_weights=True leaves missing weights as they are, "
    "autoresize_weights=True resizes weights of another shape."
)


def check(builder, reader, plan):
    """Raises CheckpointError unless the plan can be carried out completely.

    Args:
        builder: the model's builder; `ignore_invalid_weights` lets weights be missing,
            `autoresize_weights` lets them have any shape that can be resized.
        reader: the open checkpoint.
        plan: what `resolve` found.
    """
    missing = [] if builder.ignore_invalid_weights else plan.missing
    wrong = [match for match in plan.matches if not _fits(builder, match)]
    if plan.matches and not (missing or wrong or plan.unfit):
        return
    raise CheckpointError(_message(builder, reader, plan, missing, wrong))


def _fits(builder, match):
    if builder.autoresize_weights:
        return can_be_resized(builder, match)
    return match.found == match.expected


def _message(builder, reader, plan, missing, wrong):
    lines = [
        f"Cannot load {reader.format} {reader.path!r} into this {builder.family!r} model; "
        "the model has not been changed.",
        f"Found {len(reader.names())} tensors; "
        f"the names that fit best are those of {plan.source!r}: "
        f"{len(plan.matches)} of the model's weights are among them.",
    ]
    lines += _listed("missing", [f"{ours}  (in the checkpoint: {name})" for ours, name in missing])
    lines += _listed(
        "of another shape",
        [
            f"{match.ours} {match.expected}  (in the checkpoint: {match.foreign} {match.found})"
            for match in wrong
        ],
    )
    lines += _listed(
        "of a dtype that is no weight's",
        [f"{match.ours}  (in the checkpoint: {match.foreign})" for match in plan.unfit],
    )
    lines += _listed(
        "in the checkpoint but unused", [f"{name} {reader.shape(name)}" for name in plan.unused]
    )
    lines.append(f"Likely fix: {_fix(builder, reader, plan, missing, wrong)}")
    return "\n".join(lines)


def _listed(what, rows):
    if not rows:
        return []
    more = f"\n  ... and {len(rows) - SHOWN} more" if len(rows) > SHOWN else ""
    return [f"{len(rows)} {what}:\n  " + "\n  ".join(rows[:SHOWN]) + more]


def _fix(builder, reader, plan, missing, wrong):
    """The first of the known causes that explains what is wrong."""
    causes = (
        _other_software(reader, plan),
        _other_family(builder, reader, plan),
        _absent_heads(missing),
        _too_many_layers(plan, missing),
        _other_sizes(builder, wrong),
    )
    return next(filter(None, causes), _OTHERWISE)


def _other_software(reader, plan):
    return reader.advice if not plan.matches or len(plan.missing) > len(plan.matches) else None


def _other_family(builder, reader, plan):
    """Names that another family's table knows better, or that no table knows at all."""
    if len(plan.matches) >= len(plan.missing):
        return None
    names = reader.names()
    known = {table: table.recognised(names) for table in name_tables.TABLES.values()}
    best = max(known, key=known.get)
    own = name_tables.tables_if_known(builder.family)
    # A name or two that others use as well (lm_head.weight) tell nothing.
    mostly = known[best] * 4 >= len(names)
    if mostly and known[best] > max((known[table] for table in own), default=0):
        return f"these are names of the family {best.family!r}: say model={best.family!r}."
    if not plan.matches:
        return (
            f"no name in it is one that a {builder.family!r} model has. Say the right model=, "
            "or give the names with mapping={layer name: [names in the checkpoint]}."
        )
    return None


def _absent_heads(missing):
    """Nothing but heads is missing: a checkpoint of the encoder alone."""
    prefixes = {
        next((head for head in _HEADS if ours.startswith(head)), None) for ours, _ in missing
    }
    if not prefixes or None in prefixes:
        return None
    names = " and no ".join(_HEADS[prefix][0] for prefix in sorted(prefixes))
    switches = ", ".join(_HEADS[prefix][1] for prefix in sorted(prefixes))
    return (
        f"the checkpoint has no {names}: build with {switches}, "
        "or with ignore_invalid_weights=True to start the head from random weights."
    )


def _too_many_layers(plan, missing):
    """Nothing but whole layers beyond the last one in the checkpoint is missing."""
    numbers = [_layer_number(ours) for ours, _ in missing]
    present = [_layer_number(match.ours) for match in plan.matches]
    depth = 1 + max((number for number in present if number is not None), default=-1)
    if not numbers or any(number is None or number < depth for number in numbers):
        return None
    return (
        f"the checkpoint has {depth} layers, the model {1 + max(numbers)}: "
        f"set num_hidden_layers={depth}, or ignore_invalid_weights=True to start the others "
        "from random weights."
    )


def _layer_number(ours):
    number = re.search(r"-(\d+)-", ours)
    return None if number is None else int(number[1])


def _other_sizes(builder, wrong):
    """Says which setting a wrong shape comes from; the tables' lengths can differ one by one."""
    if not wrong:
        return None
    if all(_only_its_length(builder, match) for match in wrong):
        # The token table and the output bias say the same.
        return "; ".join(dict.fromkeys(_length_message(builder, match) for match in wrong)) + "."
    return (
        "the sizes differ, so the config does not belong to this checkpoint: use the config file "
        "that came with it, or autoresize_weights=True to stretch the weights on purpose."
    )


def _length_message(builder, match):
    axis = _length_axis(builder, match)
    ours, found = match.expected[axis], match.found[axis]
    sizes = f"is {ours} in the model and {found} in the checkpoint"
    if match.ours not in builder.vocabulary_axes:
        return f"{_LENGTHS[match.ours]} {sizes}. Set it to the checkpoint's"
    if ours < found:
        return f"vocab_size (or select rows with keep_tokens) {sizes}. Set it to the checkpoint's"
    return (
        f"vocab_size {sizes}. Set it to the checkpoint's, and give the {ours - found} new tokens "
        "as compound_tokens=[[ids], ...], for each the checkpoint's ids that it starts from "
        "(autoresize_weights=True starts them at random)"
    )


def _length_axis(builder, match):
    return builder.vocabulary_axes.get(match.ours, 0)


def _only_its_length(builder, match):
    """Whether a table fits but for the number of its entries."""
    known = match.ours in _LENGTHS or match.ours in builder.vocabulary_axes
    if not known or len(match.found) != len(match.expected):
        return False
    axis = _length_axis(builder, match)
    other = [size for i, size in enumerate(match.found) if i != axis]
    return other == [size for i, size in enumerate(match.expected) if i != axis]
