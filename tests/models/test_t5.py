"""T5 and mT5: against the recordings, as bert4keras' names and options, and as checkpoints."""

import json

import keras
import numpy as np
import pytest
from keras import ops

from bert4keras_ext.backend import set_precision
from bert4keras_ext.checkpoints import CheckpointError, open_checkpoint, save_checkpoint
from bert4keras_ext.models import T5, T5_Decoder, T5_Encoder, build_transformer_model
from bert4keras_ext.models.t5 import OutputTable, of_version
from tests import peers
from tests.checkpoints import torch_maker
from tests.harness import check_layer
from tests.models.recorded_models import (
    BERT4KERAS,
    HUGGING_FACE,
    TOLERANCE,
    bert4keras_cases,
    check_bert4keras_case,
    check_hugging_face_case,
    hugging_face_cases,
    report,
)

RECORDED = [name for name, case in bert4keras_cases().items() if "t5" in case["model"]]
FOLDERS = [name for name in hugging_face_cases() if "t5" in name]
# The recorded output, the layer that gives it in our whole model, and the mask it is compared by.
OUTPUTS = {
    "out_logits": (None, "decoder_attention_mask"),
    "out_decoder_last_hidden_state": ("Decoder-Output-Norm", "decoder_attention_mask"),
    "out_encoder_last_hidden_state": ("Encoder-Output-Norm", "attention_mask"),
}
CONFIG = dict(
    vocab_size=40,
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=2,
    attention_head_size=6,
    intermediate_size=24,
    hidden_act=["gelu", "linear"],
    hidden_dropout_prob=0.1,
    attention_probs_dropout_prob=0.1,
)
SOURCE = np.array([[5, 9, 7, 3, 11, 8], [6, 8, 3, 0, 0, 0]])
TARGET = np.array([[0, 4, 9, 12], [0, 13, 0, 0]])
# float32 eps (1e-7) times a few dozen additions a layer, values up to about 10
CLOSE = dict(atol=2e-5, rtol=2e-5)


def build(model="t5.1.1", checkpoint=None, **kwargs):
    kwargs = {"with_lm": "linear", **kwargs}
    return build_transformer_model(
        {**CONFIG, **kwargs}, checkpoint, model=model, return_keras_model=False
    )


def randomized(model="t5.1.1", seed=0, **kwargs):
    builder = build(model, **kwargs)
    rng = np.random.default_rng(seed)
    for variable in builder.named_weights().values():
        variable.assign(variable.numpy() + rng.normal(0, 0.2, variable.shape))
    return builder


def predict(builder, source=SOURCE, target=TARGET, *more):
    return builder.model.predict_on_batch([source, target, *more])


def assert_same_weights(first, second):
    a, b = first.named_weights(), second.named_weights()
    assert a.keys() == b.keys()
    for name, variable in a.items():
        np.testing.assert_array_equal(variable.numpy(), b[name].numpy(), err_msg=name)


# ---- the recordings ------------------------------------------------------------------------


@pytest.mark.parametrize("name", RECORDED)
def test_equals_bert4keras(name):
    check_bert4keras_case(name)


@pytest.mark.parametrize("name", FOLDERS)
def test_equals_transformers(name):
    recorded = np.load(HUGGING_FACE / name / "io.npz")
    builder = from_folder(HUGGING_FACE / name)
    layers = [builder.layers[layer].output for layer, _ in OUTPUTS.values() if layer]
    model = keras.Model(builder.model.inputs, [builder.model.output, *layers])
    found = model.predict_on_batch([recorded["in_input_ids"], recorded["in_decoder_input_ids"]])
    for (output, (_, mask)), values in zip(OUTPUTS.items(), found):
        assert values.shape == recorded[output].shape
        difference = (values - recorded[output])[recorded[f"in_{mask}"] == 1]
        report("transformers", name, output, difference, TOLERANCE)


def test_every_recording_was_compared():
    assert len(RECORDED) == 11 and len(FOLDERS) == 7


def test_states_without_a_head_are_those_of_transformers_in_a_folder_of_theirs():
    inputs, mask = ["input_ids", "decoder_input_ids"], "decoder_attention_mask"
    name = "out_decoder_last_hidden_state"
    check_hugging_face_case("t5_v1_0", name, inputs, mask=mask, with_lm=False)


