"""Name tables: complete, one to one, and one mechanism for every spelling."""

import pytest

from bert4keras_ext.checkpoints.names import (
    TABLES,
    NameTable,
    Prefix,
    families,
    table_of,
    tables_of,
)
from bert4keras_ext.checkpoints.transforms import IDENTITY, TRANSPOSE, Part
from tests.checkpoints.fake import bert_shapes


@pytest.mark.parametrize("key", TABLES)
def test_tables_are_one_to_one(key):
    table = TABLES[key]
    foreign = [(name, transform) for name, transform in table.rows.values()]
    assert len(set(foreign)) == len(foreign)
    assert (table.family, table.source) == key
    for ours, (name, _) in table.rows.items():
        assert ours.count("/") >= 1 and ("{i" in ours) >= ("{i" in name), ours


@pytest.mark.parametrize("source", ["tensorflow", "huggingface"])
def test_bert_is_complete(source):
    table = table_of("bert", source)
    for ours in [*bert_shapes(layers=12), "Embedding-Mapping/kernel", "Embedding-Mapping/bias"]:
        assert table.entry(ours) is not None, ours


def test_numbers_go_in_and_unknown_weights_have_no_entry():
    table = NameTable("t", "s", {"A-{i}-B/x|y": "a/layer_{i:02d}/b/x|y", "C/k": ("c", TRANSPOSE)})
    assert table.entry("A-7-B/x") == ("a/layer_07/b/x", IDENTITY)
    assert table.entry("A-11-B/y") == ("a/layer_11/b/y", IDENTITY)
    assert table.entry("C/k") == ("c", TRANSPOSE)
    assert table.entry("A-7-B/z") is None and table.entry("A-B/x") is None


def test_prefixes_and_spellings():
    table = table_of("bert", "huggingface")
    weights = list(bert_shapes(heads=("Pooler", "MLM")))
    usual = {table.entry(name)[0] for name in weights}
    for prefix in (
        Prefix("", "bert."),
        Prefix("", ""),
        Prefix("module.", "bert."),
        Prefix("0.auto_model.", ""),
    ):
        names = {table.spelt(name, prefix)[0] for name in usual}
        assert table.prefix(weights, names) == prefix
        for name in usual:
            assert table.find(name, names, prefix) == table.spelt(name, prefix)[0]
    assert (
        table.find("bert.embeddings.LayerNorm.weight", {"embeddings.LayerNorm.gamma"}, Prefix())
        == "embeddings.LayerNorm.gamma"
    )
    names = {"cls.predictions.bias", "cls.predictions.decoder.bias"}
    assert table.find("cls.predictions.bias", names, Prefix()) == "cls.predictions.bias"


@pytest.mark.parametrize(
    "source, name, ignored",
    [
        ("huggingface", "bert.embeddings.position_ids", True),
        ("huggingface", "cls.predictions.decoder.weight", True),
        ("huggingface", "bert.embeddings.word_embeddings.weight", False),
        ("tensorflow", "bert/pooler/dense/kernel/adam_m", True),
        ("tensorflow", "global_step", True),
        ("tensorflow", "bert/pooler/dense/kernel", False),
    ],
)
def test_ignorable_names(source, name, ignored):
    assert table_of("bert", source).ignores(name) is ignored


def test_families():
    assert {"bert", "roberta"} <= set(families())
    assert tables_of("roberta") == tables_of("bert")
    with pytest.raises(ValueError, match="'elmo'; known families: .*bert.*mapping="):
        tables_of("elmo")
    with pytest.raises(ValueError, match="'flax' names.*expected one of huggingface, tensorflow"):
        table_of("bert", "flax")


def test_part_shapes():
    part = Part(1, 3, 0, then=TRANSPOSE)
    assert part.shape((6, 5)) == (5, 2)
    assert part.shape((7, 5)) == (7, 5) and part.shape(()) == ()
