"""ELECTRA: the discriminator, the generator, and files that hold both."""

import keras
import numpy as np
import pytest

from bert4keras_ext.backend.activations import get_activation
from bert4keras_ext.checkpoints import CheckpointError, open_checkpoint, save_checkpoint
from bert4keras_ext.models import build_transformer_model
from tests import peers
from tests.models.families import BASE, build, inputs_of, predict, randomize
from tests.models.recorded_models import (
    HUGGING_FACE,
    TOLERANCE,
    check_bert4keras_case,
    check_hugging_face_case,
    hugging_face_cases,
    report,
)

INPUTS = ["input_ids", "token_type_ids"]
HEADS = {
    "electra_model": {},
    "electra_model_same_size": {},
    "electra_pretraining": {"with_discriminator": "linear"},
    "electra_mlm": {"with_mlm": "linear"},
}
GENERATOR = {"with_discriminator": False, "with_mlm": "linear"}


def test_equals_bert4keras():
    # Float32 rounding through two layers is about 2e-6 here.
    check_bert4keras_case("electra", tolerance=2e-5)


@pytest.mark.parametrize("name", HEADS)
def test_states_equal_transformers(name):
    builder = check_hugging_face_case(name, "out_last_hidden_state", INPUTS, None, "attention_mask")
    recorded = np.load(HUGGING_FACE / name / "io.npz")
    real = recorded["in_attention_mask"] == 1
    names = [f"Transformer-{i}-FeedForward-Norm" for i in range(builder.num_hidden_layers)]
    model = keras.Model(builder.model.inputs, [builder.layers[n].output for n in names])
    found = model.predict_on_batch([recorded[f"in_{key}"] for key in INPUTS])
    for ours, theirs in zip(found, recorded["out_hidden_states"][1:]):
        np.testing.assert_allclose(ours[real], theirs[real], atol=2e-5)


def test_the_generator_equals_transformers():
    check_hugging_face_case(
        "electra_mlm", "out_logits", INPUTS, None, "attention_mask", with_mlm="linear"
    )


@pytest.mark.parametrize("activation", ["linear", True])
def test_the_discriminator_equals_transformers(activation):
    folder = HUGGING_FACE / "electra_pretraining"
    recorded = np.load(folder / "io.npz")
    model = build_transformer_model(folder, with_discriminator=activation)
    found = model.predict_on_batch([recorded[f"in_{key}"] for key in INPUTS])
    assert found.shape == (3, 11, 1) and model.layers[-1].name == "Discriminator-Prediction"
    wanted = recorded["out_logits"]
    if activation is True:
        wanted = 1 / (1 + np.exp(-wanted))
    difference = (found[..., 0] - wanted)[recorded["in_attention_mask"] == 1]
    report("transformers", "electra_pretraining", f"out_logits {activation}", difference, TOLERANCE)


@pytest.mark.parametrize("name", HEADS)
def test_recorded_folders_are_read_and_written_whole(name, tmp_path):
    folder = HUGGING_FACE / name
    builder = build_transformer_model(folder, False, return_keras_model=False, **HEADS[name])
    loaded = builder.load_weights_from_checkpoint(folder)
    assert not (loaded.unused or loaded.missing or loaded.unnamed)
    save_checkpoint(builder, tmp_path, format="huggingface")
    with open_checkpoint(folder) as old, open_checkpoint(tmp_path) as new:
        tensors = hugging_face_cases()[name]["tensors"]
        named = {n: n if n in new else f"electra.{n}" for n in tensors}
        assert set(new.names()) == set(named.values())
        for theirs, ours in named.items():
            np.testing.assert_array_equal(new.read(ours), old.read(theirs), err_msg=ours)


def networks(generator_embeddings):
    """(discriminator, generator, the file of their training as {name: array})."""
    first = build("electra")
    second = build("electra", **GENERATOR, hidden_size=8, intermediate_size=12)
    randomize(first, seed=1)
    randomize(second, seed=2)
    file = {"global_step": np.array(7), "electra/encoder/layer_0/output/dense/bias/adam_m": None}
    for builder, scope in ((first, "electra/"), (second, "generator/")):
        for ours, variable in builder.named_weights().items():
            names = builder.variable_mapping()[ours.split("/")[0]]
            weights = [n for n in builder.named_weights() if n.split("/")[0] == ours.split("/")[0]]
            name = names[weights.index(ours)]
            if name.startswith("generator/embeddings/"):
                name = name.replace("generator/", generator_embeddings)
            assert name.startswith((scope, "electra/embeddings/")) or "predictions" in name
            if name in file:  # both networks have one table
                variable.assign(file[name])
            file[name] = variable.numpy()
    file["electra/encoder/layer_0/output/dense/bias/adam_m"] = np.ones(16)
    return first, second, file


@pytest.mark.parametrize("generator_embeddings", ["electra/", "generator/"])
def test_each_network_finds_its_own_half_of_a_tensorflow_file(generator_embeddings):
    discriminator, generator, file = networks(generator_embeddings)
    new = build("electra"), build("electra", **GENERATOR, hidden_size=8, intermediate_size=12)
    for old, builder in zip((discriminator, generator), new):
        loaded = builder.load_weights_from_checkpoint(file)
        assert not (loaded.unused or loaded.missing or loaded.unnamed)
        for name, variable in old.named_weights().items():
            np.testing.assert_array_equal(builder.named_weights()[name], variable, err_msg=name)