def test_both_files_of_a_folder_hold_the_same_model():
    folder = HUGGING_FACE / "t5_v1_1"
    files = [folder / name for name in ("model.safetensors", "pytorch_model.bin")]
    first, second = (build_transformer_model(folder, f, return_keras_model=False) for f in files)
    assert_same_weights(first, second)


# ---- structure -----------------------------------------------------------------------------


def test_layers_are_named_and_ordered_as_in_bert4keras():
    names = list(build("t5.1.0", hidden_act="relu", num_hidden_layers=1, embedding_size=8).layers)
    assert names == [
        "Encoder-Input-Token", "Embedding-Token", "Encoder-Embedding-Dropout",
        "Encoder-Embedding-Mapping", "Encoder-Embedding-Relative-Position",
        "Encoder-Transformer-0-MultiHeadSelfAttention-Norm",
        "Encoder-Transformer-0-MultiHeadSelfAttention",
        "Encoder-Transformer-0-MultiHeadSelfAttention-Dropout",
        "Encoder-Transformer-0-MultiHeadSelfAttention-Add",
        "Encoder-Transformer-0-FeedForward-Norm", "Encoder-Transformer-0-FeedForward",
        "Encoder-Transformer-0-FeedForward-Dropout", "Encoder-Transformer-0-FeedForward-Add",
        "Encoder-Output-Norm", "Encoder-Output-Dropout", "Input-Context", "Decoder-Input-Token",
        "Decoder-Embedding-Dropout", "Decoder-Embedding-Mapping", "Attention-LM-Mask",
        "Decoder-Embedding-Relative-Position",
        "Decoder-Transformer-0-MultiHeadSelfAttention-Norm",
        "Decoder-Transformer-0-MultiHeadSelfAttention",
        "Decoder-Transformer-0-MultiHeadSelfAttention-Dropout",
        "Decoder-Transformer-0-MultiHeadSelfAttention-Add",
        "Decoder-Transformer-0-MultiHeadCrossAttention-Norm",
        "Decoder-Transformer-0-MultiHeadCrossAttention",
        "Decoder-Transformer-0-MultiHeadCrossAttention-Dropout",
        "Decoder-Transformer-0-MultiHeadCrossAttention-Add",
        "Decoder-Transformer-0-FeedForward-Norm", "Decoder-Transformer-0-FeedForward",
        "Decoder-Transformer-0-FeedForward-Dropout", "Decoder-Transformer-0-FeedForward-Add",
        "Decoder-Output-Norm", "Decoder-Output-Dropout", "Decoder-Output-Scale",
        "Decoder-Output-Mapping", "Decoder-Output-LM-Activation",
    ]  # fmt: skip


def test_halves_are_the_whole():
    builder = randomized()
    states = builder.encoder.predict_on_batch(SOURCE[:1])
    found = builder.decoder.predict_on_batch([states, TARGET[:1]])
    np.testing.assert_allclose(found, predict(builder)[:1], **CLOSE)
    named = build(name="Mine")
    assert (named.model.name, named.encoder.name) == ("Mine", "Mine_Encoder")
    weights = [id(w) for w in builder.model.weights]
    assert len(set(weights)) == len(weights) == len(builder.named_weights())
    assert {id(w) for w in builder.named_weights().values()} == set(weights)


def test_padding_and_later_tokens_change_nothing():
    builder = randomized()
    before = predict(builder)
    longer = predict(builder, np.pad(SOURCE, ((0, 0), (0, 3))), np.pad(TARGET, ((0, 0), (0, 2))))
    np.testing.assert_allclose(longer[:, :4], before, **CLOSE)
    alone = predict(builder, SOURCE[1:, :3], TARGET[1:, :2])
    np.testing.assert_allclose(before[1:, :2], alone, **CLOSE)
    changed = TARGET.copy()
    changed[0, 3] = 30
    after = predict(builder, target=changed)
    np.testing.assert_allclose(after[0, :3], before[0, :3], **CLOSE)
    assert np.abs(after[0, 3] - before[0, 3]).max() > 1e-3


