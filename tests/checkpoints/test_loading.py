"""load_checkpoint: everything or nothing, and errors that say what to do."""

import logging
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from bert4keras_ext.checkpoints import (
    CheckpointError,
    load_checkpoint,
    open_checkpoint,
    safetensors_file,
    save_checkpoint,
)
from bert4keras_ext.checkpoints.arrays import dtype_of
from bert4keras_ext.checkpoints.names import TABLES, NameTable
from bert4keras_ext.checkpoints.transforms import TRANSPOSE, Part
from tests.checkpoints.fake import SIZES, FakeBuilder, assert_same, bert_shapes, published
from tests.models.families import FAMILIES, build

SOURCES = ["tensorflow", "huggingface"]
Q = "Transformer-0-MultiHeadSelfAttention/q/kernel"


def fails(builder, checkpoint, *patterns, mapping=None):
    """The message of a failed load, which must have left the builder's weights alone."""
    before = builder.values()
    with pytest.raises(CheckpointError) as error:
        load_checkpoint(builder, checkpoint, mapping)
    assert_same(builder.values(), before)
    for pattern in patterns:
        assert re.search(pattern, str(error.value)), f"{pattern}\nnot in\n{error.value}"
    return str(error.value)


@pytest.mark.parametrize("source", SOURCES)
def test_every_weight_arrives(source):
    saved, other = FakeBuilder(seed=1), FakeBuilder(seed=2)
    report = load_checkpoint(other, published(saved, source))
    assert_same(other.values(), saved.values())
    assert report.source == source and list(report.loaded) == list(saved.variables)
    assert (report.missing, report.unused, report.unnamed, report.resized) == ({}, [], [], {})
    assert "46 weights loaded from dict of arrays" in str(report)


def test_native_names():
    saved, other = FakeBuilder(seed=1), FakeBuilder(seed=2)
    assert load_checkpoint(other, saved.values()).source == "native"
    assert_same(other.values(), saved.values())


@pytest.mark.parametrize("dtype", ["float16", "float64", "bfloat16"])
def test_other_precisions(dtype):
    foreign = dtype_of(dtype)
    saved = published(FakeBuilder(seed=1))
    builder = FakeBuilder(seed=2)
    load_checkpoint(builder, {name: array.astype(foreign) for name, array in saved.items()})
    expected = saved["bert/pooler/dense/kernel"].astype(foreign).astype("float32")
    np.testing.assert_array_equal(builder.values()["Pooler-Dense/kernel"], expected)


def test_variables_do_not_share_memory_with_the_arrays():
    arrays = published(FakeBuilder(seed=1))
    builder = FakeBuilder(seed=2)
    load_checkpoint(builder, arrays)
    before = builder.values()
    for array in arrays.values():
        array[...] = 0
    assert_same(builder.values(), before)
    builder.variables[Q].assign_add(np.ones((8, 8)))
    assert not arrays["bert/encoder/layer_0/attention/self/query/kernel"].any()


def test_spellings_of_2019():
    saved, other = FakeBuilder(seed=1), FakeBuilder(seed=2)
    old = {}
    for name, array in published(saved, "huggingface").items():
        name = name.replace("Norm.weight", "Norm.gamma").replace("Norm.bias", "Norm.beta")
        old[name.removeprefix("bert.")] = array
    old["embeddings.position_ids"] = np.arange(7)[None]
    old["cls.predictions.decoder.weight"] = old["embeddings.word_embeddings.weight"]
    assert load_checkpoint(other, old).unused == []
    assert_same(other.values(), saved.values())


def test_fewer_layers_than_the_checkpoint_has():
    """A popular way to a small model; the other layers are simply unused."""
    saved, other = FakeBuilder(seed=1), FakeBuilder(bert_shapes(layers=1), seed=2)
    report = load_checkpoint(other, published(saved))
    assert len(report.unused) == 16 and all("layer_1" in name for name in report.unused)


