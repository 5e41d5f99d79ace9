"""GPT, GPT-2 and GPT2_ML: recorded cases, padding on both sides, configs and heads."""

import json
import re

import keras
import numpy as np
import pytest
from keras import ops

from bert4keras_ext.checkpoints import CheckpointError, open_checkpoint, save_checkpoint
from bert4keras_ext.checkpoints.names import table_of
from bert4keras_ext.models import build_transformer_model
from bert4keras_ext.models.masks import CausalMask
from tests import peers
from tests.models.families import BASE, build, inputs_of, randomize
from tests.models.recorded_models import (
    BERT4KERAS,
    HUGGING_FACE,
    check_bert4keras_case,
    check_hugging_face_case,
    hugging_face_cases,
)

GPT2_FOLDERS = ("gpt2", "gpt2_inner", "gpt2_2019")
FOLDERS = (*GPT2_FOLDERS, "openai_gpt")
MODELS = ("gpt", "gpt2", "gpt2_ml")
# float32 eps times two layers of width 24, values up to about 30 (as in test_families)
CLOSE = {"atol": 1e-4, "rtol": 1e-4}


def run(builder, arrays):
    """The output, without compiling: most models here are run once."""
    found = builder.model(list(arrays), training=False)
    return ops.convert_to_numpy(found)


@pytest.mark.parametrize("name", ["gpt", "gpt_linear", "gpt2", "gpt2_ml"])
def test_equals_bert4keras(name):
    # Float32 rounding through two layers is about 2e-6 here.
    check_bert4keras_case(name, tolerance=2e-5)


@pytest.mark.parametrize("name", GPT2_FOLDERS)
@pytest.mark.parametrize("output, head", [("out_logits", "linear"), ("out_last_hidden_state", 0)])
def test_gpt2_equals_transformers(name, output, head):
    check_hugging_face_case(name, output, ["input_ids"], mask="attention_mask", with_lm=head)


@pytest.mark.parametrize(
    "output, options",
    [
        ("out_logits", {"with_lm": "linear", "segment_vocab_size": 2}),
        ("out_logits", {"final_activation": "linear", "shared_segment_embeddings": True}),
        ("out_last_hidden_state", {"with_lm": False, "segment_vocab_size": 2}),
        ("out_logits_no_segments", {"with_lm": "linear"}),
        ("out_logits_no_segments", {"with_lm": "linear", "segment_vocab_size": 0}),
    ],
)
def test_openai_gpt_equals_transformers(output, options):
    inputs = ["input_ids"] if "no_segments" in output else ["input_ids", "token_type_ids"]
    check_hugging_face_case("openai_gpt", output, inputs, mask="attention_mask", **options)


@pytest.mark.parametrize("name", FOLDERS)
def test_nothing_of_a_recorded_file_is_left_over(name):
    builder = build_transformer_model(HUGGING_FACE / name, False, return_keras_model=False)
    report = builder.load_weights_from_checkpoint(HUGGING_FACE / name)
    assert not (report.unused or report.missing or report.unnamed)
    assert set(report.loaded) == set(builder.named_weights())


@pytest.mark.parametrize("name", FOLDERS)
def test_folders_are_written_as_transformers_writes_them(name, tmp_path):
    """The same tensors, names and shapes, the tied head left out."""
    builder = build_transformer_model(HUGGING_FACE / name, return_keras_model=False)
    save_checkpoint(builder, tmp_path, format="huggingface")
    with open_checkpoint(HUGGING_FACE / name) as old, open_checkpoint(tmp_path) as new:
        wanted = set(hugging_face_cases()[name]["tensors"])
        wanted = {n for n in wanted if not re.search(r"\.attn\.(masked_)?bias$", n)}
        named = {n if n.startswith("transformer.") else f"transformer.{n}" for n in wanted}
        assert set(new.names()) == named
        for name in wanted:
            found = new.read(name if name in new else f"transformer.{name}")
            np.testing.assert_array_equal(found, old.read(name), err_msg=name)