def test_each_side_has_layers_of_its_own_number():
    builder = build(num_decoder_layers=3)
    names = {name.split("-Multi")[0] for name in builder.layers if "Transformer" in name}
    assert {n for n in names if "Feed" not in n} == {
        "Encoder-Transformer-0", "Encoder-Transformer-1",
        "Decoder-Transformer-0", "Decoder-Transformer-1", "Decoder-Transformer-2",
    }  # fmt: skip
    assert build("t5.1.1_decoder", num_decoder_layers=3).num_hidden_layers == 3


@pytest.mark.parametrize(
    "model, scale_outputs, with_lm, scaled",
    [
        ("t5.1.0", True, "linear", True),
        ("t5.1.0", True, False, True),
        ("t5.1.0", "head", False, False),
        ("t5.1.0", "tied", "linear", True),
        ("t5.1.1", "tied", "linear", False),
        ("t5.1.1", "head", "linear", True),
        ("mt5.1.1", False, "linear", False),
    ],
)
def test_scale_of_the_outputs(model, scale_outputs, with_lm, scaled):
    builder = build(f"{model}_decoder", scale_outputs=scale_outputs, with_lm=with_lm)
    assert ("Decoder-Output-Scale" in builder.layers) is scaled


def test_probabilities_are_float32_in_mixed_precision_and_the_product_is_not():
    set_precision("mixed_bfloat16")
    for tied in (True, False):
        builder = randomized(with_lm=True, tie_word_embeddings=tied)
        found = predict(builder)
        assert found.dtype == builder.model.output.dtype == "float32"
        np.testing.assert_allclose(found.sum(-1), 1, atol=1e-5)
    assert builder.layers["Decoder-Output-LM"].compute_dtype == "bfloat16"


def test_output_table():
    x = np.random.default_rng(0).normal(size=(2, 3, 4)).astype("float32")
    layer, found = check_layer(
        OutputTable, {"units": 5, "activation": "softmax"}, x, expected_shape=(2, 3, 5),
        expected_weights=1, mixed=False,
    )  # fmt: skip
    scores = np.exp(x @ ops.convert_to_numpy(layer.kernel))
    np.testing.assert_allclose(found, scores / scores.sum(-1, keepdims=True), atol=1e-6)
    layer.quantize("int8")
    np.testing.assert_allclose(layer(x).numpy().sum(-1), 1, atol=1e-5)


# ---- options -------------------------------------------------------------------------------


def test_initializer_of_relative_positions_counts():
    table = build("t5_encoder").layers["Encoder-Embedding-Relative-Position"].embeddings.numpy()
    assert table.shape == (32, 2) and 0.01 < table.std() < 0.03


def test_residual_scores_are_a_chain_for_each_kind_of_attention():
    plain = randomized()
    builder = build(residual_attention_scores=True)
    for name, variable in builder.named_weights().items():
        variable.assign(plain.named_weights()[name])
    inner = [
        builder.layers[f"Decoder-Transformer-{i}-MultiHeadCrossAttention"].output for i in (0, 1)
    ]
    model = keras.Model(builder.model.inputs, [t for pair in inner for t in pair])
    _, first, _, second = model.predict_on_batch([SOURCE, TARGET])
    assert first.shape == second.shape == (2, 2, 4, 6)
    assert np.abs(predict(builder) - predict(plain)).max() > 1e-4


def test_condition_and_additional_inputs():
    condition = keras.Input((3,), name="Condition")
    builder = randomized(layer_norm_cond=condition, additional_input_layers=condition)
    assert [x.name for x in builder.inputs] == [
        "Encoder-Input-Token", "Decoder-Input-Token", "Condition",
    ]  # fmt: skip
    rng = np.random.default_rng(0)
    a, b = (predict(builder, SOURCE, TARGET, rng.normal(size=(2, 3))) for _ in range(2))
    assert np.abs(a - b).max() > 1e-3
    assert len(builder.encoder.inputs) == 2 and len(builder.decoder.inputs) == 3


def test_prefix_and_shared_layers():
    first = build(prefix="My-")
    assert all(name.startswith("My-") for name in first.layers)
    encoder = build("t5.1.1_encoder", prefix="My-", layers=first.layers)
    weights = {id(w) for w in first.model.weights}
    assert {id(w) for w in encoder.model.weights} < weights
    np.testing.assert_array_equal(
        encoder.model.predict_on_batch(SOURCE), first.encoder.predict_on_batch(SOURCE)
    )


