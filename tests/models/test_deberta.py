"""DeBERTa-v2 and -v3 against recordings of transformers, and what the family adds to BERT."""

import json

import keras
import numpy as np
import pytest

from bert4keras_ext.checkpoints import CheckpointError, load_checkpoint, save_checkpoint
from bert4keras_ext.models import build_transformer_model
from tests import peers
from tests.models.families import BASE, FAMILIES, build, inputs_of, predict, randomize
from tests.models.recorded_models import HUGGING_FACE, TOLERANCE, check_hugging_face_case

CONFIG = {**BASE, **FAMILIES["deberta_v2"], "type_vocab_size": 0}
HEADS = {"deberta_v2_model": {}, "deberta_v2_conv_mlm": {"with_mlm": "linear"}}
# What a config of Hugging Face may say besides the recorded ones.
SETTINGS = {
    "own projections": {"share_att_key": False},
    "c2p": {"pos_att_type": "c2p", "norm_rel_ebd": "none"},
    "p2c": {"pos_att_type": ["p2c"], "share_att_key": False},
    "no buckets": {"position_buckets": -1, "max_relative_positions": 5},
    "positions": {"position_biased_input": True, "type_vocab_size": 2, "embedding_size": 12},
    "not relative": {"relative_attention": False, "position_biased_input": True,
                     "norm_rel_ebd": "none"},
    "convolution": {"conv_kernel_size": 5, "conv_groups": 2, "conv_act": "tanh"},
    "lm_head": {"legacy": False, "tie_word_embeddings": False},
}  # fmt: skip


def make(*build_arguments, seed=None, **kwargs):
    config = {**CONFIG, "conv_kernel_size": 0, **kwargs}
    builder = build_transformer_model(
        config, *build_arguments, model="deberta_v2", return_keras_model=False
    )
    if seed is not None:
        randomize(builder, seed)
    return builder


@pytest.mark.parametrize(
    "name, output, layer",
    [
        ("deberta_v2_model", "out_last_hidden_state", None),
        ("deberta_v2_conv_mlm", "out_last_hidden_state", "Transformer-1-FeedForward-Norm"),
        ("deberta_v2_conv_mlm", "out_logits", None),
    ],
)
def test_equals_transformers(name, output, layer):
    check_hugging_face_case(name, output, ["input_ids"], layer, "attention_mask", **HEADS[name])


def test_every_layer_equals_transformers():
    folder = HUGGING_FACE / "deberta_v2_conv_mlm"
    recorded = np.load(folder / "io.npz")
    builder = build_transformer_model(folder, return_keras_model=False)
    names = [
        "Embedding-Dropout",
        "Transformer-0-Convolution-Norm",
        "Transformer-1-FeedForward-Norm",
    ]
    model = keras.Model(builder.model.inputs, [builder.layers[n].output for n in names])
    real = recorded["in_attention_mask"] == 1
    found = model.predict_on_batch(recorded["in_input_ids"])
    for ours, theirs in zip(found, recorded["out_hidden_states"]):
        np.testing.assert_allclose(ours[real], theirs[real], atol=TOLERANCE)


def test_embeddings_are_added_mapped_without_bias_and_then_normalised():
    builder = make(**SETTINGS["positions"], seed=0)
    tokens, segments = np.array([[5, 6, 7, 0]]), np.array([[0, 1, 1, 0]])
    weights = {k: v.numpy().astype("float64") for k, v in builder.named_weights().items()}
    x = weights["Embedding-Token/embeddings"][tokens]
    x = x + weights["Embedding-Position/embeddings"][np.arange(4)]
    x = x + weights["Embedding-Segment/embeddings"][segments]
    x = x @ weights["Embedding-Mapping/kernel"]
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-7)
    x = x * weights["Embedding-Norm/gamma"] + weights["Embedding-Norm/beta"]
    model = keras.Model(builder.model.inputs, builder.layers["Embedding-Norm"].output)
    found = model.predict_on_batch([tokens, segments])
    np.testing.assert_allclose(found, x, atol=1e-5)
    assert "Embedding-Mapping/bias" not in weights


