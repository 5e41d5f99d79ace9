"""What the recorded cases do not show: options, combinations, errors."""

import json

import keras
import numpy as np
import pytest

from bert4keras_ext.backend import set_gelu
from bert4keras_ext.checkpoints import save_checkpoint
from bert4keras_ext.layers import MultiHeadAttention
from bert4keras_ext.models import BERT, build_transformer_model, register_model
from bert4keras_ext.models.registry import MODELS

CONFIG = dict(
    vocab_size=50,
    hidden_size=16,
    num_hidden_layers=3,
    num_attention_heads=2,
    intermediate_size=24,
    hidden_act="gelu",
    hidden_dropout_prob=0.1,
    attention_probs_dropout_prob=0.1,
    max_position_embeddings=20,
    type_vocab_size=2,
)
TOKENS = np.array([[2, 7, 9, 3, 11, 3], [2, 8, 3, 5, 3, 0]])
SEGMENTS = np.array([[0, 0, 0, 0, 1, 1], [0, 0, 0, 1, 1, 0]])


def build(**kwargs):
    return build_transformer_model(CONFIG, return_keras_model=False, **kwargs)


def predict(builder, *more):
    return builder.model.predict_on_batch([TOKENS, SEGMENTS, *more])


def randomize(model, seed=0):
    rng = np.random.default_rng(seed)
    model.set_weights([w + rng.normal(0, 0.3, w.shape) for w in model.get_weights()])


def layer_output(builder, name, inputs):
    return keras.Model(builder.model.inputs, builder.layers[name].output).predict_on_batch(inputs)


def test_residual_scores_are_the_previous_layers_own():
    """Layer 2 adds the raw scores of layer 1, not the sum of layers 0 and 1."""
    builder = build(residual_attention_scores=True)
    randomize(builder.model)
    names = [f"Transformer-{i}-MultiHeadSelfAttention" for i in range(3)]
    inputs = [TOKENS, SEGMENTS]
    x = layer_output(builder, "Transformer-1-FeedForward-Norm", inputs)
    _, scores = layer_output(builder, names[1], inputs)
    last = builder.layers[names[2]]
    mask = TOKENS != 0
    wanted, _ = last(x, mask=mask, attention_bias=scores)
    found, own = layer_output(builder, names[2], inputs)
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    np.testing.assert_allclose(own, last.attention_scores(x, x), atol=1e-5)


@pytest.mark.parametrize("application", ["lm", "unilm"])
def test_residual_scores_with_a_mask_that_bert4keras_refuses(application):
    builder = build(residual_attention_scores=True, application=application, with_mlm="linear")
    randomize(builder.model)
    before = predict(builder)
    changed = TOKENS.copy()
    changed[0, -1] = 13  # the last token of row 0 is seen by no earlier one
    after = builder.model.predict_on_batch([changed, SEGMENTS])
    np.testing.assert_allclose(after[0, :-1], before[0, :-1], atol=1e-5)
    assert np.abs(after[0, -1] - before[0, -1]).max() > 1e-3


def test_unilm_with_zero_segments_is_the_encoder():
    encoder, unilm = build(with_mlm="linear"), build(application="unilm", with_mlm="linear")
    randomize(encoder.model)
    unilm.model.set_weights(encoder.model.get_weights())
    zeros = [TOKENS, np.zeros_like(SEGMENTS)]
    np.testing.assert_allclose(
        unilm.model.predict_on_batch(zeros), encoder.model.predict_on_batch(zeros), atol=1e-5
    )


def test_simbert_heads_together():
    pool, mlm = predict(build(application="unilm", with_pool="linear", with_mlm="linear"))
    assert pool.shape == (2, 16) and mlm.shape == (2, 6, 50)


def test_shared_layers_are_the_same_layers():
    first = build(with_mlm=True)
    second = build(layers=first.layers, application="unilm")
    assert second.layers is first.layers
    shared = {id(w) for w in first.model.weights} & {id(w) for w in second.model.weights}
    assert len(shared) == len(first.model.weights)


