"""save_checkpoint(model): a Keras model is saved in published names whoever made it."""

import copy
import pickle

import keras
import numpy as np
import pytest

from bert4keras_ext.checkpoints import load_checkpoint, open_checkpoint, save_checkpoint
from bert4keras_ext.layers import GlobalAveragePooling1D
from bert4keras_ext.models import BERT, build_transformer_model
from tests.models.families import BASE, FAMILIES, build
from tests.sweeps import some_of


def contents(path):
    with open_checkpoint(path) as reader:
        return {name: np.array(reader.read(name)) for name in reader.names()}


def check_same(folder, builder, model, format="tensorflow"):
    """The model gives the very file that its builder gives."""
    kind = ".ckpt" if format == "tensorflow" else ".safetensors"
    written = [
        save_checkpoint(each, folder / f"{name}{kind}", format)
        for name, each in (("builder", builder), ("model", model))
    ]
    assert written[0] == written[1] and written[0]
    first, second = (contents(folder / f"{name}{kind}") for name in ("builder", "model"))
    assert first.keys() == second.keys()
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name])


def with_head(model):
    x = model.output[0] if isinstance(model.output, list) else model.output
    return keras.Model(model.inputs, keras.layers.Dense(2, name="o")(x))


def reloaded(model, folder):
    model.save(folder / "m.keras")
    return keras.models.load_model(folder / "m.keras")


@pytest.mark.parametrize("family", some_of(FAMILIES, "bert", "roformer", "gpt2", "t5.1.1"))
def test_every_family_loaded_with_a_head_on_top(family, tmp_path):
    builder = build(family)
    model = reloaded(with_head(builder.model), tmp_path)
    for format in ("tensorflow", "huggingface", "native"):
        try:
            save_checkpoint(builder, tmp_path / "builder", format)
        except ValueError as error:  # a family that has no such names: the same error
            with pytest.raises(ValueError, match=str(error)[:30]):
                save_checkpoint(model, tmp_path / "model", format)
        else:
            check_same(tmp_path, builder, model, format)


CONFIG = {**BASE, "num_hidden_layers": 1}


def nested(model):
    inputs = [keras.Input(x.shape[1:], dtype=x.dtype) for x in model.inputs]
    return keras.Model(inputs, keras.layers.Dense(2)(model(inputs)))


@keras.saving.register_keras_serializable("tests")
class Mine(keras.Model):
    """A subclassed model around an encoder."""

    def __init__(self, encoder, **kwargs):
        super().__init__(**kwargs)
        self.encoder = encoder
        self.pool, self.head = GlobalAveragePooling1D(), keras.layers.Dense(2)

    def call(self, x):
        return self.head(self.pool(self.encoder(x)))

    def get_config(self):
        return {
            **super().get_config(),
            "encoder": keras.saving.serialize_keras_object(self.encoder),
        }

    @classmethod
    def from_config(cls, config):
        return cls(keras.saving.deserialize_keras_object(config.pop("encoder")), **config)


def subclassed(model):
    outer = Mine(model)
    outer([np.ones((1, 4), "int32")] * 2)
    return outer


def with_values(copied, model):
    copied.set_weights(model.get_weights())
    return copied


WAYS = {
    "as built": lambda model, _: model,
    "clone": lambda model, _: with_values(keras.models.clone_model(model), model),
    "deepcopy": lambda model, _: copy.deepcopy(model),
    "pickle": lambda model, _: pickle.loads(pickle.dumps(model)),
    "config": lambda model, _: with_values(keras.Model.from_config(model.get_config()), model),
    "nested": lambda model, _: nested(model),
    "nested, loaded": lambda model, folder: reloaded(nested(model), folder),
    "subclassed": lambda model, _: subclassed(model),
    "subclassed, loaded": lambda model, folder: reloaded(subclassed(model), folder),
    "loaded twice": lambda model, folder: reloaded(with_head(reloaded(model, folder)), folder),
}


@pytest.mark.parametrize("options", [{}, {"prefix": "left-", "keep_tokens": [0, 5, 7, 9],
                                          "compound_tokens": [[1, 2]]}])  # fmt: skip
