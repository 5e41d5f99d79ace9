"""save_checkpoint: what is written is read back, by us and by others, and never half."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import keras
import numpy as np
import pytest
import safetensors.numpy
import tensorflow as tf

from bert4keras_ext.checkpoints import (
    CheckpointError,
    LazyArray,
    load_checkpoint,
    open_checkpoint,
    safetensors_file,
    save_checkpoint,
    tf_checkpoint,
)
from bert4keras_ext.checkpoints.names import TABLES, NameTable
from bert4keras_ext.checkpoints.transforms import Part
from bert4keras_ext.models import build_transformer_model
from tests.checkpoints.fake import FakeBuilder, assert_same, bert_shapes

# What Keras says of things that are done here on purpose.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize`"),
]

FORMATS = ["tensorflow", "huggingface", "native"]
PATHS = {"tensorflow": "bert_model.ckpt", "huggingface": "", "native": "weights.safetensors"}


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("dtype", [None, "float16", "bfloat16"])
def test_round_trip(tmp_path, format, dtype):
    saved, other = FakeBuilder(seed=1), FakeBuilder(seed=2)
    written = save_checkpoint(saved, tmp_path / PATHS[format], format, dtype=dtype)
    assert list(written) == list(saved.variables)
    report = load_checkpoint(other, tmp_path / PATHS[format])
    assert report.source == format and report.loaded == written
    if dtype is None:
        assert_same(other.values(), saved.values())
    for name, value in saved.values().items():
        np.testing.assert_allclose(other.values()[name], value, rtol=1e-2, atol=1e-7)


def test_published_names_and_layout_for_tensorflow(tmp_path):
    builder = FakeBuilder()
    save_checkpoint(builder, tmp_path / "m.ckpt")
    reader, values = tf.train.load_checkpoint(str(tmp_path / "m.ckpt")), builder.values()
    for name, ours, transposed in [
        ("bert/embeddings/word_embeddings", "Embedding-Token/embeddings", False),
        ("bert/encoder/layer_1/output/dense/kernel", "Transformer-1-FeedForward/o/kernel", False),
        ("cls/seq_relationship/output_weights", "NSP-Proba/kernel", True),
        ("cls/predictions/output_bias", "MLM-Bias/beta", False),
    ]:
        expected = values[ours].T if transposed else values[ours]
        np.testing.assert_array_equal(reader.get_tensor(name), expected)


def test_published_names_and_layout_for_pytorch(tmp_path):
    builder = FakeBuilder()
    save_checkpoint(builder, tmp_path / "folder", "huggingface")
    arrays = safetensors.numpy.load_file(tmp_path / "folder/model.safetensors")
    values = builder.values()
    np.testing.assert_array_equal(
        arrays["bert.encoder.layer.1.output.dense.weight"],
        values["Transformer-1-FeedForward/o/kernel"].T,
    )
    np.testing.assert_array_equal(
        arrays["bert.embeddings.LayerNorm.weight"], values["Embedding-Norm/gamma"]
    )


def test_after_keep_tokens_the_trimmed_table_is_written(tmp_path):
    options = {"keep_tokens": [0, 7, 9]}
    saved = FakeBuilder(bert_shapes(vocab=3), seed=1, **options)
    save_checkpoint(saved, tmp_path / "m.ckpt")
    with open_checkpoint(tmp_path / "m.ckpt") as reader:
        assert reader.shape("bert/embeddings/word_embeddings") == (3, 8)
    for again in (options, {}):
        other = FakeBuilder(bert_shapes(vocab=3), seed=2, **again)
        load_checkpoint(other, tmp_path / "m.ckpt")
        assert_same(other.values(), saved.values())


def test_weights_without_a_name_are_named_in_a_warning(tmp_path, caplog):
    builder = FakeBuilder({**bert_shapes(), "Embedding-Norm/gamma_dense/kernel": (3, 8)})
    written = save_checkpoint(builder, tmp_path / "m.ckpt")
    assert "1 weights have no name in the tensorflow format" in caplog.text
    assert "Embedding-Norm/gamma_dense/kernel" in caplog.text and len(written) == 46
    assert len(save_checkpoint(builder, tmp_path, "native")) == 47


def test_mapping(tmp_path):
    builder = FakeBuilder()
    mapping = {"Pooler-Dense": ["my/kernel", None], "NSP-Proba/bias": "my/bias"}
    written = save_checkpoint(builder, tmp_path / "m.ckpt", mapping=mapping)
    assert written == {"Pooler-Dense/kernel": "my/kernel", "NSP-Proba/bias": "my/bias"}
    with open_checkpoint(tmp_path / "m.ckpt") as reader:
        assert sorted(reader.names()) == ["my/bias", "my/kernel"]


def test_unknown_format_and_family(tmp_path):
    with pytest.raises(ValueError, match="'onnx'; expected one of"):
        save_checkpoint(FakeBuilder(), tmp_path / "m", "onnx")
    with pytest.raises(ValueError, match="known families"):
        save_checkpoint(FakeBuilder(family="elmo"), tmp_path / "m")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("dtype", ["int8", "bool", "floaty", 3])
@pytest.mark.parametrize("format", FORMATS)
def test_dtypes_that_lose_the_values_are_refused(tmp_path, format, dtype):
    with pytest.raises(ValueError, match="expected dtype='float32', .*received.*lose their values"):
        save_checkpoint(FakeBuilder(), tmp_path / "m", format, dtype=dtype)
    assert not list(tmp_path.iterdir())


def test_a_mapping_that_names_nothing(tmp_path):
    with pytest.raises(ValueError, match="names weights or layers of the model .*Embedding-Token"):
        save_checkpoint(FakeBuilder(), tmp_path / "m", mapping={"Nope": ["x"]})
    assert not list(tmp_path.iterdir())


def test_native_files_need_no_name_table(tmp_path):
    shapes = {"Dense/kernel": (2, 3)}
    saved, other = (FakeBuilder(shapes, seed, family="elmo") for seed in (1, 2))
    save_checkpoint(saved, tmp_path, "native")
    assert load_checkpoint(other, tmp_path).source == "native"
    assert_same(other.values(), saved.values())


def test_weights_that_share_a_name(tmp_path, monkeypatch):
    """As albert_unshared: many layers here, one there."""
    table = NameTable("shared", "tensorflow", {"A-{i}-B/kernel": "block/kernel"})
    monkeypatch.setitem(TABLES, ("shared", "tensorflow"), table)
    builder = FakeBuilder({f"A-{i}-B/kernel": (2, 2) for i in range(3)}, family="shared")
    for variable in builder.variables.values():
        variable.assign(np.ones((2, 2)))
    save_checkpoint(builder, tmp_path / "m.ckpt")
    builder.variables["A-2-B/kernel"].assign(np.zeros((2, 2)))
    with pytest.raises(ValueError, match="A-0-B/kernel and A-2-B/kernel share .*'block/kernel'"):
        save_checkpoint(builder, tmp_path / "other.ckpt")
    assert not list(tmp_path.glob("*other*"))


def test_fused_tensors_need_all_parts(tmp_path, monkeypatch):
    rows = {f"A/{name}/kernel": ("qkv", Part(i, 3, 1)) for i, name in enumerate("qkv")}
    monkeypatch.setitem(TABLES, ("fused", "tensorflow"), NameTable("fused", "tensorflow", rows))
    builder = FakeBuilder({"A/q/kernel": (2, 2), "A/v/kernel": (2, 2)}, family="fused")
    with pytest.raises(ValueError, match=r"'qkv' needs parts 0 to 2, the model has \[0, 2\]"):
        save_checkpoint(builder, tmp_path / "m.ckpt")


# ---- LoRA and quantized models ------------------------------------------------------------

CONFIG = dict(vocab_size=20, hidden_size=8, num_hidden_layers=2, num_attention_heads=2,
              intermediate_size=12, hidden_act="gelu", max_position=6)  # fmt: skip
TOKENS = np.array([[2, 7, 9, 3, 11, 3]])


def built(checkpoint=None, **kwargs):
    keras.utils.set_random_seed(checkpoint is None)
    return build_transformer_model(
        CONFIG, checkpoint, with_mlm="linear", return_keras_model=False, **kwargs
    )


def output(builder):
    return np.array(builder.model([TOKENS, 0 * TOKENS]), "float32")


def adapt(builder, seed=0):
    """Enables LoRA everywhere, with an alpha of its own, and gives its weights values."""
    for layer in builder.model._flatten_layers():
        if isinstance(layer, (keras.layers.Dense, keras.layers.Embedding)):
            layer.enable_lora(2, lora_alpha=3)
    rng = np.random.default_rng(seed)
    for variable in builder.model.trainable_weights:
        if "lora" in variable.path:
            variable.assign(rng.normal(0, 0.3, variable.shape))
    return builder


@pytest.mark.parametrize("format", ["tensorflow", "huggingface"])
def test_lora_is_merged_into_published_names(tmp_path, format, caplog):
    saved, path = built(), tmp_path / PATHS[format]
    before = output(saved)
    after = output(adapt(saved))
    assert np.abs(after - before).max() > 0.1
    save_checkpoint(saved, path, format)
    np.testing.assert_allclose(output(built(path)), after, atol=1e-5)
    load_checkpoint(adapt(built()), path)
    assert "no name" not in caplog.text


def test_lora_is_merged_for_names_given_by_hand(tmp_path):
    """A list of names as bert4keras has it, which knows nothing of LoRA's weights."""
    mapping = {**built().variable_mapping(), "MLM-Norm": ["beta", "gamma"]}
    saved = adapt(built())
    save_checkpoint(saved, tmp_path / "m.ckpt", mapping=mapping)
    other = built()
    load_checkpoint(other, tmp_path / "m.ckpt", mapping)
    np.testing.assert_allclose(output(other), output(saved), atol=1e-5)
    factors = {"Pooler-Dense/none": "a", "MLM-Dense/lora_kernel_a": "b"}
    save_checkpoint(saved, tmp_path / "factors.ckpt", mapping=factors)
    with open_checkpoint(tmp_path / "factors.ckpt") as reader:
        assert reader.names() == ["b"]