def test_what_a_config_does_not_say_is_as_in_hugging_faces():
    builder = build_transformer_model(
        {k: v for k, v in BASE.items() if k != "type_vocab_size"},
        model="deberta_v3",
        return_keras_model=False,
    )
    assert [x.name for x in builder.model.inputs] == ["Input-Token"]
    assert not any("Relative" in name or "Convolution" in name for name in builder.layers)
    assert "Embedding-Position" in builder.layers
    assert builder.layers["Embedding-Norm"].epsilon == 1e-7


@pytest.mark.parametrize("length", [1, 60])
def test_texts_of_any_length(length):
    """Beyond max_relative_positions, and every row alone as in the batch."""
    builder = make(max_relative_positions=12, conv_kernel_size=3, seed=0)
    tokens = np.random.default_rng(1).integers(4, 40, (2, length))
    (both,) = predict(builder, [tokens])
    (padded,) = predict(builder, [np.pad(tokens[:1], ((0, 0), (0, 5)))])
    # float32 eps times two layers, logits up to about 30
    np.testing.assert_allclose(both[:1], padded[:, :length], atol=1e-4, rtol=1e-4)


def test_a_fixed_length_beyond_the_trained_positions():
    with pytest.raises(ValueError, match="sequence_length=25 exceeds the 24 trained positions"):
        make(position_biased_input=True, sequence_length=25)
    assert make(sequence_length=25).model.output.shape == (None, 25, 40)


def test_position_ids_count_for_relative_positions():
    plain, custom = make(), make(custom_position_ids=True)
    randomize(custom)
    plain.model.set_weights(custom.model.get_weights())
    (tokens,) = inputs_of(plain)
    places = np.tile(np.arange(tokens.shape[1]), (len(tokens), 1))
    wanted = predict(plain, [tokens])[0]
    np.testing.assert_allclose(predict(custom, [tokens, places + 3])[0], wanted, atol=2e-5)
    assert np.abs(predict(custom, [tokens, places * 2])[0] - wanted).max() > 1e-3


def test_pooler():
    builder = make(with_mlm=False, with_pool=True, seed=0)
    (tokens,) = inputs_of(builder)
    states = keras.Model(builder.model.inputs, builder.layers["Pooler"].output)
    dense = builder.layers["Pooler-Dense"]
    first = states.predict_on_batch(tokens) @ dense.kernel.numpy() + dense.bias.numpy()
    wanted = keras.ops.gelu(first, approximate=False)
    np.testing.assert_allclose(predict(builder, [tokens])[0], wanted, atol=1e-5)
    tanh = make(with_mlm=False, with_pool="tanh", layers=builder.layers)
    assert tanh.model.output.shape == (None, 16)
    relu = make(with_mlm=False, with_pool=True, pooler_hidden_act="relu", pooler_dropout=0.5)
    assert relu.layers["Pooler-Dense"].activation is keras.activations.relu
    assert relu.layers["Pooler-Dropout"].rate == 0.5


@pytest.mark.parametrize(
    "change, message",
    [
        ({"pos_att_type": "p2p|c2p"}, r"pos_att_type expects some of .*'c2p'.*'p2p\|c2p'"),
        ({"norm_rel_ebd": "batch_norm"}, "norm_rel_ebd expects.*'layer_norm'.*'batch_norm'"),
        ({"position_buckets": 1}, "at least 2 buckets.*found 1"),
        ({"conv_kernel_size": 4}, "conv_kernel_size expects an odd number.*received 4"),
        ({"conv_kernel_size": 3, "conv_groups": 3}, "conv_groups expects a divisor.*received 3"),
        ({"conv_kernel_size": 3, "conv_act": "gleu"}, "gleu"),
        ({"with_pool": True, "pooler_hidden_size": 8}, "pooler_hidden_size expects.*received 8"),
        ({"legacy": False, "embedding_size": 12}, "legacy=False expects.*set legacy=True"),
        ({"tie_word_embeddings": False}, "expected tie_word_embeddings=True.*found False"),
    ],
)
def test_settings_that_no_deberta_has(change, message):
    with pytest.raises(ValueError, match=message):
        make(**change)