def test_published_names():
    mapping = build("electra").variable_mapping()
    assert mapping["Embedding-Mapping"][0] == "electra/embeddings_project/kernel"
    assert mapping["Discriminator-Prediction"] == [
        "discriminator_predictions/dense_1/kernel", "discriminator_predictions/dense_1/bias",
    ]  # fmt: skip
    mapping = build("electra", **GENERATOR).variable_mapping()
    assert mapping["MLM-Bias"] == ["generator_predictions/output_bias"]
    assert mapping["MLM-Dense"][0] == "generator_predictions/dense/kernel"
    name = "generator/encoder/layer_1/attention/self/query/kernel"
    assert mapping["Transformer-1-MultiHeadSelfAttention"][0] == name


def test_a_generator_alone_may_carry_the_discriminators_names(tmp_path):
    generator = build("electra", **GENERATOR)
    randomize(generator)
    save_checkpoint(generator, tmp_path / "model.ckpt")
    with open_checkpoint(tmp_path / "model.ckpt") as reader:
        file = {n.replace("generator/", "electra/"): reader.read(n) for n in reader.names()}
    new = build("electra", **GENERATOR)
    assert not new.load_weights_from_checkpoint(file).unused
    arrays = inputs_of(new)
    np.testing.assert_array_equal(predict(new, arrays)[0], predict(generator, arrays)[0])


def test_a_discriminators_file_has_no_generator(tmp_path):
    save_checkpoint(build("electra"), tmp_path, format="huggingface")
    with pytest.raises(CheckpointError, match="generator_predictions"):
        build("electra", **GENERATOR).load_weights_from_checkpoint(tmp_path)


def test_vocabulary_of_the_generator_is_cut_with_its_bias(tmp_path):
    whole = build("electra", **GENERATOR)
    randomize(whole)
    save_checkpoint(whole, tmp_path, format="huggingface")
    keep = [0, 1, 5, 7, 9, 30]
    cut = build("electra", **GENERATOR, keep_tokens=keep)
    cut.load_weights_from_checkpoint(tmp_path)
    tokens = np.array([[1, 3, 2, 5]])
    (found,) = predict(cut, [tokens, tokens * 0])
    (wanted,) = predict(whole, [np.array(keep)[tokens], tokens * 0])
    np.testing.assert_allclose(found, wanted[..., keep], atol=1e-5)


@pytest.mark.parametrize(
    "change, activation",
    [
        ({}, "relu"),
        ({"model_type": "electra"}, "gelu"),
        ({"model_type": "electra", "generator_act": "tanh"}, "tanh"),
    ],
)
def test_the_activation_of_the_generators_head(change, activation):
    """Google's is hidden_act, Hugging Face's GELU whatever hidden_act says."""
    config = {**BASE, "hidden_act": "relu", "embedding_size": 12, **change}
    builder = build_transformer_model(
        config, model="electra", with_mlm=True, return_keras_model=False
    )
    assert builder.layers["MLM-Dense"].activation == get_activation(activation)


def test_what_a_silent_config_means():
    config = {k: v for k, v in BASE.items() if k not in ("type_vocab_size", "hidden_act")}
    builder = build_transformer_model(
        {**config, "hidden_act": "gelu"}, model="electra", return_keras_model=False
    )
    assert builder.embedding_size == 16 and len(builder.inputs) == 2  # segments, two of them
    builder = build_transformer_model({**config, "model_type": "electra"}, return_keras_model=False)
    assert builder.embedding_size == 128 and builder.hidden_act == "gelu"


@pytest.mark.parametrize(
    "change, message",
    [
        ({"with_pool": True}, "no pooler.*FirstPooling1D"),
        ({"with_nsp": True}, "no pooler.*FirstPooling1D"),
        ({"with_mlm": True}, "two networks.*build two models"),
        ({"application": "lm"}, "'electra' cannot be built as application='lm'"),
    ],
)
def test_bad_configs(change, message):
    with pytest.raises(ValueError, match=message):
        build("electra", **change)


@pytest.mark.parametrize("name", ["electra_pretraining", "electra_mlm"])
def test_transformers_loads_what_is_written(name, tmp_path):
    builder = build_transformer_model(HUGGING_FACE / name, return_keras_model=False, **HEADS[name])
    peers.fill(builder)
    save_checkpoint(builder, tmp_path, format="huggingface")
    (tmp_path / "config.json").write_text((HUGGING_FACE / name / "config.json").read_text())
    tokens, segments = inputs_of(builder)

    def theirs():
        model = peers.loaded(hugging_face_cases()[name]["cls"], tmp_path)
        return {"logits": peers.logits(model, tokens, segments)["logits"]}

    wanted = peers.answer(name, tmp_path, theirs)["logits"]
    found = predict(builder, [tokens, segments])[0].reshape(wanted.shape)
    np.testing.assert_allclose(found[tokens != 0], wanted[tokens != 0], atol=TOLERANCE)
