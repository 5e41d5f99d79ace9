"""Name tables: what our weights are called in the checkpoints of others. One file a model family.

A new family is a file here with its tables in TABLES, and a word in the list below.
"""

from bert4keras_ext.checkpoints.names import (
    albert,
    bert,
    deberta,
    electra,
    ernie,
    gau,
    gpt,
    modernbert,
    nezha,
    roberta,
    roformer,
    t5,
)
from bert4keras_ext.checkpoints.names.table import NameTable, Prefix

_FAMILIES = (
    albert, bert, deberta, electra, ernie, gau, gpt, modernbert, nezha, roberta,
    roformer, t5,
)  # fmt: skip

TABLES = {(table.family, table.source): table for family in _FAMILIES for table in family.TABLES}

# Families that differ from another one in nothing that a checkpoint shows.
SAME_NAMES_AS = {"roberta": "bert"}


def families():
    """The families that have name tables, sorted."""
    return sorted({family for family, _ in TABLES} | set(SAME_NAMES_AS))


def tables_if_known(family):
    """All tables of a family; an empty list for an unknown family."""
    known = SAME_NAMES_AS.get(family, family)
    return [table for table in TABLES.values() if table.family == known]


def tables_of(family):
    """All tables of a family. An unknown family raises ValueError, naming the known ones."""
    tables = tables_if_known(family)
    if not tables:
        raise ValueError(
            f"No name tables for the model family {family!r}; "
            f"known families: {', '.join(families())}. Give the names yourself with mapping=."
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
            f"No {source!r} names for the model family {family!r}; "
            f"expected one of {', '.join(sorted(tables))}."
        )
    return tables[source]


__all__ = ["TABLES", "NameTable", "Prefix", "families", "table_of", "tables_if_known", "tables_of"]
