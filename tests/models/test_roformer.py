"""RoFormer and RoFormerV2: recorded models, their own options, names in checkpoints, errors."""

import json

import keras
import numpy as np
import pytest

from bert4keras_ext.checkpoints import save_checkpoint
from bert4keras_ext.layers import SinusoidalPositionEmbedding
from bert4keras_ext.models import RoFormer, build_transformer_model
from bert4keras_ext.models.roformer import WidthScaledNormal
from tests import peers
from tests.models.families import BASE, build, inputs_of, predict, randomize
from tests.models.recorded_models import (
    HUGGING_FACE,
    bert4keras_cases,
    check_bert4keras_case,
    check_hugging_face_case,
    hugging_face_cases,
)

RECORDED = [n for n, case in bert4keras_cases().items() if case["model"].startswith("roformer")]
TRANSFORMERS = [n for n in hugging_face_cases() if n.startswith("roformer")]
YARN = {"type": "yarn", "factor": 4.0, "original_max_position": 8}


@pytest.mark.parametrize("name", RECORDED)
def test_equals_bert4keras(name):
    check_bert4keras_case(name, tolerance=2e-5)


def test_all_recorded_roformers_were_compared():
    assert len(RECORDED) == 7 and len(TRANSFORMERS) == 6


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_equals_transformers(name):
    inputs = ["input_ids", "token_type_ids"]
    arrays = np.load(HUGGING_FACE / name / "io.npz")
    last = f"Transformer-{len(arrays['out_hidden_states']) - 2}-FeedForward-Norm"
    check_hugging_face_case(name, "out_last_hidden_state", inputs, last, "attention_mask")
    if "out_logits" in arrays:
        check_hugging_face_case(
            name, "out_logits", inputs, mask="attention_mask", with_mlm="linear"
        )


def copied(builder, weights):
    for name, variable in builder.named_weights().items():
        variable.assign(weights[name])
    return builder


@pytest.fixture(scope="module")
def plain():
    """(weights by name, inputs, outputs) of a RoFormer with random weights."""
    builder = build("roformer")
    randomize(builder)
    arrays = inputs_of(builder)
    return builder.named_weights(), arrays, predict(builder, arrays)[0]


def outputs(plain, *more, **kwargs):
    return predict(copied(build("roformer", **kwargs), plain[0]), [*plain[1], *more])[0]


def ids(*shape):
    return np.tile(np.arange(shape[1]), (shape[0], 1))


def test_only_differences_of_positions_count(plain):
    shifted = outputs(plain, ids(4, 8) + 500, custom_position_ids=True)
    # Angles of 500 are rounded to 500 * 2^-24 = 3e-5.
    np.testing.assert_allclose(shifted, plain[2], atol=2e-3)
    moved = outputs(plain, ids(4, 8) * 1.5, custom_position_ids=True)
    assert np.abs(moved - plain[2]).max() > 1e-2


def test_linear_scaling_is_ids_divided(plain):
    """Fractions of positions arrive as they are."""
    scaled = outputs(plain, rotary_scaling={"type": "linear", "factor": 4.0})
    divided = outputs(plain, ids(4, 8) / 4, custom_position_ids=True)
    np.testing.assert_allclose(scaled, divided, atol=1e-5)


@pytest.mark.parametrize("options", [
    {"rotary_base": 100.0},
    {"rotary_scaling": YARN},
    {"rotary_scaling": {"type": "ntk", "factor": 4.0}},
    {"rotary_value": True},
])  # fmt: skip
def test_rotary_options_change_the_outputs(plain, options, tmp_path):
    builder = copied(build("roformer", **options), plain[0])
    found = predict(builder, plain[1])[0]
    assert np.abs(found - plain[2]).max() > 1e-3
    builder.model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras").predict_on_batch(plain[1])
    np.testing.assert_array_equal(again, found)


