"""Every recorded checkpoint is read completely, and BERT's are found by the tables."""

import json

import numpy as np
import pytest

from bert4keras_ext.checkpoints import load_checkpoint, open_checkpoint, save_checkpoint
from bert4keras_ext.checkpoints.names import table_of
from tests.checkpoints.fake import FakeBuilder, bert_shapes
from tests.shared import oracle, shared


def _index(*path):
    try:
        return json.loads(oracle(*path).read_text("utf-8"))
    except pytest.skip.Exception:
        return []


TF_CASES = {case["name"]: case for case in _index("bert4keras", "models", "index.json")}
HF_CASES = {case["name"]: case for case in _index("hf", "index.json")}
RECORDED = bert_shapes(vocab=60, hidden=32, inner=48, positions=40)
FORMATS = {"model.safetensors", "pytorch_model.bin"}
BOTH = [name for name, case in HF_CASES.items() if set(case["files"]) >= FORMATS]
HEADS = {
    "BertModel": ("Pooler",),
    "BertForMaskedLM": ("MLM",),
    "BertLMHeadModel": ("MLM",),
    "BertForPreTraining": ("Pooler", "NSP", "MLM"),
}
BERTS = [
    name
    for name, case in TF_CASES.items()
    if case["model"] in ("bert", "roberta") and case["checkpoint"]
]


def test_all_cases_are_there():
    oracle("hf", "index.json")
    assert len(TF_CASES) == 58 and len(HF_CASES) == 44 and len(BERTS) >= 26
    assert len(BOTH) == 10


@pytest.mark.parametrize("name", [name for name, case in TF_CASES.items() if "variables" in case])
def test_tensorflow(name):
    case = TF_CASES[name]
    with open_checkpoint(oracle("bert4keras", "models", name) / "model.ckpt") as reader:
        assert reader.format == "TensorFlow checkpoint"
        assert {key: list(reader.shape(key)) for key in reader.names()} == case["variables"]
        reader.verify()
        for key in reader.names():
            assert list(reader.read(key).shape) == case["variables"][key]


@pytest.mark.parametrize("name", HF_CASES)
def test_hugging_face(name):
    case = HF_CASES[name]
    with open_checkpoint(oracle("hf", name)) as reader:
        assert {key: list(reader.shape(key)) for key in reader.names()} == case["tensors"]
        reader.verify()
        for key in reader.names():
            array = reader.read(key)
            assert list(array.shape) == case["tensors"][key] and array.dtype == reader.dtype(key)


@pytest.mark.parametrize("name", BOTH)
def test_bin_equals_safetensors(name):
    folder = oracle("hf", name)
    old, new = folder / "pytorch_model.bin", folder / "model.safetensors"
    with open_checkpoint(old) as old, open_checkpoint(new) as new:
        for key in new.names():
            np.testing.assert_array_equal(old.read(key), new.read(key))


@pytest.mark.parametrize("name", BERTS)
def test_bert_tables_find_every_weight(name):
    case = TF_CASES[name]
    table = table_of("bert", "tensorflow")
    prefix, shapes = case["kwargs"].get("prefix", ""), {}
    for layer, layer_shapes in case["layer_weights"].items():
        layer = layer.removeprefix(prefix)
        rows = [row.format(i=_number(layer)) for row in table.rows]
        names = [row for row in rows if row.split("/")[0] == layer]
        assert len(names) == len(layer_shapes), layer
        shapes.update(zip(names, map(tuple, layer_shapes)))
    options = {key: case["kwargs"].get(key) for key in ("keep_tokens", "compound_tokens")}
    builder = FakeBuilder(shapes, prefix=prefix, **options)
    report = load_checkpoint(
        builder, oracle("bert4keras", "models", case["checkpoint"]) / "model.ckpt"
    )
    assert report.source == "tensorflow" and list(report.loaded) == list(shapes)
    if case["checkpoint"] == name:
        assert report.unused == []


@pytest.mark.parametrize("name", [name for name in HF_CASES if name.startswith("bert_")])
def test_hugging_face_tables_use_every_tensor(name):
    folder = oracle("hf", name)
    config = json.loads((folder / "config.json").read_text())
    shapes = bert_shapes(
        HEADS[HF_CASES[name]["cls"]],
        vocab=config["vocab_size"],
        hidden=config["hidden_size"],
        inner=config["intermediate_size"],
        positions=config["max_position_embeddings"],
        segments=config["type_vocab_size"],
        layers=config["num_hidden_layers"],
    )
    for file in FORMATS & set(HF_CASES[name]["files"]) or [""]:
        report = load_checkpoint(FakeBuilder(shapes), folder / file)
        assert (report.source, report.unused) == ("huggingface", [])
        assert list(report.loaded) == list(shapes)


def test_a_recorded_file_is_written_again(tmp_path):
    """From TensorFlow's file to PyTorch's names and back to TensorFlow's: nothing is lost."""
    first, second = FakeBuilder(RECORDED), FakeBuilder(RECORDED)
    original = oracle("bert4keras", "models", "bert_nsp_mlm") / "model.ckpt"
    load_checkpoint(first, original)
    save_checkpoint(first, tmp_path, "huggingface")
    load_checkpoint(second, tmp_path)
    save_checkpoint(second, tmp_path / "model.ckpt")
    with open_checkpoint(original) as old, open_checkpoint(tmp_path / "model.ckpt") as new:
        assert old.names() == new.names()
        for name in old.names():
            np.testing.assert_array_equal(old.read(name), new.read(name), err_msg=name)


def test_pytorch_names_are_those_of_transformers(tmp_path):
    case = HF_CASES["bert_pretraining"]
    written = save_checkpoint(FakeBuilder(), tmp_path, "huggingface")
    assert set(written.values()) == set(case["tensors"])  # both have two layers


def _number(layer):
    return next((part for part in layer.split("-") if part.isdigit()), "{i}")


def test_formats_that_folders_have():
    expected = {
        "bert_pretraining_2019": "PyTorch legacy .bin",
        "gpt2_2019": "PyTorch legacy .bin",
        "bert_mlm_sharded": "sharded safetensors (5 files)",
        "bert_mlm_fp16": "safetensors",
    }
    for name, format in expected.items():
        with open_checkpoint(oracle("hf", name)) as reader:
            assert reader.format == format
    with open_checkpoint(oracle("hf", "bert_model", "pytorch_model.bin")) as reader:
        assert reader.format == "PyTorch zip .bin"


def test_half_precision_dtypes():
    for name, dtype in (("bert_mlm_fp16", "float16"), ("qwen2_bf16", "bfloat16")):
        with open_checkpoint(oracle("hf", name)) as reader:
            assert {reader.read(key).dtype.name for key in reader.names()} == {dtype}


def test_ltp_tiny_returns_all_its_tensors():
    with open_checkpoint(shared("weights", "ltp_tiny")) as reader:
        assert reader.format == "PyTorch zip .bin" and len(reader.names()) == 106
        assert reader.shape("backbone.embeddings.word_embeddings.weight") == (21128, 128)
        reader.verify()
        for name in reader.names():
            array = reader.read(name)
            assert np.isfinite(array).all() and array.size
            assert array.dtype == (np.int64 if name.endswith("position_ids") else np.float32)