def test_new_weights_keep_their_values(caplog):
    """The matrices of a condition start at zero on purpose: no warning."""
    shapes = {**bert_shapes(), "Embedding-Norm/beta_dense/kernel": (3, 8)}
    builder = FakeBuilder(shapes, seed=2)
    before = builder.values()["Embedding-Norm/beta_dense/kernel"]
    report = load_checkpoint(builder, published(FakeBuilder(seed=1)))
    assert report.unnamed == ["Embedding-Norm/beta_dense/kernel"]
    np.testing.assert_array_equal(builder.values()["Embedding-Norm/beta_dense/kernel"], before)
    assert not report.notes and not caplog.records and "1 without a name" in str(report)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(
    "options, names",
    [
        ({"hidden_act": ["gelu", "linear"]}, "4 .* Transformer-0-FeedForward/i1/kernel, "),
        ({"pre_norm": True}, "2 .* Output-Norm/beta, Output-Norm/gamma"),
    ],
)
def test_weights_without_a_name_are_told(options, names, source, tmp_path, caplog):
    path = tmp_path / ("plain.ckpt" if source == "tensorflow" else "plain.safetensors")
    save_checkpoint(build("bert"), path, format=source)
    report = load_checkpoint(build("bert", **options), path)
    (note,) = report.notes
    assert re.search(f"{names}", note) and f"the {source} names of 'bert'" in note
    assert note in caplog.text and f"{len(report.unnamed)} without a name" in str(report)


def test_ten_weights_without_a_name_are_listed(caplog):
    shapes = {**bert_shapes(), **{f"Extra-{i:02d}/kernel": (2, 2) for i in range(12)}}
    load_checkpoint(FakeBuilder(shapes), published(FakeBuilder()))
    assert "12 weights" in caplog.text and "Extra-09/kernel" in caplog.text
    assert "Extra-10/kernel" not in caplog.text


# Of albert_unshared's layers only those that are equal could be saved under the published names.
@pytest.mark.parametrize("model", sorted(FAMILIES.keys() - {"albert_unshared"}))
def test_usual_models_load_without_a_warning(model, tmp_path, caplog):
    """Also with what is in no file because it is computed, or starts at its right value."""
    condition = keras.Input((3,), name="Condition")
    conditional = {
        "layer_norm_cond": condition, "layer_norm_cond_hidden_size": 5,
        "additional_input_layers": condition,
    }  # fmt: skip
    source = "huggingface" if model in ("deberta_v2", "modernbert") else "tensorflow"
    path = tmp_path / ("model.ckpt" if source == "tensorflow" else "model.safetensors")
    save_checkpoint(build(model), path, format=source)
    for options in ({}, conditional):
        report = load_checkpoint(build(model, **options), path)
        assert not report.notes and not caplog.records
        assert report.source == source and bool(options) <= bool(report.unnamed)


def test_what_a_mapping_leaves_out_is_meant(caplog):
    mapping = {"Pooler-Dense": ["bert/pooler/dense/kernel", "bert/pooler/dense/bias"]}
    report = load_checkpoint(FakeBuilder(), published(FakeBuilder()), mapping)
    assert len(report.unnamed) == 44 and not report.notes and not caplog.records


def test_missing_weights_can_be_ignored(caplog):
    saved = FakeBuilder(seed=1)
    checkpoint = published(saved)
    del checkpoint["bert/pooler/dense/kernel"]
    builder = FakeBuilder(seed=2, ignore_invalid_weights=True)
    kept = builder.values()["Pooler-Dense/kernel"]
    with caplog.at_level(logging.WARNING):
        report = load_checkpoint(builder, checkpoint)
    assert report.missing == {"Pooler-Dense/kernel": "bert/pooler/dense/kernel"}
    assert "1 weights are not in the checkpoint, ignored: Pooler-Dense/kernel" in caplog.text
    assert_same(builder.values(), {**saved.values(), "Pooler-Dense/kernel": kept})


# ---- mappings by hand ---------------------------------------------------------------------


def test_mapping_by_layer_with_a_prefix():
    """Every second layer of a deeper model, as bert4keras' users do it."""
    saved = FakeBuilder(bert_shapes(layers=4), seed=1)
    mapping = {
        "A-Transformer-1-FeedForward": [
            "bert/encoder/layer_3/intermediate/dense/kernel",
            "bert/encoder/layer_3/intermediate/dense/bias",
            None,
            "bert/encoder/layer_3/output/dense/bias",
        ],
        "Transformer-9-FeedForward": ["bert/absent"],
    }
    builder = FakeBuilder(seed=2, prefix="A-")
    before = builder.values()
    report = load_checkpoint(builder, published(saved), mapping)
    changed = {name for name in before if (before[name] != builder.values()[name]).any()}
    layer = "Transformer-1-FeedForward/"
    assert changed == {layer + part for part in ("i0/kernel", "i0/bias", "o/bias")}
    assert report.source == "mapping" and layer + "o/kernel" not in report.loaded
    np.testing.assert_array_equal(
        builder.values()[layer + "o/bias"], saved.values()["Transformer-3-FeedForward/o/bias"]
    )


