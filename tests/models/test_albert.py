"""ALBERT, shared and unshared: recorded cases, groups of layers, names and configs."""

import json

import numpy as np
import pytest

from bert4keras_ext.checkpoints import open_checkpoint, save_checkpoint
from bert4keras_ext.models import build_transformer_model
from tests import peers
from tests.models.families import BASE, build, inputs_of, predict, randomize
from tests.models.recorded_models import (
    HUGGING_FACE,
    check_bert4keras_case,
    check_hugging_face_case,
    hugging_face_cases,
)

FOLDERS = ("albert_model", "albert_mlm", "albert_pretraining")
HEADS = {
    "albert_model": {"with_pool": True},
    "albert_mlm": {"with_mlm": "linear"},
    "albert_pretraining": {"with_nsp": "linear", "with_mlm": "linear"},
}
INPUTS = ["input_ids", "token_type_ids"]
GROUPS = {"num_hidden_layers": 4, "num_hidden_groups": 2, "inner_group_num": 2}


@pytest.mark.parametrize("name", ["albert", "albert_mlm_nsp", "albert_unshared"])
def test_equals_bert4keras(name):
    # Float32 rounding through three layers is about 5e-6 here.
    check_bert4keras_case(name, tolerance=2e-5)


@pytest.mark.parametrize(
    "name, output, mask, head",
    [
        ("albert_model", "out_pooler_output", None, {"with_pool": True}),
        ("albert_mlm", "out_logits", "attention_mask", {"with_mlm": "linear"}),
        ("albert_pretraining", "out_prediction_logits", "attention_mask", {"with_mlm": "linear"}),
        ("albert_pretraining", "out_sop_logits", None, {"with_nsp": "linear"}),
        *[(name, "out_last_hidden_state", "attention_mask", {}) for name in FOLDERS],
    ],
)
def test_equals_transformers(name, output, mask, head):
    check_hugging_face_case(name, output, INPUTS, None, mask, **head)


def test_every_layer_equals_transformers():
    """All layers are one: a model of fewer layers gives the states in between."""
    recorded = np.load(HUGGING_FACE / "albert_model" / "io.npz")
    inputs, real = [recorded[f"in_{key}"] for key in INPUTS], recorded["in_attention_mask"] == 1
    for layers, states in enumerate(recorded["out_hidden_states"][1:], 1):
        model = build_transformer_model(HUGGING_FACE / "albert_model", num_hidden_layers=layers)
        found = model.predict_on_batch(inputs)
        np.testing.assert_allclose(found[real], states[real], atol=2e-5)


@pytest.mark.parametrize("model", ["albert", "albert_unshared"])
@pytest.mark.parametrize("name", FOLDERS)
def test_recorded_folders_are_read_and_written_whole(name, model, tmp_path):
    folder = HUGGING_FACE / name
    builder = build_transformer_model(
        folder, False, model=model, return_keras_model=False, **HEADS[name]
    )
    report = builder.load_weights_from_checkpoint(folder)
    assert not (report.unused or report.missing or report.unnamed)
    assert set(report.loaded) == set(builder.named_weights())
    save_checkpoint(builder, tmp_path, format="huggingface")
    with open_checkpoint(folder) as old, open_checkpoint(tmp_path) as new:
        named = {n: n if n in new else f"albert.{n}" for n in hugging_face_cases()[name]["tensors"]}
        assert set(new.names()) == set(named.values())
        for theirs, ours in named.items():
            np.testing.assert_array_equal(new.read(ours), old.read(theirs), err_msg=ours)


def test_unshared_layers_start_equal_and_are_written_only_while_equal(tmp_path):
    shared = build("albert", layer_norm_eps=1e-12)
    randomize(shared)
    save_checkpoint(shared, tmp_path / "model.ckpt")
    unshared = build("albert_unshared", num_hidden_layers=2)
    unshared.load_weights_from_checkpoint(tmp_path / "model.ckpt")
    arrays = inputs_of(shared)
    # The same numbers in the same order: only the epsilon could have made a difference.
    np.testing.assert_allclose(predict(unshared, arrays)[0], predict(shared, arrays)[0], atol=1e-5)
    save_checkpoint(unshared, tmp_path / "again.ckpt")
    shared.load_weights_from_checkpoint(tmp_path / "again.ckpt")
    weights = unshared.named_weights()
    weights["Transformer-1-FeedForward/o/bias"].assign_add(np.ones(16))
    with pytest.raises(ValueError, match="Transformer-0-FeedForward.*differ.*native"):
        save_checkpoint(unshared, tmp_path / "differ.ckpt")


