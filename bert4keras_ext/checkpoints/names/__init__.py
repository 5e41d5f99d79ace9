"""Name tables: what our weights are called in the checkpoints of others. One file a model family.

A new family is a file with its tables here, and a line in TABLES.
"""

from bert4keras_ext.checkpoints.names import bert
from bert4keras_ext.checkpoints.names.table import NameTable, Prefix

TABLES = {
    (table.family, table.source): table
    for family in (bert,)
    for table in (family.TENSORFLOW, family.HUGGING_FACE)
}

# Families that differ from another one in nothing that a checkpoint shows.
SAME_NAMES_AS = {"roberta": "bert"}


def families():
    """The families that have name tables, sorted."""
    return sorted({family for family, _ in TABLES} | set(SAME_NAMES_AS))


def tables_of(family):
    """All tables of a family. An unknown family raises ValueError, naming the known ones."""
    known = SAME_NAMES_AS.get(family, family)
    tables = [table for table in TABLES.values() if table.family == known]
    if not tables:
        raise ValueError(
            f"No name tables for the model family {family!r}; known families: "
            f"{', '.join(families())}. Give the names yourself with mapping=."
        )
    return tables


def table_of(family, source):
    """The table of a family from one source ("tensorflow" or "huggingface").

    Raises:
        ValueError: if there is none; the message names those that there are.
    """
    tables = {table.source: table for table in tables_of(family)}
    if source not in tables:
        raise ValueError(
            f"No {source!r} names for the model family {family!r}; expected one of "
            f"{', '.join(sorted(tables))}."
        )
    return tables[source]


def layer_mapping(builder, source="tensorflow"):
    """{layer name: [foreign names in the layer's weight order]}: bert4keras' variable_mapping.

    Args:
        builder: the model's builder; see `bert4keras_ext.checkpoints.load_checkpoint`.
        source: whose names.

    Weights without a foreign name are None, which leaves them as they are when loading; a layer
    of which no weight has a name is left out.
    """
    table = table_of(builder.family, source)
    mapping = {}
    for ours in builder.named_weights():
        entry = table.entry(ours)
        mapping.setdefault(ours.partition("/")[0], []).append(entry and entry[0])
    return {layer: names for layer, names in mapping.items() if any(names)}


__all__ = ["TABLES", "NameTable", "Prefix", "families", "layer_mapping", "table_of", "tables_of"]