def test_two_models_with_prefixes_live_in_one():
    a, b = build(prefix="A-"), build(prefix="B-", num_hidden_layers=1)
    joined = keras.Model(a.model.inputs + b.model.inputs, [a.model.output, b.model.output])
    assert len(joined.predict_on_batch([TOKENS, SEGMENTS] * 2)) == 2
    assert set(b.named_weights()) < set(a.named_weights())


def test_additional_inputs_and_condition():
    condition = keras.Input((4,), name="Condition")
    builder = build(
        layer_norm_cond=condition,
        layer_norm_cond_hidden_size=5,
        layer_norm_cond_hidden_act="relu",
        additional_input_layers=condition,
    )
    randomize(builder.model)
    rng = np.random.default_rng(0)
    a, b = (predict(builder, rng.normal(size=(2, 4))) for _ in range(2))
    assert np.abs(a - b).max() > 1e-3


def test_attention_caches_extend_keys_and_values():
    key, value = keras.Input((3, 16)), keras.Input((3, 16))
    name = "Transformer-0-MultiHeadSelfAttention"
    builder = build(attention_caches={name: [key, value]}, additional_input_layers=[key, value])
    randomize(builder.model)
    rng = np.random.default_rng(0)
    extra = [rng.normal(size=(2, 3, 16)) for _ in range(2)]
    a = predict(builder, *extra)
    b = predict(builder, extra[0], extra[1] + 1)
    assert a.shape == (2, 6, 16) and np.abs(a - b).max() > 1e-3


def test_gelu_switch_is_read_at_build():
    set_gelu("tanh")
    by_switch = build()
    set_gelu("erf")
    by_name = build(hidden_act="gelu_tanh")
    randomize(by_name.model)
    by_switch.model.set_weights(by_name.model.get_weights())
    np.testing.assert_array_equal(predict(by_switch), predict(by_name))


def test_gated_activation_with_an_mlm_head():
    assert predict(build(hidden_act=["gelu", "linear"], with_mlm=True)).shape == (2, 6, 50)


def test_no_dropout_layers_without_dropout():
    names = [layer.name for layer in build(hidden_dropout_prob=0.0).model.layers]
    assert not any("Dropout" in name for name in names)


def test_keywords_win_over_the_file_and_files_are_read(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({**CONFIG, "model_type": "bert"}))
    for source in (tmp_path, tmp_path / "config.json", str(tmp_path / "config.json")):
        model = build_transformer_model(source, checkpoint_path=False, num_hidden_layers=1)
        assert not any(layer.name.startswith("Transformer-1") for layer in model.layers)


def test_a_folder_as_google_packs_it(tmp_path):
    first = build()
    randomize(first.model)
    first.save_weights_as_checkpoint(str(tmp_path / "bert_model.ckpt"))
    (tmp_path / "bert_config.json").write_text(json.dumps(CONFIG))
    again = build_transformer_model(tmp_path)
    for a, b in zip(first.model.get_weights(), again.get_weights()):
        np.testing.assert_array_equal(a, b)


def test_a_folder_of_a_language_model_gets_its_mask(tmp_path):
    config = {**CONFIG, "model_type": "bert", "is_decoder": True}
    (tmp_path / "config.json").write_text(json.dumps(config))
    names = [
        layer.name for layer in build_transformer_model(tmp_path, checkpoint_path=False).layers
    ]
    assert "Attention-LM-Mask" in names


def test_a_class_as_model_and_a_registered_one():
    class Shallow(BERT):
        """One layer, whatever the config says."""

        def __init__(self, **kwargs):
            super().__init__(**{**kwargs, "num_hidden_layers": 1})

    assert build(model=Shallow).num_hidden_layers == 1
    register_model("shallow", Shallow)
    assert build(model="Shallow", application="lm").num_hidden_layers == 1
    del MODELS["shallow"]