def test_lora_in_mixed_precision_loses_no_digits(tmp_path):
    keras.config.set_dtype_policy("mixed_bfloat16")
    saved = adapt(built())
    for variable in saved.model.trainable_weights:
        variable.assign(0 * variable)
    save_checkpoint(saved, tmp_path / "m.ckpt")
    with open_checkpoint(tmp_path / "m.ckpt") as reader:
        found = reader.read("bert/embeddings/word_embeddings")
    np.testing.assert_array_equal(found, saved.named_weights()["Embedding-Token/embeddings"])


def test_lora_stays_apart_in_native_files(tmp_path):
    saved, other = adapt(built()), adapt(built(), seed=1)
    save_checkpoint(saved, tmp_path, "native")
    load_checkpoint(other, tmp_path)
    for ours, variable in saved.named_weights().items():
        np.testing.assert_array_equal(other.named_weights()[ours], variable, err_msg=ours)
    assert any("lora" in ours for ours in saved.named_weights())


@pytest.mark.parametrize("mode", ["int8", "int4"])
def test_quantized_models_have_no_published_form(tmp_path, mode):
    builder = built()
    builder.model.quantize(mode)
    message = "received Embedding-Token/embeddings in int8.*before quantizing"
    for format in ("tensorflow", "huggingface"):
        with pytest.raises(ValueError, match=message):
            save_checkpoint(builder, tmp_path / PATHS[format], format)
    with pytest.raises(ValueError, match=message):
        mapping = {"Embedding-Token/embeddings": "words"}
        save_checkpoint(builder, tmp_path / "m.ckpt", mapping=mapping)
    assert not list(tmp_path.iterdir())