def test_vocabulary_is_cut_in_both_tables(tmp_path):
    whole = randomized("mt5.1.1")
    whole.save_weights_as_checkpoint(str(tmp_path / "m.ckpt"))
    keep, compound = [0, 1, *range(3, 30, 2)], [[2, 3]]
    cut = build("mt5.1.1", tmp_path / "m.ckpt", keep_tokens=keep, compound_tokens=compound)
    old, new = (builder.layers["Decoder-Output-LM"].kernel.numpy() for builder in (whole, cut))
    np.testing.assert_array_equal(new[:, :-1], old[:, keep])
    np.testing.assert_allclose(new[:, -1], old[:, [3, 5]].mean(1), atol=1e-6)
    rows = np.array(keep)
    source, target = SOURCE.clip(0, 14), TARGET.clip(0, 14)
    np.testing.assert_allclose(
        predict(cut, source, target)[..., :-1],
        predict(whole, rows[source], rows[target])[..., rows],
        **CLOSE,
    )


def test_post_norm_has_no_norm_at_the_end():
    names = list(build(pre_norm=False).layers)
    assert not any("Output-Norm" in name for name in names)
    block = "Decoder-Transformer-1-MultiHeadCrossAttention"
    assert names.index(block) < names.index(f"{block}-Norm")


def test_fits_with_inputs_by_name():
    model = build(with_lm=True, num_hidden_layers=1, hidden_dropout_prob=0).model
    model.compile(keras.optimizers.Adam(1e-2), "sparse_categorical_crossentropy")
    inputs = {"Encoder-Input-Token": SOURCE, "Decoder-Input-Token": TARGET}
    history = model.fit(inputs, np.roll(TARGET, -1, 1), epochs=3, verbose=0).history["loss"]
    assert history[-1] < history[0]


@pytest.mark.parametrize(
    "change, message",
    [
        ({"application": "lm"}, "cannot be built as application='lm'"),
        ({"custom_position_ids": True}, "T5 has no custom_position_ids.*distances"),
        ({"with_mlm": True}, "T5 has no with_mlm.*with_lm"),
        ({"version": "t5.2"}, "version expects one of.*mt5.1.1.*'t5.2'"),
        ({"scale_outputs": "never"}, "scale_outputs expects one of"),
        ({"with_lm": "sofmax"}, "unknown activation 'sofmax'"),
        ({"num_decoder_layers": 0}, "num_decoder_layers expects a positive integer"),
        ({"relative_attention_num_buckets": 2}, "at least 2 buckets a direction"),
        ({"relative_attention_max_distance": 8}, "max_distance beyond"),
        ({"feed_forward_proj": "gated-gelu-x", "hidden_act": None}, "feed_forward_proj expects"),
        ({"attention_caches": {"Encoder-Transformer-0-MultiHeadSelfAttention": []}}, "cached"),
    ],
)
def test_errors_name_what_was_expected_and_found(change, message):
    config = {k: v for k, v in {**CONFIG, **change}.items() if v is not None}
    change = {k: config.pop(k) for k in ("application",) if k in config}
    with pytest.raises(ValueError, match=message):
        build_transformer_model(config, model="t5.1.1", **change)


# ---- checkpoints ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "model, format", [("t5.1.0", "huggingface"), ("mt5.1.1", "tensorflow"), ("t5.1.1", "native")]
)
def test_written_and_read_again(model, format, tmp_path):
    act = "relu" if model == "t5.1.0" else ["gelu", "linear"]
    first = randomized(model, hidden_act=act)
    path = tmp_path / ("model.ckpt" if format == "tensorflow" else "model.safetensors")
    save_checkpoint(first, path, format=format)
    second = build(model, path, hidden_act=act)
    assert_same_weights(first, second)
    for cls in (T5_Encoder, T5_Decoder):
        half = build(of_version(cls, model), hidden_act=act)
        report = half.load_weights_from_checkpoint(path)
        weights = {name: first.named_weights()[name].numpy() for name in report.loaded}
        assert weights.keys() == half.named_weights().keys()
        if format != "native":  # the other half is no loss
            assert not report.unused, report.unused


