"""Keras' own files: `.weights.h5` through the model, Keras 2's `.h5` by layer names."""

import h5py
import keras
import numpy as np
import pytest

from bert4keras_ext.checkpoints import (
    CheckpointError,
    keras_weights,
    load_checkpoint,
    open_checkpoint,
)
from bert4keras_ext.checkpoints.arrays import dtype_of
from bert4keras_ext.checkpoints.keras_h5 import KerasWeightsReader
from tests.checkpoints.fake import FakeBuilder, assert_same, write_keras2


def small_model(units=3, depth=2):
    x = inputs = keras.Input((4,))
    for _ in range(depth):
        x = keras.layers.LayerNormalization()(keras.layers.Dense(units)(x))
    return keras.Model(inputs, x)


class ModelBuilder(FakeBuilder):
    def __init__(self, model):
        super().__init__({})
        self.model = model


def randomised(model, seed):
    random = np.random.default_rng(seed)
    model.set_weights([random.normal(size=weight.shape) for weight in model.get_weights()])
    return model


def weights(model):
    return {str(i): weight for i, weight in enumerate(model.get_weights())}


def test_weights_h5_loads_weight_by_weight(tmp_path, monkeypatch):
    path = tmp_path / "best.weights.h5"
    saved, other = randomised(small_model(), 1), randomised(small_model(), 2)
    saved.save_weights(path)
    monkeypatch.setattr(other, "load_weights", None)  # Keras is not asked
    report = load_checkpoint(ModelBuilder(other), path)
    assert_same(weights(other), weights(saved))
    assert report.format == "Keras .weights.h5" and len(report.loaded) == 8


def test_the_optimizer_in_the_file_is_no_hindrance(tmp_path):
    path = tmp_path / "best.weights.h5"
    saved = randomised(small_model(), 1)
    saved.compile("adam", "mse")
    saved.fit(np.ones((2, 4)), np.ones((2, 3)), verbose=0)
    saved.save_weights(path)
    with h5py.File(path, "a") as file:  # terabytes that are not in the file: never read
        file.create_dataset("optimizer/vars/giant", (2**42,), "uint8", chunks=True)
    other = small_model()
    load_checkpoint(ModelBuilder(other), path)
    assert_same(weights(other), weights(saved))


@pytest.mark.parametrize(
    "other, message",
    [
        (lambda: small_model(units=5), "of another shape: layers/dense/vars/0"),
        (lambda: small_model(depth=3), "missing: layers/dense_2/vars/0"),
        (lambda: small_model(depth=1), "not in the model: layers/dense_1/vars/0"),
    ],
)
def test_weights_h5_of_another_model(tmp_path, other, message):
    path = tmp_path / "best.weights.h5"
    small_model().save_weights(path)
    model = randomised(other(), 3)
    before = weights(model)
    with pytest.raises(CheckpointError, match=message) as error:
        load_checkpoint(ModelBuilder(model), path)
    assert "save_weights" in str(error.value)
    assert_same(weights(model), before)


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_a_failure_on_the_way_is_undone(tmp_path, monkeypatch, error):
    path = tmp_path / "best.weights.h5"
    small_model().save_weights(path)
    model = randomised(small_model(), 4)
    before = weights(model)
    read_into, changed = KerasWeightsReader.read_into, []

    def broken(reader, name, out):
        if name.startswith("layers/layer_normalization_1"):
            changed.append(not np.array_equal(model.get_weights()[0], before["0"]))
            raise error("disk")
        read_into(reader, name, out)

    monkeypatch.setattr(KerasWeightsReader, "read_into", broken)
    with pytest.raises(error, match="disk"):
        load_checkpoint(ModelBuilder(model), path)
    assert changed == [True]
    assert_same(weights(model), before)


def test_layers_that_write_what_is_no_weight_are_left_to_keras(tmp_path):
    """With LoRA Keras saves the sum; so the file fits a model without."""
    path = tmp_path / "best.weights.h5"
    saved, other = randomised(small_model(), 1), small_model()
    saved.layers[1].enable_lora(2)
    randomised(saved, 2)
    saved.save_weights(path)
    load_checkpoint(ModelBuilder(other), path)
    x = np.ones((2, 4), "float32")
    np.testing.assert_allclose(other(x), saved(x), atol=1e-6)
    again = small_model()
    again.layers[1].enable_lora(2)
    load_checkpoint(ModelBuilder(again), path)
    np.testing.assert_allclose(again(x), saved(x), atol=1e-6)