def test_a_template_method_may_be_overridden():
    class TwiceAttended(BERT):
        def apply_main_layers(self, inputs, index):
            x = super().apply_main_layers(inputs, index)
            return self.apply(x, MultiHeadAttention, heads=2, head_size=8, out_dim=16,
                              name=f"Extra-{index}")  # fmt: skip

    model = build(model=TwiceAttended).model
    assert model.get_layer("Extra-2")


def test_attention_takes_another_value_with_the_same_key():
    class ValuesElsewhere(BERT):
        def apply_main_layers(self, inputs, index):
            value = self.apply_norm(inputs, f"Extra-{index}-Norm")
            name = f"Extra-{index}"
            return self.apply(
                [inputs, inputs, value], MultiHeadAttention, heads=2, head_size=8, name=name
            )

    builder = build(model=ValuesElsewhere, num_hidden_layers=1)
    randomize(builder.model)
    before = predict(builder)
    builder.layers["Extra-0-Norm"].beta.assign_add(np.ones(16))
    assert np.abs(predict(builder) - before).max() > 1e-3


def test_attention_names_what_replaces_bert4keras_further_inputs():
    class AsInBert4keras(BERT):
        def apply_main_layers(self, inputs, index):
            x = [inputs] * 3 + [self.compute_attention_bias(index)]
            return self.apply(x, MultiHeadAttention, heads=2, head_size=8, name=f"Extra-{index}")

    with pytest.raises(ValueError, match=r"received 4 tensors.*attention_bias="):
        build(model=AsInBert4keras)


def test_residual_scores_reach_a_subclass_of_the_attention():
    class Mine(MultiHeadAttention):
        pass

    layer = build(residual_attention_scores=True).apply(layer=Mine, heads=2, head_size=8, name="M")
    assert layer.return_attention_scores


def test_variable_mapping_has_bert4keras_form():
    mapping = build(with_mlm=True).variable_mapping()
    assert mapping["Embedding-Norm"] == [
        "bert/embeddings/LayerNorm/beta", "bert/embeddings/LayerNorm/gamma",
    ]  # fmt: skip
    assert mapping["MLM-Bias"] == ["cls/predictions/output_bias"]


def test_write_and_read_again(tmp_path):
    builder = build(with_mlm=True, with_nsp=True)
    randomize(builder.model)
    builder.save_weights_as_checkpoint(str(tmp_path / "bert_model.ckpt"))
    again = build_transformer_model(CONFIG, str(tmp_path / "bert_model.ckpt"), with_mlm=True,
                                    with_nsp=True)  # fmt: skip
    for a, b in zip(builder.model.get_weights(), again.get_weights()):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("change, error, message", [
    ({"num_attention_heads": 3}, ValueError, "hidden_size=16 is not a multiple.*=3"),
    ({"hidden_act": "gleu"}, ValueError, "unknown activation 'gleu'"),
    ({"model": "bart"}, ValueError, "unknown model 'bart'.*roberta"),
    ({"application": "seq2seq"}, ValueError, "application expects.*received 'seq2seq'"),
    ({"with_mml": True}, TypeError, "did you mean 'with_mlm'"),
    ({"application": "unilm", "segment_vocab_size": 0}, ValueError, "application='lm'"),
])  # fmt: skip
def test_errors_name_what_was_expected_and_found(change, error, message):
    with pytest.raises(error, match=message):
        build(**change)


def test_config_errors(tmp_path):
    with pytest.raises(FileNotFoundError, match="no config at.*bert_config.json"):
        build_transformer_model(tmp_path / "nowhere.json")
    (tmp_path / "bad.json").write_text("{'vocab_size': 3}")
    with pytest.raises(ValueError, match="is not a JSON file"):
        build_transformer_model(tmp_path / "bad.json")
    (tmp_path / "list.json").write_text("[1]")
    with pytest.raises(ValueError, match="expected an object"):
        build_transformer_model(tmp_path / "list.json")
    with pytest.raises(ValueError, match=r"lacks \['hidden_act'\]"):
        build_transformer_model({k: v for k, v in CONFIG.items() if k != "hidden_act"})
    with pytest.raises(TypeError, match="received list"):
        build_transformer_model([1])
    with pytest.raises(ValueError, match="model_type 'bart'; known types"):
        build_transformer_model({**CONFIG, "model_type": "bart"})