def test_the_whole_without_a_difference_in_names_of_the_recorded_checkpoints(tmp_path):
    """What we write has the names and shapes that bert4keras' own checkpoint has."""
    for name in ("t5.1.0", "t5.1.1", "mt5.1.1"):
        folder = BERT4KERAS / name
        builder = build_transformer_model(
            folder / "config.json", folder / "model.ckpt", model=name, return_keras_model=False
        )
        builder.save_weights_as_checkpoint(str(tmp_path / name / "model.ckpt"))
        with open_checkpoint(folder / "model.ckpt") as a:
            with open_checkpoint(tmp_path / name / "model.ckpt") as b:
                assert sorted(a.names()) == sorted(b.names())
                for tensor in a.names():
                    np.testing.assert_array_equal(a.read(tensor), b.read(tensor))


@pytest.mark.parametrize("model, other", [("t5.1.1", "mt5.1.1"), ("mt5.1.1", "t5.1.1")])
def test_either_version_reads_either_spelling_of_the_norms(model, other, tmp_path):
    first = randomized(other)
    first.save_weights_as_checkpoint(str(tmp_path / "m.ckpt"))
    assert_same_weights(first, build(model, tmp_path / "m.ckpt"))


def test_the_first_version_of_bert4keras_conventions_in_variable_mapping():
    mapping = build("mt5.1.1").variable_mapping()
    assert mapping["Encoder-Output-Norm"] == ["encoder/rms_norm/scale"]
    assert mapping["Decoder-Transformer-1-FeedForward"] == [
        f"decoder/block_001/layer_002/DenseReluDense/{part}/kernel"
        for part in ("wi_0", "wi_1", "wo")
    ]


def folder_with(tmp_path, builder, **config):
    """A folder in Hugging Face's style that holds the weights of a builder."""
    sizes = dict(d_model=16, d_kv=6, d_ff=24, num_layers=2, num_heads=2, vocab_size=40)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "t5", **sizes, **config}))
    save_checkpoint(builder, tmp_path, format="huggingface")
    return tmp_path


def from_folder(folder, **kwargs):
    return build_transformer_model(folder, return_keras_model=False, with_lm="linear", **kwargs)


def test_an_output_table_in_the_file_wins_over_the_config(tmp_path):
    own = randomized("t5.1.1", hidden_act=["gelu_new", "linear"])
    folder = folder_with(tmp_path, own, feed_forward_proj="gated-gelu", tie_word_embeddings=True)
    builder = from_folder(folder)
    assert builder.tie_word_embeddings is False and builder.scale_outputs is False
    assert_same_weights(own, builder)


@pytest.mark.parametrize("write", [torch_maker.write_zip, torch_maker.write_legacy])
def test_tied_tables_in_a_pytorch_file_stay_tied(write, tmp_path):
    """torch.save writes tied weights under every name; they share their storage."""
    tied = randomized("t5.1.0", hidden_act="relu", num_hidden_layers=1)
    folder = folder_with(tmp_path, tied, num_layers=1)
    with open_checkpoint(folder) as reader:
        arrays = {name: reader.read(name) for name in reader.names()}
    (folder / "model.safetensors").unlink()
    state = torch_maker.state_dict({"shared.weight": arrays.pop("shared.weight"), **arrays})
    write(folder / "pytorch_model.bin", {**state, "lm_head.weight": state["shared.weight"]})
    builder = from_folder(folder)
    assert builder.tie_word_embeddings is True
    assert_same_weights(tied, builder)
    own = torch_maker.plain(tied.layers["Embedding-Token"].embeddings.numpy() * 2, "own")
    write(folder / "pytorch_model.bin", {**state, "lm_head.weight": own})
    assert from_folder(folder).tie_word_embeddings is False


def test_scale_follows_the_version_of_transformers(tmp_path):
    tied = randomized("mt5.1.1", tie_word_embeddings=True)
    for version, scale in (("4.57.1", "head"), ("5.23.0", False)):
        folder = folder_with(
            tmp_path, tied, model_type="mt5", tie_word_embeddings=True,
            transformers_version=version,
        )  # fmt: skip
        assert from_folder(folder).scale_outputs == scale
    folder = folder_with(tmp_path, tied, feed_forward_proj="gated-gelu",
                         scale_decoder_outputs=False)  # fmt: skip
    assert from_folder(folder).scale_outputs is False