def test_every_way_to_a_model(options, tmp_path):
    builder = build_transformer_model(CONFIG, return_keras_model=False, **options)
    for make in WAYS.values():
        check_same(tmp_path, builder, make(builder.model, tmp_path))


def test_both_halves_of_t5_and_the_whole(tmp_path):
    t5 = build("t5.1.1")
    assert len(save_checkpoint(t5.model, tmp_path / "whole.ckpt")) == len(t5.named_weights())
    for half, builder in (("encoder", t5._encoder), ("decoder", t5._decoder)):
        check_same(tmp_path, builder, reloaded(getattr(t5, half), tmp_path))


def test_the_file_is_read_back(tmp_path):
    builder = build_transformer_model(CONFIG, return_keras_model=False, with_mlm=True)
    save_checkpoint(reloaded(builder.model, tmp_path), tmp_path / "m.ckpt")
    other = build_transformer_model(CONFIG, return_keras_model=False, with_mlm=True)
    load_checkpoint(other, tmp_path / "m.ckpt")
    for a, b in zip(builder.model.weights, other.model.weights):
        np.testing.assert_array_equal(a, b)


class Renamed(BERT):
    """A user's family with names of its own, which the loading program need not know."""

    def variable_mapping(self):
        mapping = super().variable_mapping()
        return {layer: [f"mine/{n}" if n else n for n in names] for layer, names in mapping.items()}


def test_names_given_by_hand_in_a_subclass_of_the_builder(tmp_path):
    builder = build_transformer_model(CONFIG, model=Renamed, return_keras_model=False)
    save_checkpoint(reloaded(builder.model, tmp_path), tmp_path / "m.ckpt")
    assert all(name.startswith("mine/") for name in contents(tmp_path / "m.ckpt"))


def test_lora_is_merged(tmp_path):
    builder = build_transformer_model(CONFIG, return_keras_model=False)
    query = builder.model.get_layer("Transformer-0-MultiHeadSelfAttention").q
    query.enable_lora(2)
    query.lora_kernel_b.assign(np.ones(query.lora_kernel_b.shape))
    check_same(tmp_path, builder, reloaded(builder.model, tmp_path))


def test_a_part_of_the_model_warns_of_what_is_missing(tmp_path, caplog):
    model = build_transformer_model(CONFIG)
    part = keras.Model(model.inputs, model.get_layer("Embedding-Norm").output)
    written = save_checkpoint(part, tmp_path / "m.ckpt")
    assert len(written) == 5
    assert "layers of the bert that was built are not in the model" in caplog.text


def test_models_that_are_not_ours_or_hold_two_encoders(tmp_path):
    dense = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    with pytest.raises(ValueError, match="expected a model of build_transformer_model.*holds no"):
        save_checkpoint(dense, tmp_path / "m.ckpt")
    left, right = (build_transformer_model(CONFIG, name=name) for name in ("left", "right"))
    inputs = [keras.Input((None,), dtype="int32") for _ in range(2)]
    two = keras.Model(inputs, [left(inputs), right(inputs)])
    with pytest.raises(ValueError, match="expected one encoder in the model .*found 2: pass"):
        save_checkpoint(two, tmp_path / "m.ckpt")
    assert not list(tmp_path.iterdir())
    assert save_checkpoint(two.get_layer("right"), tmp_path / "m.ckpt")


@pytest.mark.parametrize("saved, other", [(True, False), (False, True), (True, True)])
def test_keras_weight_files_with_and_without_lora(saved, other, tmp_path):
    def made(with_lora):
        builder = build_transformer_model(CONFIG, return_keras_model=False)
        if with_lora:
            query = builder.model.get_layer("Transformer-0-MultiHeadSelfAttention").q
            query.enable_lora(2)
            query.lora_kernel_b.assign(np.ones(query.lora_kernel_b.shape))
        return builder

    first, second = made(saved), made(other)
    first.model.save_weights(tmp_path / "m.weights.h5")
    load_checkpoint(second, tmp_path / "m.weights.h5")
    inputs = [np.ones((1, 4), "int32")] * 2
    np.testing.assert_allclose(second.model(inputs), first.model(inputs), atol=1e-5)