def test_inputs_beyond_max_position_say_so():
    model = build().model
    with pytest.raises(Exception, match="knows 20 positions"):
        model.predict_on_batch([np.ones((1, 21)), np.zeros((1, 21))])


@pytest.mark.parametrize(
    "options, key",
    [
        ({"hidden_size": 32}, "output_dim"),
        ({"num_attention_heads": 4}, "heads"),
        ({"residual_attention_scores": True}, "return_attention_scores"),
        ({"vocab_size": 60}, "input_dim"),
    ],
)
def test_layers_of_a_model_of_other_sizes(options, key):
    layers = build().layers
    with pytest.raises(ValueError, match=f"layers: expected .* with {key}=.*received one with"):
        build_transformer_model({**CONFIG, **options}, layers=layers)


@pytest.mark.parametrize("application", ["lm", "unilm"])
def test_a_causal_model_without_a_head(application):
    kwargs = {"application": application, "with_mlm": False}
    assert build(**kwargs).model.output_shape[-1] == CONFIG["hidden_size"]
    assert build(application=application).model.output_shape[-1] == CONFIG["vocab_size"]


def test_an_empty_checkpoint_path_is_no_wish_for_random_weights():
    with pytest.raises(ValueError, match="for random weights pass None"):
        build_transformer_model(CONFIG, "")


def test_outputs_are_a_list_and_output_is_the_tensor():
    one, two = build(), build(with_nsp=True, with_mlm=True)
    assert isinstance(one.outputs, list) and one.outputs[0] is one.output
    assert isinstance(two.output, list) and two.outputs is two.output and len(two.outputs) == 2
    assert one.model.output_shape == (None, None, 16)  # and not a list of it


def test_arguments_of_a_lambda_are_those_of_its_function():
    class Picking(BERT):
        def apply_final_layers(self, inputs):
            pick = {"function": lambda x, k=0: x[:, k], "mask": lambda x, mask: None}
            return self.apply(inputs, keras.layers.Lambda, {"k": 2}, **pick, name="Pick")

    plain, picking = build(), build(model=Picking)
    picking.model.set_weights(plain.model.get_weights())
    np.testing.assert_allclose(predict(picking), predict(plain)[:, 2], atol=1e-6)


def test_sizes_may_be_numpys(tmp_path):
    sizes = {k: np.int64(v) for k, v in CONFIG.items() if isinstance(v, int)}
    options = dict(sequence_length=np.int32(6), embedding_size=np.int64(8), with_nsp=True)
    model = build_transformer_model({**CONFIG, **sizes}, dropout_rate=np.float32(0.5), **options)
    model.save(tmp_path / "m.keras")
    assert keras.models.load_model(tmp_path / "m.keras").input_shape == [(None, 6)] * 2


def test_layers_of_another_model_in_a_shared_dict_are_not_its_own(tmp_path, caplog):
    first = build(with_mlm=True)
    for prefix in ("B-", None):
        second = build(layers=first.layers, prefix=prefix)
        assert set(second.named_weights()) == set(build().named_weights())
    assert set(first.named_weights()) == set(build(with_mlm=True).named_weights())
    save_checkpoint(first, tmp_path, "native")
    with_prefix = build(layers=first.layers, prefix="B-", with_mlm=True)
    with_prefix.load_weights_from_checkpoint(tmp_path)
    assert "no name" not in caplog.text
    np.testing.assert_array_equal(predict(with_prefix), predict(first))