@pytest.mark.parametrize(
    "name, expected",
    [
        ("bert.encoder.layer.1.attention.self.key.weight", lambda array: array.T),
        ("encoder.layer.1.attention.self.key.weight", lambda array: array.T),
        ("my.own.name", lambda array: array),
        (("my.own.name", TRANSPOSE), lambda array: array.T),
    ],
)
def test_mapping_by_weight_and_transforms(name, expected):
    array = np.random.default_rng(5).normal(size=(8, 8)).astype("float32")
    builder = FakeBuilder()
    load_checkpoint(builder, {name if isinstance(name, str) else name[0]: array}, {Q: name})
    np.testing.assert_array_equal(builder.values()[Q], expected(array))


def test_mapping_makes_families_without_tables_possible():
    builder = FakeBuilder({"Dense/kernel": (2, 3)}, family="elmo")
    load_checkpoint(builder, {"w": np.ones((2, 3))}, {"Dense": ["w"]})
    assert builder.values()["Dense/kernel"].all()
    with pytest.raises(ValueError, match="known families"):
        load_checkpoint(builder, {"w": np.ones((2, 3))})


def test_mapping_to_missing_names():
    checkpoint = published(FakeBuilder())
    fails(
        FakeBuilder(),
        checkpoint,
        r"1 missing:\n  .*q/kernel  \(in the checkpoint: gone\)",
        mapping={Q: "gone", "Pooler-Dense/bias": "bert/pooler/dense/bias"},
    )


@pytest.mark.parametrize("family", ["elmo", "roberta"])
def test_mapping_to_missing_names_in_families_without_tables_of_their_own(family):
    builder = FakeBuilder({"Dense/kernel": (2, 3)}, family=family)
    patterns = r"1 missing:\n  Dense/kernel  \(in the checkpoint: gone\)", f"a {family!r} model"
    fails(builder, {"w": np.ones((2, 3))}, *patterns, mapping={"Dense": ["gone"]})


def test_fused_tensors(monkeypatch):
    """One foreign tensor for query, key and value, as GPT-2 and ModernBERT have it."""
    rows = {
        f"A-{{i}}-B/{name}/kernel": ("h.{i}.qkv.weight", Part(j, 3, 0, TRANSPOSE))
        for j, name in enumerate("qkv")
    }
    monkeypatch.setitem(TABLES, ("fused", "huggingface"), NameTable("fused", "huggingface", rows))
    saved = FakeBuilder({f"A-4-B/{name}/kernel": (5, 2) for name in "qkv"}, family="fused")
    checkpoint = published(saved, "huggingface")
    assert {name: array.shape for name, array in checkpoint.items()} == {"h.4.qkv.weight": (6, 5)}
    other = FakeBuilder({f"A-4-B/{name}/kernel": (5, 2) for name in "qkv"}, 7, family="fused")
    load_checkpoint(other, checkpoint)
    assert_same(other.values(), saved.values())


def test_mapping_to_a_fused_tensor_takes_the_part_of_the_weight(monkeypatch):
    rows = {
        f"A-{{i}}-B/{name}/kernel": ("h.{i}.qkv", Part(j, 3, 1)) for j, name in enumerate("qkv")
    }
    monkeypatch.setitem(TABLES, ("fused", "huggingface"), NameTable("fused", "huggingface", rows))
    builder = FakeBuilder({f"A-0-B/{name}/kernel": (2, 2) for name in "qkv"}, family="fused")
    array = np.arange(12, dtype="float32").reshape(2, 6)
    load_checkpoint(builder, {"h.7.qkv": array}, {"A-0-B": ["h.7.qkv"] * 3})
    np.testing.assert_array_equal(np.concatenate(list(builder.values().values()), 1), array)


# ---- errors -------------------------------------------------------------------------------


def test_error_lists_both_names_and_shapes():
    checkpoint = published(FakeBuilder())
    del checkpoint["bert/encoder/layer_1/output/dense/bias"]
    checkpoint["bert/pooler/dense/kernel"] = np.ones((8, 9))
    checkpoint["extra/variable"] = np.ones((4, 5))
    fails(
        FakeBuilder(),
        checkpoint,
        r"Cannot load dict of arrays '<dict>' into this 'bert' model",
        r"Found 46 tensors; .*'tensorflow': 45 of",
        r"1 missing:\n  Transformer-1-FeedForward/o/bias  \(in the checkpoint: bert/encoder/layer_",
        r"of another shape:\n  Pooler-Dense/kernel \(8, 8\)  \(.*pooler/dense/kernel \(8, 9\)\)",
        r"unused:\n  extra/variable \(4, 5\)",
        r"Likely fix: ",
    )