@pytest.mark.parametrize("name", ["gpt2_inner", "openai_gpt"])
def test_transformers_loads_what_is_written(name, tmp_path):
    builder = build_transformer_model(
        HUGGING_FACE / name, return_keras_model=False, with_lm="linear"
    )
    peers.fill(builder)
    save_checkpoint(builder, tmp_path, format="huggingface")
    (tmp_path / "config.json").write_text((HUGGING_FACE / name / "config.json").read_text())
    (arrays,) = inputs_of(builder)

    def theirs():
        model = peers.loaded("AutoModelForCausalLM", tmp_path)
        return {"logits": peers.logits(model, arrays)["logits"]}

    wanted = peers.answer(name, tmp_path, theirs)["logits"]
    found = run(builder, [arrays])
    np.testing.assert_allclose(found[arrays != 0], wanted[arrays != 0], **CLOSE)


@pytest.mark.parametrize("name", GPT2_FOLDERS)
def test_recorded_left_padded_generation(name):
    """Every recorded token is the best continuation of what stands before it.

    Token 0 is padding on the left and was generated as well: positions tell one from the other.
    """
    recorded = np.load(HUGGING_FACE / name / "io.npz")
    tokens, prompt = recorded["leftpad_greedy_ids"], recorded["leftpad_input_ids"]
    left = np.argmax(prompt != 0, axis=1)
    assert left.max() > 1
    positions = np.maximum(np.arange(tokens.shape[1]) - left[:, None], 0)
    builder = build_transformer_model(
        HUGGING_FACE / name, custom_position_ids=True, mask_zero=False, return_keras_model=False
    )
    best = run(builder, [tokens, positions]).argmax(-1)
    for row, found in zip(tokens, best):
        end = next((i for i, t in enumerate(row) if t == 1), len(row) - 1)  # 1 ends, 0 follows
        start = prompt.shape[1]
        np.testing.assert_array_equal(found[start - 1 : end], row[start : end + 1])


def left_padded(tokens, by, filled):
    """Rows shifted right by ``by`` zeros, and positions counted from the first real token."""
    positions = np.arange(tokens.shape[1] + by) - by
    padded = np.pad(tokens, ((0, 0), (by, 0)))
    return padded, np.tile(np.where(positions < 0, filled, positions), (len(tokens), 1))


@pytest.mark.parametrize("application", ["encoder", "lm"])
@pytest.mark.parametrize("model", MODELS)
def test_padding_on_the_left_changes_nothing(model, application):
    options = {"segment_vocab_size": 0, "application": application, "with_lm": False}
    plain = build(model, **options)
    randomize(plain)
    padded = build(model, custom_position_ids=True, **options)
    padded.model.set_weights(plain.model.get_weights())
    (tokens,) = inputs_of(plain)
    wanted, real = run(plain, [tokens]), tokens != 0
    for by, filled in ((1, 0), (1, 1), (3, 0), (3, 1)):
        found = run(padded, left_padded(tokens, by, filled))
        assert np.all(np.isfinite(found))
        np.testing.assert_allclose(found[:, by:][real], wanted[real], **CLOSE)


def test_a_start_token_of_zero_is_seen():
    """Token 0 at the first place is no padding where positions go on from it."""
    plain, custom = build("gpt2"), build("gpt2", custom_position_ids=True)
    randomize(plain)
    custom.model.set_weights(plain.model.get_weights())
    (tokens,) = inputs_of(plain)
    tokens[:, 0] = 0
    positions = np.tile(np.arange(8), (4, 1))
    wanted = run(plain, [tokens])
    np.testing.assert_allclose(run(custom, [tokens, positions]), wanted, **CLOSE)


def test_mask_of_single_tokens_and_of_padding():
    mask = CausalMask()
    one = mask(ops.array([[0]]), position_ids=ops.array([[5]]))
    assert ops.convert_to_numpy(one).tolist() == [[[True]]]
    found = mask(ops.array([[0, 0, 7, 0]]), position_ids=ops.array([[0, 0, 0, 1]]))
    wanted = np.tril(np.ones((4, 4), bool))
    wanted[:, :2] = False
    np.testing.assert_array_equal(found, wanted[None])


