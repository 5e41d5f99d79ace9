"""Which tensor belongs to which of our weights, and does it fit? Nothing is read here."""

from dataclasses import dataclass, field
from typing import Any

from bert4keras_ext.checkpoints import names as name_tables
from bert4keras_ext.checkpoints.arrays import is_floating
from bert4keras_ext.checkpoints.transforms import IDENTITY, Transform
from bert4keras_ext.checkpoints.vocabulary import VocabularyEdit


@dataclass
class Match:
    """One of our weights together with the tensor that it is to be read from.

    Attributes:
        ours: our name of the weight.
        foreign: the tensor's name in the checkpoint.
        transform: how the tensor becomes the weight.
        vocabulary: the VocabularyEdit it goes through, or None.
        found: the shape it then has.
        expected: the shape of our variable.
    """

    ours: str
    foreign: str
    transform: Transform
    found: tuple
    expected: tuple
    vocabulary: Any = None


@dataclass
class Plan:
    """What a checkpoint offers a model.

    Attributes:
        source: whose names they are: "tensorflow", "huggingface", "native", "mapping" or "keras".
        matches: list of Match.
        missing: list of (our weight, its name in the checkpoint) that are not in the checkpoint.
        unused: names in the checkpoint that no weight asked for.
        unnamed: our weights that no table has a name for.
        unfit: list of Match whose dtype cannot be loaded into a weight.
    """

    source: str
    matches: list = field(default_factory=list)
    missing: list = field(default_factory=list)
    unused: list = field(default_factory=list)
    unnamed: list = field(default_factory=list)
    unfit: list = field(default_factory=list)


def resolve(builder, reader, mapping=None):
    """Finds the tensor for each of the builder's weights.

    Args:
        builder: the model's builder (see `load_checkpoint` for what it has to offer).
        reader: an open `Reader`.
        mapping: None, or names given by hand as `load_checkpoint` describes.

    Returns:
        A `Plan`.
    """
    weights = builder.named_weights()
    source, wanted, ignored = _names(builder, weights, reader, mapping)
    plan = Plan(source, unnamed=[name for name in weights if name not in wanted])
    for ours, (foreign, transform) in wanted.items():
        if foreign is None:
            continue
        if foreign not in reader:
            plan.missing.append((ours, foreign))
            continue
        match = _matched(reader, ours, weights[ours], foreign, transform.bind(builder))
        # Our own files hold the vocabulary as the model has it: nothing is to be selected again.
        if source not in ("native", "keras") or match.found != match.expected:
            _edit_vocabulary(builder, match)
        # Integers would load without a murmur: the codes of a quantized model, for instance.
        (plan.matches if is_floating(reader.dtype(foreign)) else plan.unfit).append(match)
    used = {match.foreign for match in plan.matches + plan.unfit}
    plan.unused = [name for name in reader.names() if name not in used and not ignored(name)]
    return plan


def _names(builder, weights, reader, mapping):
    """(source, {our weight: (foreign name, transform)}, which unused names are no loss)."""
    if mapping is not None:
        return "mapping", named_by_hand(builder, weights, mapping), lambda name: False
    if hasattr(reader, "layers"):
        return "keras", named_by_layer(builder, weights, reader.layers), lambda name: False
    return _by_table(builder, weights, set(reader.names()))


def _matched(reader, ours, variable, foreign, transform):
    found = transform.shape(reader.shape(foreign))
    return Match(ours, foreign, transform, found, tuple(variable.shape))


def _edit_vocabulary(builder, match):
    axis = builder.vocabulary_axes.get(match.ours)
    edits = builder.keep_tokens is not None or builder.compound_tokens is not None
    if edits and axis is not None and axis < len(match.found):
        match.vocabulary = VocabularyEdit(
            match.found[axis],
            match.expected[axis],
            builder.keep_tokens,
            builder.compound_tokens,
            f"{match.ours} ({match.foreign})",
            getattr(builder, "original_vocab_size", None),
            builder.autoresize_weights,
        )
        match.found = match.found[:axis] + (match.vocabulary.rows,) + match.found[axis + 1 :]


def _by_table(builder, weights, names):
    """(source, {our weight: (foreign, transform)}, ignored) of the naming that fits best."""
    candidates = [("native", {name: (name, IDENTITY) for name in weights}, lambda name: False)]
    # Files with our own names can be read without a table, others cannot.
    tables_of = name_tables.tables_if_known if names & weights.keys() else name_tables.tables_of
    for table in tables_of(builder.family):
        candidates.append((table.source, wanted_by_table(table, weights, names), table.ignores))

    def found(candidate):
        return sum(foreign in names for foreign, _ in candidate[1].values())

    return max(candidates, key=found)


def wanted_by_table(table, weights, names):
    """{our weight: (foreign name, transform)} as a table and the spellings in one file have it."""
    prefix = table.prefix(weights, names)
    wanted = {}
    for ours in weights:
        entry = table.entry(ours)
        if entry is not None:
            foreign, transform = entry
            spelt = table.find(foreign, names, prefix) or table.spelt(foreign, prefix)[0]
            wanted[ours] = (spelt, transform)
    return wanted


def named_by_hand(builder, weights, mapping):
    """{our weight: (foreign name, transform)} from a mapping as `load_checkpoint` describes it."""
    tables = name_tables.tables_if_known(builder.family)
    wanted = {}
    for key, foreign in mapping.items():
        key = key.removeprefix(builder.prefix or "")
        by_layer = isinstance(foreign, list)
        members = layers_of(weights).get(key, []) if by_layer else [key]
        for ours, name in zip(members, foreign if by_layer else [foreign]):
            # Like bert4keras, a mapping may name layers and weights that this model does not have.
            if ours in weights:
                entry = name if isinstance(name, tuple) else (name, _usual(tables, name, ours))
                wanted[ours] = entry
    return wanted


def named_by_layer(builder, weights, layers):
    """{our weight: (foreign name, transform)} for a file with layer names, such as Keras 2's."""
    layers = {name.removeprefix(builder.prefix or ""): names for name, names in layers.items()}
    wanted = {}
    for layer, ours in layers_of(weights).items():
        foreign = layers.get(layer, [])
        for position, name in enumerate(ours):
            same = len(foreign) == len(ours)
            wanted[name] = (foreign[position] if same else f"{layer}/{position}", IDENTITY)
    return wanted


def _usual(tables, name, ours):
    """A published name brings its transform along, so that a mapping need not repeat it."""
    transforms = (table.transform_of(name, ours) for table in tables if name is not None)
    return next((transform for transform in transforms if transform != IDENTITY), IDENTITY)


def layers_of(weights):
    """{layer name: [our weights of that layer, in order of creation]}."""
    layers = {}
    for name in weights:
        layers.setdefault(name.partition("/")[0], []).append(name)
    return layers