def test_layers_that_load_in_their_own_way_are_left_to_keras(tmp_path):
    """Normalization works out what it divides by when it has loaded."""
    path = tmp_path / "best.weights.h5"
    rows = np.random.default_rng(0).normal(3, 2, size=(20, 4)).astype("float32")
    saved, other = (
        keras.Sequential([keras.Input((4,)), keras.layers.Normalization(), keras.layers.Dense(3)])
        for _ in range(2)
    )
    saved.layers[0].adapt(rows)
    saved.save_weights(path)
    load_checkpoint(ModelBuilder(other), path)
    np.testing.assert_allclose(other(rows), saved(rows), atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("saved_dtype", ["float32", "float16", "bfloat16"])
def test_weights_h5_into_another_precision(tmp_path, saved_dtype, dtype):
    path = tmp_path / "best.weights.h5"
    keras.config.set_dtype_policy(saved_dtype)
    saved = randomised(small_model(), 1)
    saved.save_weights(path)
    keras.config.set_dtype_policy(dtype)
    other = small_model()
    load_checkpoint(ModelBuilder(other), path)
    for mine, its in zip(other.get_weights(), saved.get_weights()):
        assert mine.dtype == dtype_of(dtype)
        np.testing.assert_array_equal(mine, its.astype(mine.dtype))


def test_a_trained_model_gets_its_optimizer_back(tmp_path):
    path = tmp_path / "best.weights.h5"
    models = [small_model(), small_model()]
    for model in models:
        model.compile("adam", "mse")
        model.fit(
            np.ones((2, 4)), np.ones((2, 3)), verbose=0, epochs=3 if model is models[0] else 1
        )
    models[0].save_weights(path)
    load_checkpoint(ModelBuilder(models[1]), path)
    assert int(models[1].optimizer.iterations) == 3
    assert_same(weights(models[1]), weights(models[0]))


def test_a_failure_inside_keras_is_undone(tmp_path, monkeypatch):
    path = tmp_path / "best.weights.h5"
    small_model().save_weights(path)
    model = randomised(small_model(), 4)
    before = weights(model)
    monkeypatch.setattr(keras_weights, "_named_variables", lambda model: None)  # another Keras
    load = model.load_weights

    def broken(file):
        load(file)
        if file == str(path):
            raise OSError("disk")

    monkeypatch.setattr(model, "load_weights", broken)
    with pytest.raises(CheckpointError, match="disk"):
        load_checkpoint(ModelBuilder(model), path)
    assert_same(weights(model), before)


@pytest.mark.parametrize("whole_model", [False, True])
def test_keras2_by_layer_names(tmp_path, whole_model):
    saved, other = FakeBuilder(seed=1), FakeBuilder(seed=2)
    write_keras2(tmp_path / "best_model.weights", saved, whole_model)
    report = load_checkpoint(other, tmp_path / "best_model.weights")
    assert report.format == "Keras 2 .h5" and report.unused == []
    assert_same(other.values(), saved.values())


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64"])
def test_keras2_into_another_precision(tmp_path, dtype):
    saved, other = FakeBuilder(seed=1), FakeBuilder(seed=2, dtype=dtype)
    write_keras2(tmp_path / "a.h5", saved)
    load_checkpoint(other, tmp_path / "a.h5")
    expected = {name: value.astype(dtype_of(dtype)) for name, value in saved.values().items()}
    assert_same(other.values(), expected)


def test_keras2_layers_with_a_prefix(tmp_path):
    saved, other = FakeBuilder(seed=1), FakeBuilder(seed=2, prefix="A-")
    write_keras2(tmp_path / "a.h5", saved, prefix="A-")
    load_checkpoint(other, tmp_path / "a.h5")
    assert_same(other.values(), saved.values())


def test_keras2_cuts_long_lists_of_names(tmp_path):
    saved, other = FakeBuilder(seed=1), FakeBuilder(seed=2)
    write_keras2(tmp_path / "a.h5", saved)
    with h5py.File(tmp_path / "a.h5", "a") as file:
        for group in (file, file["Pooler-Dense"]):
            key = "layer_names" if group is file else "weight_names"
            names = list(group.attrs[key])
            del group.attrs[key]
            group.attrs[f"{key}0"], group.attrs[f"{key}1"] = names[:1], names[1:]
    load_checkpoint(other, tmp_path / "a.h5")
    assert_same(other.values(), saved.values())


def test_data_sets_without_data_are_no_tensors(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["a"], file["nothing"] = np.ones(3), h5py.Empty("f")
    with open_checkpoint(tmp_path / "a.h5") as reader:
        assert reader.names() == ["a"]


def _raw_bytes_elsewhere(file, other):
    file.create_dataset("a/w", (8,), "u1", external=[(str(other), 0, 8)])


def _virtual(file, other):
    layout = h5py.VirtualLayout((2,), "f4")
    layout[:] = h5py.VirtualSource(str(other), "secret", (2,))
    file.create_group("a").create_virtual_dataset("w", layout)


def _link(file, other):
    file.create_group("a")["w"] = h5py.ExternalLink(str(other), "secret")


def _link_to_layers(file, other):
    file["model_weights"] = h5py.ExternalLink(str(other), "/")


@pytest.mark.parametrize("point", [_raw_bytes_elsewhere, _virtual, _link, _link_to_layers])
@pytest.mark.parametrize("keras2", [False, True])
def test_contents_in_other_files_are_refused(tmp_path, point, keras2):
    """A checkpoint must not read whatever file its author names, such as a key or a password."""
    other = tmp_path / "other.h5"
    with h5py.File(other, "w") as file:
        file["secret"] = np.ones(2, "f4")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        if keras2:
            file.attrs["layer_names"] = [b"a"]
        point(file, other)
    with pytest.raises(
        CheckpointError, match="another file.*expected.*in the file itself"
    ) as error:
        open_checkpoint(tmp_path / "a.h5")
    assert "damaged" not in str(error.value) and "other.h5" in str(error.value)


def test_links_inside_the_file_are_no_hindrance(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["a"] = np.ones(3)
        file["b"], file["c"] = h5py.SoftLink("/a"), h5py.SoftLink("/nowhere")
    with open_checkpoint(tmp_path / "a.h5") as reader:
        assert reader.names() == ["a"]


def test_keras2_without_a_layer(tmp_path):
    write_keras2(tmp_path / "a.h5", FakeBuilder(), leave_out=["MLM-Dense", "MLM-Norm", "MLM-Bias"])
    with pytest.raises(CheckpointError, match="with_mlm=False"):
        load_checkpoint(FakeBuilder(), tmp_path / "a.h5")


def test_keras2_tables_are_the_models_own(tmp_path):
    """A permutation of the vocabulary must not be applied a second time."""
    order = list(range(11))[::-1]
    saved, other = FakeBuilder(seed=1, keep_tokens=order), FakeBuilder(seed=2, keep_tokens=order)
    write_keras2(tmp_path / "a.h5", saved)
    load_checkpoint(other, tmp_path / "a.h5")
    assert_same(other.values(), saved.values())


def test_mapping_reaches_into_weights_h5(tmp_path):
    path = tmp_path / "best.weights.h5"
    saved = randomised(small_model(), 1)
    saved.save_weights(path)
    builder = FakeBuilder({"Pooler-Dense/kernel": (4, 3), "Pooler-Dense/bias": (3,)})
    mapping = {"Pooler-Dense": ["layers/dense/vars/0", "layers/dense/vars/1"]}
    load_checkpoint(builder, path, mapping)
    assert_same(builder.values(), dict(zip(builder.values(), saved.get_weights()[:2])))


def test_names_are_paths(tmp_path):
    small_model().save_weights(tmp_path / "a.weights.h5")
    with open_checkpoint(tmp_path / "a.weights.h5") as reader:
        assert reader.names()[0] == "layers/dense/vars/0"
        assert reader.shape("layers/dense/vars/0") == (4, 3)
        assert reader.dtype("layers/dense/vars/0") == np.float32