@pytest.mark.parametrize("model", MODELS)
def test_zero_may_be_a_token(model):
    """With mask_zero=False only the numbers of the tokens differ: rows 0 and 9 change places."""
    first, second = build(model, mask_zero=False, with_lm=False), build(model, with_lm=False)
    randomize(first)
    weights = first.model.get_weights()
    weights[0] = weights[0][[9, *range(1, 9), 0, *range(10, 40)]]
    second.model.set_weights(weights)
    arrays = inputs_of(first)
    arrays[0][arrays[0] == 9] = 10
    swapped = [np.where(arrays[0] == 0, 9, arrays[0]), *arrays[1:]]
    np.testing.assert_allclose(run(first, arrays), run(second, swapped), **CLOSE)


GPT2_CONFIG = json.loads((HUGGING_FACE / "gpt2" / "config.json").read_text())
OPENAI_CONFIG = json.loads((HUGGING_FACE / "openai_gpt" / "config.json").read_text())


def builder_of(config, **changes):
    return build_transformer_model({**config, **changes}, return_keras_model=False)


def test_keys_of_hugging_face():
    builder = builder_of(GPT2_CONFIG, resid_pdrop=0.3, attn_pdrop=0.2, layer_norm_epsilon=1e-3)
    assert (builder.dropout_rate, builder.attention_dropout_rate) == (0.3, 0.2)
    assert builder.intermediate_size == 128 and builder.max_position == 40
    assert {x.epsilon for n, x in builder.layers.items() if n.endswith("Norm")} == {1e-3}
    assert builder_of(GPT2_CONFIG, n_inner=50).intermediate_size == 50
    attention = builder_of(GPT2_CONFIG, scale_attn_weights=False).layers
    assert not attention["Transformer-0-MultiHeadSelfAttention"].attention_scale
    assert builder_of(GPT2_CONFIG, reorder_and_upcast_attn=True).attention_scale


@pytest.mark.parametrize(
    "config, key, name, wanted",
    [
        (GPT2_CONFIG, "activation_function", "gelu", "gelu_erf"),
        (GPT2_CONFIG, "activation_function", "gelu_new", "gelu_tanh"),
        (GPT2_CONFIG, "activation_function", "relu", "relu"),
        (OPENAI_CONFIG, "afn", "gelu", "gelu_tanh"),  # OpenAI's is the tanh form
        (OPENAI_CONFIG, "afn", "swish", "swish"),
    ],
)
def test_activations_of_hugging_face(config, key, name, wanted):
    assert builder_of(config, **{key: name}).hidden_act == wanted


def test_a_config_of_2019_has_neither_activation_nor_dropout_nor_type():
    keys = ("n_embd", "n_head", "n_layer", "n_positions", "vocab_size")
    builder = build_transformer_model(
        {k: GPT2_CONFIG[k] for k in keys}, model="gpt2", return_keras_model=False
    )
    assert (builder.hidden_act, builder.dropout_rate) == ("gelu_tanh", 0.1)
    assert builder.layer_norm_epsilon == 1e-5


@pytest.mark.parametrize(
    "config, message",
    [
        ({**GPT2_CONFIG, "scale_attn_by_inverse_layer_idx": True}, "inverse_layer_idx=True.*false"),
        ({**GPT2_CONFIG, "add_cross_attention": True}, "add_cross_attention=True.*expected false"),
        ({**GPT2_CONFIG, "activation_function": "leaky_relu"}, "'leaky_relu'.*expected one of"),
        ({**OPENAI_CONFIG, "afn": "quick_gelu"}, "afn='quick_gelu'.*hidden_act"),
        ({**OPENAI_CONFIG, "with_pool": True}, "GPT has no pooler.*with_lm=False"),
        ({**GPT2_CONFIG, "with_nsp": True}, "no with_nsp, received True"),
        ({**GPT2_CONFIG, "embedding_size": 16}, "found 16 and 32.*with_lm=False"),
        ({**BASE, "model": "gpt2_ml", "pre_norm": True}, "own order of norms.*model='gpt2'"),
        ({**BASE, "model": "gpt2", "application": "unilm"}, "cannot be built.*unilm"),
        ({**BASE, "model": "gpt", "application": "unilm", "type_vocab_size": 0}, "segment ids"),
    ],
)
def test_what_cannot_be_built(config, message):
    config = dict(config)
    options = {k: config.pop(k, None) for k in ("model", "application")}
    with pytest.raises(ValueError, match=message):
        build_transformer_model(config, **options)