def test_a_silent_config_takes_the_feed_forward_of_the_file(tmp_path):
    folder = folder_with(tmp_path, randomized("t5.1.1"))
    assert from_folder(folder).hidden_act == ["gelu_new", "linear"]
    folder = folder_with(tmp_path, randomized("t5.1.0", hidden_act="relu"), model_type="mt5",
                         tie_word_embeddings=True)  # fmt: skip
    assert from_folder(folder).hidden_act == "relu"


def test_a_config_that_contradicts_the_file(tmp_path):
    folder = folder_with(tmp_path, randomized("t5.1.1"), feed_forward_proj="relu")
    with pytest.raises(CheckpointError, match=r"is gated \(wi_0 and wi_1\).*\['relu', 'linear'\]"):
        from_folder(folder)
    assert from_folder(folder, feed_forward_proj="gated-silu").hidden_act == ["silu", "linear"]
    folder = folder_with(tmp_path, randomized("t5.1.0", hidden_act="relu"),
                         feed_forward_proj="gated-gelu")  # fmt: skip
    with pytest.raises(CheckpointError, match="is plain.*hidden_act='gelu_new'"):
        from_folder(folder)


def test_the_folder_of_an_encoder_is_an_encoder(tmp_path):
    encoder = randomized("t5_encoder", hidden_act="relu")
    folder = folder_with(tmp_path, encoder, architectures=["T5EncoderModel"])
    again = build_transformer_model(folder, return_keras_model=False)
    assert isinstance(again, T5_Encoder)
    assert_same_weights(encoder, again)
    with pytest.raises(CheckpointError, match="no decoder.*a model= that ends in _encoder"):
        build_transformer_model(folder, model="t5")


def test_fixes_for_heads_and_vocabularies(tmp_path):
    tied = randomized("t5.1.0")
    save_checkpoint(tied, tmp_path / "tied.safetensors", format="huggingface")
    with pytest.raises(CheckpointError, match="with_lm=False, or tie_word_embeddings=True"):
        build("t5.1.1", tmp_path / "tied.safetensors")
    assert build("t5.1.1", tmp_path / "tied.safetensors", tie_word_embeddings=True)
    save_checkpoint(randomized(), tmp_path / "own.safetensors", format="huggingface")
    with pytest.raises(CheckpointError, match="vocab_size.* is 50 in the model and 40 in the"):
        build("t5.1.1", tmp_path / "own.safetensors", vocab_size=50)


@pytest.mark.parametrize(
    "model, name, config",
    [
        ("t5.1.0", "T5ForConditionalGeneration", {"feed_forward_proj": "relu"}),
        ("mt5.1.1", "MT5ForConditionalGeneration", {"feed_forward_proj": "gated-gelu"}),
        ("t5.1.1_encoder", "T5EncoderModel", {"feed_forward_proj": "gated-gelu"}),
    ],
)
def test_transformers_reads_what_we_write(model, name, config, tmp_path):
    builder = build(
        model, hidden_act="relu" if model == "t5.1.0" else ["gelu_new", "linear"],
        cross_position_bias=False, scale_outputs="tied",
    )  # fmt: skip
    peers.fill(builder)
    kind = name.split("For")[0].removesuffix("EncoderModel").lower()
    folder = folder_with(tmp_path, builder, model_type=kind, architectures=[name],
                         tie_word_embeddings=model == "t5.1.0", **config)  # fmt: skip
    only_encoder = "Encoder" in name
    more = {} if only_encoder else {"decoder_input_ids": TARGET}
    output = "last_hidden_state" if only_encoder else "logits"

    def theirs():
        return {output: peers.logits(peers.loaded(name, folder), SOURCE, **more)[output]}

    wanted = peers.answer(model.replace(".", "_"), folder, theirs)[output]
    found = builder.model.predict_on_batch(SOURCE) if only_encoder else predict(builder)
    real = (SOURCE if only_encoder else TARGET) != 0
    real[:, 0] = True
    assert np.abs(found - wanted)[real].max() < 5e-5


def test_classes_are_bert4keras_own():
    assert isinstance(build("t5", hidden_act="relu"), T5)
    assert build("mt5.1.1").family == "mt5.1.1" and build("t5").family == "t5.1.1"