def test_long_lists_are_cut_to_ten():
    message = fails(FakeBuilder(bert_shapes(layers=4)), published(FakeBuilder()))
    assert "32 missing" in message and "... and 22 more" in message
    assert message.count("Transformer-") == 10


@pytest.mark.parametrize(
    "heads, advice",
    [
        (
            ("Pooler", "NSP"),
            "no masked language model head.*with_mlm=False.*ignore_invalid_weights=True",
        ),
        (("MLM",), "no next sentence head and no pooler.*with_nsp=False, with_pool=False"),
    ],
)
@pytest.mark.parametrize("source", SOURCES)
def test_advice_for_absent_heads(source, heads, advice):
    fails(FakeBuilder(), published(FakeBuilder(bert_shapes(heads)), source), advice)


@pytest.mark.parametrize(
    "sizes, advice",
    [
        ({"vocab": 13}, "vocab_size .*keep_tokens.* is 11 in the model and 13 in the checkpoint"),
        (
            {"vocab": 10},
            "vocab_size is 11 in the model and 10 in .* 1 new tokens as compound_tokens=",
        ),
        ({"positions": 9}, "max_position is 7 in the model and 9 in"),
        ({"segments": 3}, r"segment_vocab_size \(type_vocab_size.* is 2 in .* and 3 in"),
        ({"hidden": 16}, "config does not belong to this checkpoint.*autoresize_weights"),
        ({"inner": 20}, "config does not belong to this checkpoint"),
        ({"layers": 1}, "has 1 layers, the model 2: set num_hidden_layers=1"),
    ],
)
def test_advice_for_other_sizes(sizes, advice):
    fails(FakeBuilder(), published(FakeBuilder(bert_shapes(**sizes))), f"Likely fix: .*{advice}")


def test_advice_for_weights_of_save_weights(tmp_path):
    """The most frequent mistake of bert4keras' users."""
    kernel = tf.Variable(np.ones((8, 8), "float32"))
    tf.train.Checkpoint(layer=tf.train.Checkpoint(kernel=kernel)).write(str(tmp_path / "best"))
    fails(FakeBuilder(), tmp_path / "best", "TensorFlow checkpoint", "use model.load_weights")


def test_advice_for_another_family(monkeypatch):
    rows = {f"{name}/x": f"discriminator.{name}.weight" for name in "abc"}
    monkeypatch.setitem(TABLES, ("electra", "huggingface"), NameTable("electra", "s", rows))
    other = {f"discriminator.{name}.weight": np.ones(2) for name in "abc"}
    fails(FakeBuilder(), other, "these are names of the family 'electra': say model='electra'")


def test_advice_for_unknown_names():
    names = {"backbone.0.mixer.weight": np.ones((3, 3)), "output.weight": np.ones((3, 3))}
    fails(FakeBuilder(), names, "no name in it is one that a 'bert' model has", "mapping=")
    fails(FakeBuilder(ignore_invalid_weights=True), names, "no name in it is one")


def test_nothing_is_assigned_when_a_resize_is_impossible():
    checkpoint = published(FakeBuilder(bert_shapes(inner=5)))  # no two neighbours to repeat
    fails(FakeBuilder(autoresize_weights=True), checkpoint, "config does not belong to this checkp")


def test_integers_are_no_weights():
    checkpoint = published(FakeBuilder())
    checkpoint["bert/pooler/dense/kernel"] = np.ones((8, 8), "int8")
    fails(FakeBuilder(), checkpoint, "of a dtype that is no weight's:\n  Pooler-Dense/kernel")


def test_readers_stay_open_and_paths_are_closed(tmp_path):
    safetensors_file.write(tmp_path / "a.safetensors", published(FakeBuilder(), "huggingface"))
    with open_checkpoint(tmp_path / "a.safetensors") as reader:
        load_checkpoint(FakeBuilder(), reader)
        assert reader.read("bert.pooler.dense.bias").shape == (SIZES["hidden"],)
    with pytest.raises(ValueError):
        reader.read("bert.pooler.dense.bias")