def test_an_output_table_of_its_own(tmp_path):
    """tie_word_embeddings=False: written, read and cut like the token table."""
    options = {"tie_word_embeddings": False, "embedding_size": 12}
    first = build("gpt2", **options)
    randomize(first)
    save_checkpoint(first, tmp_path, format="huggingface", mapping=None)
    with open_checkpoint(tmp_path) as reader:
        head = reader.read("lm_head.weight")
    np.testing.assert_array_equal(head.T, first.layers["LM-Dense"].kernel.numpy())
    keep = [0, *range(20, 30)]
    cut = build("gpt2", keep_tokens=keep, ignore_invalid_weights=True, **options)
    cut.load_weights_from_checkpoint(tmp_path)
    np.testing.assert_array_equal(cut.layers["LM-Dense"].kernel.numpy(), head.T[:, keep])


def test_heads():
    outputs, weights = {}, None
    for head in (False, True, "linear"):
        builder = build("gpt2_ml", with_lm=head, final_activation="softmax")
        randomize(builder)
        weights = weights or builder.model.get_weights()
        builder.model.set_weights(weights)
        outputs[head] = run(builder, inputs_of(builder))
    table = builder.layers["Embedding-Token"].embeddings.numpy()
    np.testing.assert_allclose(outputs["linear"], outputs[False] @ table.T, **CLOSE)
    exp = np.exp(outputs["linear"] - outputs["linear"].max(-1, keepdims=True))
    np.testing.assert_allclose(outputs[True], exp / exp.sum(-1, keepdims=True), **CLOSE)
    assert build("gpt", application="lm", with_lm=False).model.output.shape[-1] == 16
    assert build("gpt", application="lm").layers["LM-Activation"].activation.__name__ == "linear"


def test_unilm_replaces_the_causal_mask():
    """The source is seen whole, the target from left to right."""
    builder = build("gpt", application="unilm")
    assert "Attention-UniLM-Mask" in builder.layers and "Attention-LM-Mask" not in builder.layers
    randomize(builder)
    tokens, segments = inputs_of(builder)  # 5 places of source, 3 of target
    tokens[:] = np.maximum(tokens, 4)
    before = run(builder, [tokens, segments])

    def changed_places(place):
        other = tokens.copy()
        other[:, place] = tokens[:, place] % 35 + 5
        difference = np.abs(run(builder, [other, segments]) - before).max((0, 2))
        return (difference > 1e-3).tolist()

    assert changed_places(4) == [True] * 8
    assert changed_places(6) == [False] * 6 + [True] * 2


@pytest.mark.parametrize("model", MODELS)
def test_template_methods_run_on_real_tensors(model):
    """As decoding with caches calls them: the same layers, no symbolic tensor needed."""
    builder = build(model, custom_position_ids=True)
    randomize(builder)
    arrays = inputs_of(builder)
    found = builder.call([ops.convert_to_tensor(x) for x in arrays])
    np.testing.assert_allclose(found, run(builder, arrays), **CLOSE)


def test_gpt_with_norms_before_the_blocks(tmp_path):
    """Pre-norm GPT without segments is GPT-2 up to epsilon, and its names are published ones."""
    gpt = build("gpt", pre_norm=True, segment_vocab_size=0, layer_norm_eps=1e-5)
    gpt2 = build("gpt2")
    randomize(gpt)
    gpt2.model.set_weights(gpt.model.get_weights())
    arrays = inputs_of(gpt2)
    np.testing.assert_allclose(run(gpt, arrays), run(gpt2, arrays), **CLOSE)
    written = save_checkpoint(gpt, tmp_path / "model.ckpt")
    assert set(written) == set(gpt.named_weights())


def test_segments_of_gpt2_are_tokens():
    builder = build("gpt2", shared_segment_embeddings=True)
    assert [x.name for x in builder.inputs] == ["Input-Token", "Input-Segment"]
    assert "Embedding-Segment" not in builder.layers
    assert [x.name for x in build("gpt2", segment_vocab_size=2).inputs] == ["Input-Token"]