# ---- complete files only ------------------------------------------------------------------

WRITERS = {"m.ckpt": tf_checkpoint.write, "m.safetensors": safetensors_file.write}


def failing(shape=(3,)):
    def compute():
        raise RuntimeError("the computation failed")

    return LazyArray(shape, np.dtype("float32"), compute)


@pytest.mark.parametrize("name", WRITERS)
def test_a_failed_write_leaves_the_old_file(tmp_path, name):
    WRITERS[name](tmp_path / name, {"a": np.ones(3, "float32")})
    files = sorted(tmp_path.iterdir())
    with pytest.raises(RuntimeError, match="the computation failed"):
        WRITERS[name](tmp_path / name, {"a": np.zeros(3, "float32"), "b": failing()})
    assert sorted(tmp_path.iterdir()) == files
    with open_checkpoint(tmp_path / name) as reader:
        assert reader.names() == ["a"] and reader.read("a").all()


KILLED = """
    import os, signal, sys
    import numpy as np
    from bert4keras_ext.checkpoints import LazyArray, safetensors_file, tf_checkpoint

    writer, path, when = sys.argv[1:]
    write = {"tf": tf_checkpoint.write, "st": safetensors_file.write}[writer]

    def die(*args):
        os.kill(os.getpid(), signal.SIGKILL)

    if when == "computing":
        last = LazyArray((3,), np.dtype("float32"), die)
    else:  # at the very last moment, before the file gets its name
        last, os.replace = np.zeros(3, "float32"), die
    write(path, {"a": np.zeros(10**5, "float32"), "b": last})
"""


@pytest.mark.exhaustive
@pytest.mark.parametrize("when", ["computing", "renaming"])
@pytest.mark.parametrize("writer, name", [("tf", "m.ckpt"), ("st", "m.safetensors")])
def test_a_killed_write_leaves_no_half_file(tmp_path, writer, name, when):
    path = tmp_path / name
    process = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLED), writer, str(path), when],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert process.returncode == -signal.SIGKILL, process.stderr
    with pytest.raises(CheckpointError, match="No checkpoint at"):
        open_checkpoint(path)
    with pytest.raises(CheckpointError):  # nor does the folder's search take what is left for one
        open_checkpoint(tmp_path)


def test_an_interrupted_overwrite_is_no_mixture(tmp_path, monkeypatch):
    """TensorFlow's two files cannot be exchanged at once; nobody may read them mixed."""
    tf_checkpoint.write(tmp_path / "m.ckpt", {"a": np.ones(3, "float32")})

    def stop(*paths):
        raise OSError("interrupted")

    monkeypatch.setattr(os, "replace", stop)
    with pytest.raises(OSError, match="interrupted"):
        tf_checkpoint.write(tmp_path / "m.ckpt", {"a": np.zeros(3, "float32")})
    with pytest.raises(CheckpointError, match="No checkpoint at"):
        open_checkpoint(tmp_path / "m.ckpt")