@pytest.mark.parametrize("application", ["encoder", "lm"])
def test_two_axes(plain, application):
    """Places that differ in the same way give the same states."""
    places = np.stack([ids(4, 8) // 3, ids(4, 8) % 3], axis=-1)
    builder = copied(build("roformer", rotary_axes=2, application=application), plain[0])
    assert [tuple(x.shape) for x in builder.inputs][2] == (None, None, 2)
    found, moved, turned = (
        predict(builder, [*plain[1], p])[0] for p in (places, places + [7, 3], places[..., ::-1])
    )
    np.testing.assert_allclose(found, moved, atol=5e-5)
    assert np.abs(found - turned).max() > 1e-3


def test_rotary_value_equals_transformers_on_a_recorded_model():
    folder = HUGGING_FACE / "roformer_mlm"
    arrays = np.load(folder / "io.npz")
    inputs = [arrays[f"in_{name}"] for name in ("input_ids", "token_type_ids")]
    mask = arrays["in_attention_mask"]

    def theirs():
        model = peers.loaded("RoFormerForMaskedLM", folder, rotary_value=True)
        return peers.logits(model, *inputs, attention_mask=mask)

    wanted = peers.answer("roformer_rotary_value", folder, theirs)["logits"]
    ours = build_transformer_model(folder, with_mlm="linear", rotary_value=True)
    found = ours.predict_on_batch(inputs)
    np.testing.assert_allclose(found[mask == 1], wanted[mask == 1], atol=2e-5)


def test_inputs_may_be_longer_than_max_position(plain):
    """No position is trained; bert4keras knows no limit either."""
    builder = build("roformer")
    long = [np.ones((1, 100), "int32"), np.zeros((1, 100), "int32")]
    assert predict(builder, long)[0].shape == (1, 100, 40)


def test_bert4keras_position_layer_may_be_used_instead(plain):
    class AsBert4Keras(RoFormer):
        def compute_position_bias(self, inputs=None):
            layer = SinusoidalPositionEmbedding
            return {"rotary": self.apply(
                inputs, layer, output_dim=self.attention_key_size, merge_mode="zero",
                name="Embedding-Rotary-Position",
            )}  # fmt: skip

    config = {**BASE, "embedding_size": 12, "with_mlm": "linear"}
    builder = build_transformer_model(config, model=AsBert4Keras, return_keras_model=False)
    found = predict(copied(builder, plain[0]), plain[1])[0]
    np.testing.assert_array_equal(found, plain[2])


# ---- checkpoints ----------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["roformer", "roformer_v2"])
def test_published_names(model, tmp_path):
    """BERT's; V2's without beta, gamma and bias."""
    import tensorflow as tf

    builder = build(model, embedding_size=12)
    save_checkpoint(builder, tmp_path / "m.ckpt")
    names = {name for name, _ in tf.train.list_variables(str(tmp_path / "m.ckpt"))}
    layer = "bert/encoder/layer_1"
    assert {
        "bert/embeddings/word_embeddings",
        "bert/embeddings/token_type_embeddings",
        "bert/encoder/embedding_hidden_mapping_in/kernel",
        f"{layer}/attention/self/query/kernel",
        f"{layer}/attention/output/dense/kernel",
        f"{layer}/intermediate/dense/kernel",
        f"{layer}/output/dense/kernel",
    } <= names
    without = [n for n in names if n.endswith(("/beta", "/gamma", "bias"))]
    assert bool(without) == (model == "roformer")
    assert "bert/embeddings/position_embeddings" not in names


def test_a_checkpoint_of_the_first_version_does_not_pass_for_v2(tmp_path):
    save_checkpoint(build("roformer", embedding_size=16), tmp_path / "m.ckpt")
    report = build("roformer_v2").load_weights_from_checkpoint(tmp_path / "m.ckpt")
    assert "bert/encoder/layer_0/output/LayerNorm/gamma" in report.unused


def hugging_face_folder(tmp_path, builder, **config):
    save_checkpoint(builder, tmp_path, format="huggingface")
    text = json.dumps({**BASE, "model_type": "roformer", **config})
    (tmp_path / "config.json").write_text(text)
    return tmp_path


def test_angles_are_written_for_transformers_and_not_read(tmp_path):
    from safetensors.numpy import load_file

    builder = build("roformer", rotary_scaling={"type": "linear", "factor": 2.0})
    folder = hugging_face_folder(tmp_path, builder, embedding_size=12)
    table = load_file(folder / "model.safetensors")["roformer.encoder.embed_positions.weight"]
    angles = np.arange(24)[:, None] / 2 * 10000.0 ** (-np.arange(4) / 4)
    np.testing.assert_allclose(
        table, np.concatenate([np.sin(angles), np.cos(angles)], 1), atol=1e-6
    )
    again = build_transformer_model(folder, return_keras_model=False, with_mlm="linear")
    assert not again.load_weights_from_checkpoint(folder).unused


def test_transformers_loads_what_is_written(tmp_path):
    builder = build("roformer")
    peers.fill(builder)
    folder = hugging_face_folder(tmp_path, builder, embedding_size=12, layer_norm_eps=1e-7)
    tokens, segments = inputs_of(builder)

    def theirs():
        return peers.logits(peers.loaded("RoFormerForMaskedLM", folder), tokens, segments)

    wanted = peers.answer("roformer", folder, theirs)["logits"]
    found = predict(builder, [tokens, segments])[0]
    np.testing.assert_allclose(found[tokens > 0], wanted[tokens > 0], atol=5e-5)


def test_a_folder_of_v2_is_recognised(tmp_path):
    """junnyu's port says model_type "roformer", and norm_type "rms_norm"."""
    builder = build("roformer_v2")
    randomize(builder)
    port = {"norm_type": "rms_norm", "use_bias": False, "hidden_act": "relu"}
    folder = hugging_face_folder(tmp_path, builder, **port)
    again = build_transformer_model(folder, return_keras_model=False, with_mlm="linear")
    assert again.family == "roformer_v2"
    arrays = inputs_of(builder)
    np.testing.assert_array_equal(predict(again, arrays)[0], predict(builder, arrays)[0])


# ---- RoFormerV2 -----------------------------------------------------------------------------


def test_dropout_comes_before_the_norm_of_the_embeddings():
    names = list(build("roformer_v2").layers)
    assert names.index("Embedding-Dropout") < names.index("Embedding-Norm")
    assert names[-2:] == ["Output-MLM-Dropout", "Output-MLM-Activation"]


@pytest.mark.parametrize("shape, width", [
    ((300, 200), 300),  # a kernel: its inputs
    ((12000, 50), 50),  # a table of words
    ((2, 4000), 4000),  # a table of segments
    ((10, 2000), 10),
])  # fmt: skip
def test_the_initializer_depends_on_the_shape(shape, width):
    """std = 4^(-1/2) / sqrt(width), after the tails were cut."""
    values = keras.ops.convert_to_numpy(WidthScaledNormal(4, seed=1)(shape))
    wanted = 0.5 / np.sqrt(width)
    # The estimate from n values is off by wanted / sqrt(2 n), about 1 % for the smallest shape.
    assert values.std() == pytest.approx(wanted, rel=0.03)
    assert np.abs(values).max() <= 2 * 1.13684723 * wanted * (1 + 1e-6)


def test_the_initializer_serves_other_layers():
    builder = build("roformer_v2", num_hidden_layers=9)
    dense = keras.layers.Dense(30, kernel_initializer=builder.initializer)
    dense.build((None, 400))
    assert float(np.std(dense.kernel)) == pytest.approx(1 / 3 / 20, rel=0.05)
    again = keras.layers.Dense.from_config(dense.get_config())
    assert again.kernel_initializer.get_config() == {
        "layers": 9, "order": 2, "gain": 1.0, "seed": None,
    }  # fmt: skip
    weights = builder.named_weights()
    q, k = (weights[f"Transformer-0-MultiHeadSelfAttention/{x}/kernel"] for x in "qk")
    assert not np.array_equal(q, k)


def test_the_head_is_the_word_table_and_a_mapping():
    same, mapped = build("roformer_v2"), build("roformer_v2", embedding_size=12)
    assert not any(n.startswith(("MLM", "Output")) for n in same.named_weights())
    assert mapped.named_weights()["Output-Mapping/kernel"].shape == (16, 12)
    assert not any(n.endswith(("bias", "gamma", "beta")) for n in mapped.named_weights())


# ---- errors ---------------------------------------------------------------------------------


@pytest.mark.parametrize("change, message", [
    ({"attention_key_size": 7}, "multiple of 2, received 7"),
    ({"rotary_axes": 3}, "3 axes.*multiple of 6, received 8"),
    ({"rotary_scaling": {"type": "dynamic", "factor": 2}}, "received 'dynamic'"),
    ({"rotary_base": -1}, "base above 1"),
    ({"rotary_value": True, "attention_key_size": 6}, "attention_key_size = .* 6 and 8"),
    ({"norm_type": "rms_norm"}, "RoFormer has norm_type='layer_norm'.*says 'rms_norm'"),
    ({"model": "roformer_v2", "norm_type": "layer_norm"}, "RoFormerV2 has norm_type='rms_norm'"),
    ({"model": "roformer_v2", "with_pool": True}, "no pooler.*FirstPooling1D"),
    ({"model": "roformer_v2", "with_nsp": True}, "no pooler"),
])  # fmt: skip
def test_what_cannot_be_built_says_why(change, message):
    with pytest.raises(ValueError, match=message):
        build_transformer_model(BASE, **{"model": "roformer", **change})