def test_a_segment_table_that_the_file_lacks_is_missed():
    options = {"segment_vocab_size": 2, "shared_segment_embeddings": False}
    with pytest.raises(CheckpointError, match="1 missing:\n  Embedding-Segment/embeddings"):
        build_transformer_model(HUGGING_FACE / "openai_gpt", **options)


def test_names_in_files():
    assert table_of("gpt2_ml", "tensorflow").entry("Transformer-3-FeedForward/o/bias")[0] == (
        "newslm/layer03/output/bias"
    )
    gpt2 = table_of("gpt2", "tensorflow")
    name = "Transformer-11-MultiHeadSelfAttention-Norm/gamma"
    assert gpt2.entry(name)[0] == "gpt/transformer/layer_11/attention/input/LayerNorm/gamma"
    for model in MODELS:
        with open_checkpoint(BERT4KERAS / model / "model.ckpt") as reader:
            builder = build_transformer_model(
                BERT4KERAS / model / "config.json", model=model, return_keras_model=False
            )
            names = {n for layer in builder.variable_mapping().values() for n in layer}
            assert names == set(reader.names())


def test_parts_of_unequal_size_are_not_glued(tmp_path):
    builder = build("gpt2", attention_key_size=5)
    with pytest.raises(ValueError, match="parts of one shape.*attention_key_size.*native"):
        save_checkpoint(builder, tmp_path, format="huggingface")


def test_layers_without_weights_have_their_places():
    attention, feed_forward = "Transformer-0-MultiHeadSelfAttention", "Transformer-0-FeedForward"
    common = ["Input-Token", "Embedding-Token"]
    gpt2 = [
        *common, "Embedding-Position", "Attention-LM-Mask",
        f"{attention}-Norm", attention, f"{attention}-Dropout", f"{attention}-Add",
        f"{feed_forward}-Norm", feed_forward, f"{feed_forward}-Dropout", f"{feed_forward}-Add",
        "Output-Norm", "Output-Dropout", "LM-Activation",
    ]  # fmt: skip
    assert list(build("gpt2", num_hidden_layers=1).layers) == gpt2
    ml = [
        *common, "Embedding-Position", "Embedding-Norm", "Attention-LM-Mask",
        attention, f"{attention}-Dropout", f"{attention}-Add",
        f"{feed_forward}-Norm-0", feed_forward, f"{feed_forward}-Dropout",
        f"{feed_forward}-Add", f"{feed_forward}-Norm-1", "LM-Activation",
    ]  # fmt: skip
    assert list(build("gpt2_ml", num_hidden_layers=1).layers) == ml
    first = list(build("gpt", num_hidden_layers=1).layers)[:9]
    assert first == [
        "Input-Token", "Input-Segment", "Embedding-Token", "Embedding-Segment",
        "Embedding-Token-Segment", "Embedding-Position", "Embedding-Dropout",
        "Attention-LM-Mask", attention,
    ]  # fmt: skip


def test_logits_are_float32_in_half_precision():
    keras.config.set_dtype_policy("mixed_float16")
    builder = build("gpt2", custom_position_ids=True)
    randomize(builder)
    found = run(builder, left_padded(inputs_of(builder)[0], 2, 0))
    assert found.dtype == "float32" and np.all(np.isfinite(found))


@pytest.mark.parametrize("padding", [{}, {"pad_token_id": 39, "eos_token_id": 39}])
def test_a_config_without_a_padding_token_of_its_own_masks_nothing(padding):
    """OpenAI's GPT-2 has none: its token 0 is "!", and transformers looks at it."""
    config = {"n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 12, "vocab_size": 40}
    plain = build_transformer_model({**config, **padding}, model="gpt2", with_lm=False)
    masked = build_transformer_model({**config, "pad_token_id": 0}, model="gpt2", with_lm=False)
    masked.set_weights(plain.get_weights())
    tokens = np.array([[5, 0, 39, 7]])
    a, b = plain.predict_on_batch(tokens), masked.predict_on_batch(tokens)
    assert np.abs(a - b)[0, 2:].max() > 1e-6 and np.allclose(a[0, 0], b[0, 0], atol=1e-6)