@pytest.mark.parametrize("application", ["lm", "unilm"])
def test_a_language_model_has_no_convolution(application):
    sizes = {**CONFIG, "type_vocab_size": 2}
    with pytest.raises(ValueError, match="expected conv_kernel_size=0.*found 3"):
        build_transformer_model(sizes, model="deberta_v2", application=application)


@pytest.mark.parametrize("setting", SETTINGS)
def test_hugging_face_files_are_written_and_read(setting, tmp_path):
    first, second = make(**SETTINGS[setting], seed=1), make(**SETTINGS[setting], seed=2)
    names = save_checkpoint(first, tmp_path, format="huggingface")
    assert set(names) == set(first.named_weights())
    head = "lm_predictions.lm_head." if setting == "lm_head" else "cls.predictions."
    assert {name for ours, name in names.items() if ours == "MLM-Bias/beta"} == {head + "bias"}
    report = load_checkpoint(second, tmp_path)
    assert not (report.unused or report.missing or report.unnamed), report
    for a, b in zip(first.model.get_weights(), second.model.get_weights()):
        np.testing.assert_array_equal(a, b)


def test_the_pooler_stands_outside_of_the_base_model(tmp_path):
    builder = make(with_mlm=False, with_pool=True)
    names = save_checkpoint(builder, tmp_path, format="huggingface")
    assert names["Pooler-Dense/kernel"] == "pooler.dense.weight"
    assert names["Embedding-Token/embeddings"] == "deberta.embeddings.word_embeddings.weight"


def test_both_spellings_of_the_head_and_files_of_the_base_model(tmp_path):
    new, old, base = make(legacy=False, seed=1), make(seed=2), make(with_mlm=False, seed=3)
    save_checkpoint(new, tmp_path, format="huggingface")
    assert not load_checkpoint(old, tmp_path).unused
    np.testing.assert_array_equal(*(predict(b, inputs_of(b))[0] for b in (new, old)))
    tensors = _tensors(tmp_path / "model.safetensors")
    tensors = {k.removeprefix("deberta."): v for k, v in tensors.items()}
    more = {"mask_predictions.dense.weight": np.ones((2, 2), "float32")}
    report = load_checkpoint(base, {**tensors, **more})
    assert all(name.startswith("lm_predictions") for name in report.unused)
    assert len(report.loaded) == len(base.named_weights())


def _tensors(path):
    from safetensors.numpy import load_file

    return load_file(path)


def test_there_are_no_tensorflow_names(tmp_path):
    builder = make()
    with pytest.raises(ValueError, match="'tensorflow' names.*deberta_v2.*huggingface"):
        builder.save_weights_as_checkpoint(str(tmp_path / "model.ckpt"))
    assert not list(tmp_path.iterdir())
    with pytest.raises(CheckpointError):
        load_checkpoint(builder, {"bert/embeddings/word_embeddings": np.ones((40, 16), "float32")})


@pytest.mark.parametrize("setting", SETTINGS)
def test_transformers_loads_what_is_written(setting, tmp_path):
    builder = make(**SETTINGS[setting])
    peers.fill(builder)
    save_checkpoint(builder, tmp_path, format="huggingface")
    config = {"pad_token_id": 0, **CONFIG, "conv_kernel_size": 0, **SETTINGS[setting]}
    config.pop("with_mlm")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "deberta-v2", **config}))
    arrays = inputs_of(builder)

    def theirs():
        return peers.logits(peers.loaded("DebertaV2ForMaskedLM", tmp_path), *arrays)

    number = list(SETTINGS).index(setting)
    wanted = peers.answer(f"deberta_{number}", tmp_path, theirs)["logits"]
    (found,) = predict(builder, arrays)
    real = arrays[0] != 0
    np.testing.assert_allclose(found[real], wanted[real], atol=TOLERANCE)
    (again,) = predict(
        build_transformer_model(tmp_path, with_mlm="linear", return_keras_model=False), arrays
    )
    np.testing.assert_allclose(again, found, atol=TOLERANCE)


def test_residual_scores_and_shared_layers_keep_working_without_positions():
    builder = build("deberta_v2", relative_attention=False, residual_attention_scores=True)
    randomize(builder)
    assert np.all(np.isfinite(predict(builder, inputs_of(builder))[0]))