def test_groups_and_inner_groups_follow_each_other():
    """Layers 0, 1 are group 0 and layers 2, 3 group 1; each is its two inner blocks in a row."""
    grouped = build("albert", **GROUPS)
    randomize(grouped)
    plain = build("albert_unshared", num_hidden_layers=8, layer_norm_eps=1e-7)
    plain.layers["Embedding-Norm"].epsilon = plain.layers["MLM-Norm"].epsilon = 1e-12
    blocks = ["0-0", "0-1", "0-0", "0-1", "1-0", "1-1", "1-0", "1-1"]
    weights = grouped.named_weights()
    for name, variable in plain.named_weights().items():
        parts = name.split("-")
        if parts[0] == "Transformer":
            name = "-".join([parts[0], blocks[int(parts[1])], *parts[2:]])
        variable.assign(weights[name])
    assert len(weights) == 4 * 16 + len(build("albert").named_weights()) - 16
    arrays = inputs_of(grouped)
    # float32 eps times eight layers, logits up to about 10
    np.testing.assert_allclose(predict(plain, arrays)[0], predict(grouped, arrays)[0], atol=2e-5)


@pytest.mark.parametrize("source", ["tensorflow", "huggingface", "native"])
def test_groups_are_written_and_read(source, tmp_path):
    first, second = build("albert", **GROUPS), build("albert", **GROUPS)
    randomize(first)
    path = tmp_path / ("model.ckpt" if source == "tensorflow" else "folder")
    save_checkpoint(first, path, format=source)
    report = second.load_weights_from_checkpoint(path)
    assert not (report.unused or report.missing or report.unnamed)
    for name, variable in first.named_weights().items():
        np.testing.assert_array_equal(second.named_weights()[name], variable, err_msg=name)
    if source != "native":
        name = report.loaded["Transformer-1-0-FeedForward/i0/kernel"]
        wanted = {
            "tensorflow": "transformer/group_1/inner_group_0/ffn_1/intermediate/dense/kernel",
            "huggingface": "encoder.albert_layer_groups.1.albert_layers.0.ffn.weight",
        }
        assert name.endswith(wanted[source])


def test_a_mapping_between_equal_widths_is_where_the_file_has_one(tmp_path):
    """Google's ALBERT has none, Hugging Face's always one."""
    config = {**BASE, "embedding_size": 16}
    without = build_transformer_model(config, model="albert", return_keras_model=False)
    randomize(without)
    save_checkpoint(without, tmp_path / "model.ckpt")
    save_checkpoint(without, tmp_path / "folder", format="huggingface")
    config["model_type"] = "albert"
    (tmp_path / "folder" / "config.json").write_text(json.dumps({**config, "layer_norm_eps": None}))
    read = [
        build_transformer_model(config, tmp_path / "model.ckpt", return_keras_model=False),
        build_transformer_model(tmp_path / "folder", return_keras_model=False),
    ]
    assert ["Embedding-Mapping" in builder.layers for builder in read] == [False, True]
    np.testing.assert_array_equal(read[1].layers["Embedding-Mapping"].kernel, np.eye(16))
    for builder in read:  # epsilons differ
        for name, layer in builder.layers.items():
            if name.endswith("-Norm"):
                layer.epsilon = without.layers[name].epsilon
        builder.model.predict_function = None
        arrays = inputs_of(without)
        found = builder.model.predict_on_batch(arrays)
        np.testing.assert_allclose(found, predict(without, arrays)[0], atol=1e-5)


def test_what_a_silent_config_of_hugging_face_means():
    config = {k: v for k, v in BASE.items() if k != "hidden_act"}
    builder = build_transformer_model({**config, "model_type": "albert"}, return_keras_model=False)
    assert (builder.embedding_size, builder.hidden_act) == (128, "gelu_new")
    assert builder.layer_norm_epsilon == 1e-12
    google = build("albert")
    assert (google.layer_norm_epsilon, google.embedding_norm_epsilon) == (1e-7, 1e-12)


@pytest.mark.parametrize(
    "model, change, message",
    [
        ("albert", {"num_hidden_groups": 3}, "num_hidden_groups=3.*num_hidden_layers=2"),
        ("albert", {"inner_group_num": 0}, "inner_group_num expects a positive integer"),
        ("albert_unshared", {"num_hidden_groups": 2}, "num_hidden_groups=1.*model='albert'"),
        ("albert", {"position_embedding_type": "relative_key"}, "'relative_key'.*'absolute'"),
    ],
)
def test_bad_configs(model, change, message):
    with pytest.raises(ValueError, match=message):
        build(model, **change)


@pytest.mark.parametrize("groups", [{}, GROUPS])
def test_transformers_loads_what_is_written(groups, tmp_path):
    builder = build("albert", **groups, layer_norm_eps=1e-12, with_nsp="linear")
    peers.fill(builder)
    save_checkpoint(builder, tmp_path, format="huggingface")
    config = {**BASE, "embedding_size": 12, **groups, "layer_norm_eps": 1e-12}
    (tmp_path / "config.json").write_text(json.dumps({**config, "model_type": "albert"}))
    tokens, segments = inputs_of(builder)

    def theirs():
        model = peers.loaded("AlbertForPreTraining", tmp_path)
        return peers.logits(model, tokens, segments)

    wanted = peers.answer(f"albert_{len(groups)}", tmp_path, theirs)
    order, logits = predict(builder, [tokens, segments])
    np.testing.assert_allclose(order, wanted["sop_logits"], atol=2e-5)
    real = tokens != 0
    np.testing.assert_allclose(logits[real], wanted["prediction_logits"][real], atol=2e-5)
