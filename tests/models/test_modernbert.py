"""ModernBERT against transformers' recordings, a NumPy loop over the file's tensors, and itself."""

import json

import keras
import numpy as np
import pytest
from keras import ops

from bert4keras_ext.checkpoints import open_checkpoint, save_checkpoint
from bert4keras_ext.models import build_transformer_model
from bert4keras_ext.models.masks import CausalMask, LocalMask
from tests import peers
from tests.models.families import build, inputs_of, randomize
from tests.models.recorded_models import HUGGING_FACE, TOLERANCE, check_hugging_face_case, report

CASES = ["modernbert_model", "modernbert_mlm"]
TINY = dict(
    model_type="modernbert", vocab_size=40, hidden_size=16, num_hidden_layers=4,
    num_attention_heads=2, intermediate_size=24, hidden_activation="gelu",
    max_position_embeddings=64, pad_token_id=0, local_attention=6, global_attn_every_n_layers=3,
    global_rope_theta=160000.0, local_rope_theta=10000.0,
)  # fmt: skip
BIASES = dict.fromkeys(
    ("attention_bias", "mlp_bias", "norm_bias", "classifier_bias", "decoder_bias"), True
)


def predict(builder, arrays):
    """Eagerly: nothing is worth compiling here."""
    return [ops.convert_to_numpy(builder.model(arrays))]


def builder_of(**changes):
    return build_transformer_model(
        {**TINY, **changes}, return_keras_model=False, with_mlm=changes.pop("with_mlm", "linear")
    )


@pytest.mark.parametrize(
    "name, output, head",
    [(name, "out_last_hidden_state", False) for name in CASES]
    + [("modernbert_mlm", "out_logits", "linear")],
)
def test_equals_transformers(name, output, head):
    check_hugging_face_case(name, output, ["input_ids"], None, "attention_mask", with_mlm=head)


def test_every_layer_equals_transformers():
    name = "modernbert_model"
    recorded = np.load(HUGGING_FACE / name / "io.npz")
    builder = build_transformer_model(HUGGING_FACE / name, return_keras_model=False)
    names = ["Embedding-Norm", *(f"Transformer-{i}-FeedForward-Add" for i in range(3))]
    states = [builder.layers[n].output for n in names]
    model = keras.Model(builder.model.inputs, [*states, builder.model.output])
    found = model.predict_on_batch(recorded["in_input_ids"])
    real = recorded["in_attention_mask"] == 1
    for i, (ours, theirs) in enumerate(zip(found, recorded["out_hidden_states"], strict=True)):
        report("transformers", name, f"out_hidden_states {i}", (ours - theirs)[real], TOLERANCE)


# ---- the architecture once more, in float64, from the tensors of a file -------------------------


def norm(x, tensors, name):
    x = x - x.mean(-1, keepdims=True)
    x = x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5)
    return x * tensors[f"{name}.weight"] + tensors.get(f"{name}.bias", 0)


def linear(x, tensors, name):
    return x @ tensors[f"{name}.weight"].T + tensors.get(f"{name}.bias", 0)


def silu(x):
    return x / (1 + np.exp(-x))


def rotated_halves(x, base):
    """Channel c turns together with c + size/2, as in the files."""
    half = x.shape[-1] // 2
    angles = np.arange(len(x))[:, None] * base ** (-np.arange(half) / half)
    a, b, sin, cos = x[:, :half], x[:, half:], np.sin(angles), np.cos(angles)
    return np.concatenate([a * cos - b * sin, b * cos + a * sin], -1)


def reference(tensors, tokens, heads, kinds, window, bases, causal=False):
    """One row of tokens without padding -> logits."""
    x = norm(tensors["model.embeddings.tok_embeddings.weight"][tokens], tensors,
             "model.embeddings.norm")  # fmt: skip
    for i, kind in enumerate(kinds):
        layer = f"model.layers.{i}"
        h = norm(x, tensors, f"{layer}.attn_norm") if i else x
        q, k, v = np.split(linear(h, tensors, f"{layer}.attn.Wqkv"), 3, -1)
        joined = []
        for at in np.split(np.arange(q.shape[-1]), heads):
            scores = rotated_halves(q[:, at], bases[kind]) @ rotated_halves(k[:, at], bases[kind]).T
            weights = np.exp(scores / np.sqrt(len(at)))
            for m, n in np.ndindex(weights.shape):
                if (kind == "local" and abs(m - n) > window // 2) or (causal and n > m):
                    weights[m, n] = 0
            joined.append(weights / weights.sum(-1, keepdims=True) @ v[:, at])
        x = x + linear(np.concatenate(joined, -1), tensors, f"{layer}.attn.Wo")
        h = linear(norm(x, tensors, f"{layer}.mlp_norm"), tensors, f"{layer}.mlp.Wi")
        first, second = np.split(h, 2, -1)
        x = x + linear(silu(first) * second, tensors, f"{layer}.mlp.Wo")
    x = norm(x, tensors, "model.final_norm")
    x = norm(np.maximum(linear(x, tensors, "head.dense"), 0), tensors, "head.norm")
    table = tensors.get("decoder.weight", tensors["model.embeddings.tok_embeddings.weight"])
    return x @ table.T + tensors.get("decoder.bias", 0)


OPTIONS = {
    "biases": (dict(BIASES), "encoder"),
    "none at all": (dict(decoder_bias=False), "encoder"),
    "own output table": (dict(tie_word_embeddings=False, mlp_bias=True), "encoder"),
    "lm": (dict(attention_bias=True, norm_bias=True), "lm"),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_equals_a_float64_loop(name, tmp_path):
    """An uneven window, an uneven number of layers, other activations; padding that is not 0."""
    changes, application = OPTIONS[name]
    config = {**TINY, **changes, "num_hidden_layers": 5, "global_attn_every_n_layers": 2,
              "local_attention": 5, "hidden_activation": "silu", "classifier_activation": "relu",
              "global_rope_theta": 500.0, "local_rope_theta": 30.0, "pad_token_id": 7}  # fmt: skip
    builder = build_transformer_model(
        config, application=application, with_mlm="linear", return_keras_model=False
    )
    randomize(builder)
    save_checkpoint(builder, tmp_path, format="huggingface")
    with open_checkpoint(tmp_path) as reader:
        tensors = {n: reader.read(n).astype("float64") for n in reader.names()}
    tokens = np.random.default_rng(0).integers(8, 40, (2, 17))
    tokens[1, 11:] = 7
    (found,) = predict(builder, [tokens])
    kinds = ["global", "local", "global", "local", "global"]
    bases = {"global": 500.0, "local": 30.0}
    for row, length in ((0, 17), (1, 11)):
        wanted = reference(tensors, tokens[row, :length], 2, kinds, 5, bases, application == "lm")
        # float32 eps times five layers of width 24 and a head, relative to the largest logit
        np.testing.assert_allclose(
            found[row, :length], wanted, atol=2e-5 * max(1, np.abs(wanted).max())
        )


# ---- masks ------------------------------------------------------------------------------------


@pytest.mark.parametrize("window", [1, 2, 5, 128])
def test_local_mask(window):
    x, allowed = ops.ones((2, 7)), CausalMask()(ops.ones((2, 7)))
    near = np.array([[abs(i - j) <= window // 2 for j in range(7)] for i in range(7)])
    found = LocalMask(window)(x)
    assert found.shape == LocalMask(window).compute_output_shape((2, 7)) == (1, 7, 7)
    np.testing.assert_array_equal(found[0], near)
    both = LocalMask(window)(x, allowed=allowed)
    np.testing.assert_array_equal(both[0], np.tril(near))
    assert LocalMask.from_config(LocalMask(window).get_config()).window == window


def test_language_models_see_only_the_window_before():
    """One local layer: each output depends on just those inputs."""
    builder = build_transformer_model(
        {**TINY, "num_hidden_layers": 1, "layer_types": ["sliding_attention"]},
        application="lm", return_keras_model=False,
    )  # fmt: skip
    randomize(builder)
    tokens = np.random.default_rng(1).integers(4, 40, (1, 12))
    rows = np.repeat(tokens, 12, 0)
    rows[np.arange(12), np.arange(12)] = 4 + (tokens[0] == 4)
    (found,), (plain,) = predict(builder, [rows]), predict(builder, [tokens])
    changed = np.abs(found - plain).max(-1) > 1e-5  # (changed place, output)
    i, j = np.indices((12, 12))
    np.testing.assert_array_equal(changed, (j >= i) & (j - i <= 3))


@pytest.mark.parametrize("model", ["bert", "modernbert"])
def test_padding_with_another_token(model):
    """What stands behind the text does not matter; 0 is then a token like any other."""
    builder = build(model, pad_token_id=9)
    randomize(builder)
    tokens, *segments = inputs_of(builder)
    tokens = np.where(tokens == 0, 9, np.where(tokens == 9, 10, tokens))
    tokens[0, 3] = 0
    longer = np.pad(tokens, ((0, 0), (0, 5)), constant_values=9)
    (a,) = predict(builder, [tokens, *segments])
    (b,) = predict(builder, [longer, *(np.pad(s, ((0, 0), (0, 5))) for s in segments)])
    real = tokens != 9
    np.testing.assert_allclose(a[real], b[:, :8][real], atol=1e-4, rtol=1e-4)
    unmasked = build(model, pad_token_id=-1)
    for name, variable in unmasked.named_weights().items():
        variable.assign(builder.named_weights()[name])
    (c,) = predict(unmasked, [tokens, *segments])
    np.testing.assert_allclose(c[0], a[0], atol=1e-4, rtol=1e-4)  # no padding there
    assert np.abs(c[1] - a[1])[real[1]].max() > 1e-2


def test_padding_among_kept_tokens():
    assert build("bert", pad_token_id=9, keep_tokens=[3, 9, 5]).pad_token_id == 1
    assert build("bert", keep_tokens=[3, 9, 5]).pad_token_id == 0
    assert build("bert", pad_token_id=-1, keep_tokens=[3, 9, 5]).pad_token_id == -1
    with pytest.raises(ValueError, match="lacks the padding token 8.*pad_token_id=-1"):
        build("bert", pad_token_id=8, keep_tokens=[3, 9, 5])
    with pytest.raises(ValueError, match="pad_token_id expects a token id, received '0'"):
        build("bert", pad_token_id="0")


def test_padding_on_the_left_of_a_language_model():
    """The causal mask looks for the padding token of the model."""
    mask = CausalMask(padding_id=9)(
        ops.array([[9, 9, 5, 0]]), position_ids=ops.array([[0, 0, 0, 1]])
    )
    np.testing.assert_array_equal(mask[0, 3], [False, False, True, True])


# ---- configs ------------------------------------------------------------------------------------


def settings(**changes):
    builder = builder_of(num_hidden_layers=4, **changes)
    return builder.layer_types, builder.rope


def test_both_generations_of_configs_say_the_same():
    new = {k: v for k, v in TINY.items() if "rope_theta" not in k and "every" not in k}
    full, local = "full_attention", "sliding_attention"
    builder = build_transformer_model(
        {**new, "layer_types": [full, local, local, full],
         "rope_parameters": {full: {"rope_type": "default", "rope_theta": 160000.0},
                             local: {"rope_type": "default", "rope_theta": 10000.0}}},
        return_keras_model=False,
    )  # fmt: skip
    assert (builder.layer_types, builder.rope) == settings()
    assert builder.rope[full] == {"base": 160000.0, "scaling": None}
    # layer_types wins over the older key, which files of the new generation still have.
    assert settings(layer_types=[local] * 6)[0] == [local] * 4


def test_a_local_base_of_null_is_the_global_one():
    assert settings(local_rope_theta=None)[1]["sliding_attention"]["base"] == 160000.0


def test_stretched_positions():
    yarn = {"rope_type": "yarn", "factor": 2.0}
    expected = {**yarn, "original_max_position_embeddings": 64}
    assert [r["scaling"] for r in settings(rope_scaling=yarn)[1].values()] == [expected] * 2
    one = {"full_attention": {"rope_type": "linear", "factor": 2.0, "rope_theta": 5.0}}
    rope = settings(rope_parameters=one)[1]
    assert rope["full_attention"]["base"] == 5.0
    assert rope["full_attention"]["scaling"]["factor"] == 2.0
    assert rope["sliding_attention"] == {"base": 10000.0, "scaling": None}


def test_keywords_win_over_the_file(tmp_path):
    config = {**TINY, "layer_types": ["full_attention"] * 4, "embedding_dropout": 0.0,
              "mlp_dropout": 0.2, "norm_eps": 1e-3, "layer_norm_eps": 1e-5}  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))

    def built(**kwargs):
        return build_transformer_model(
            tmp_path, checkpoint_path=False, return_keras_model=False, **kwargs
        )

    assert built().dropout_rate == 0.2 and built(dropout_rate=0.0).dropout_rate == 0.0
    assert built().layer_norm_epsilon == 1e-3
    assert built(layer_norm_eps=1e-6).layer_norm_epsilon == 1e-6
    assert built(global_attn_every_n_layers=2).layer_types[1] == "sliding_attention"
    assert built(pad_token_id=5).layers["Embedding-Token"].padding_id == 5
    assert len(built(num_hidden_layers=2).layer_types) == 2


@pytest.mark.parametrize(
    "change, message",
    [
        ({"layer_types": ["full_attention"]}, "list of 4 names.*'sliding_attention'"),
        ({"layer_types": ["full_attention"] * 3 + ["chunked"]}, "received.*'chunked'"),
        ({"global_attn_every_n_layers": 0}, "expects a positive integer, or"),
        ({"local_attention": 0}, "local_attention expects a positive integer"),
        ({"rope_scaling": {"rope_type": "dynamic", "factor": 2.0}}, "received 'dynamic'"),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 2.0, "mscale": 1.0}}, "'mscale'.*not s"),
        ({"hidden_size": 18, "num_attention_heads": 6}, "multiple of 2, received 3"),
        ({"hidden_activation": "quick"}, "unknown activation 'quick'"),
        ({"classifier_activation": "quick"}, "unknown activation 'quick'"),
    ],
)
def test_bad_configs(change, message):
    with pytest.raises(ValueError, match=message):
        builder_of(**change)


@pytest.mark.parametrize("head", ["with_pool", "with_nsp"])
def test_there_is_no_pooler(head):
    with pytest.raises(ValueError, match=f"no {head}, received True.*FirstPooling1D"):
        build_transformer_model(TINY, **{head: True})
    with pytest.raises(ValueError, match="'unilm'.*'lm'"):
        build_transformer_model(TINY, application="unilm")


# ---- files --------------------------------------------------------------------------------------


def test_an_output_table_of_ones_own_is_cut_with_the_vocabulary(tmp_path):
    whole = builder_of(tie_word_embeddings=False)
    randomize(whole)
    save_checkpoint(whole, tmp_path, format="huggingface")
    keep = [0, 5, 4, 30]
    cut = build_transformer_model(
        {**TINY, "tie_word_embeddings": False, "keep_tokens": keep}, tmp_path,
        with_mlm="linear", return_keras_model=False,
    )  # fmt: skip
    (a,) = predict(cut, [np.array([[1, 2, 3, 1]])])
    (b,) = predict(whole, [np.array([[5, 4, 30, 5]])])
    np.testing.assert_allclose(a, b[..., keep], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("encoder", [False, True])
def test_tensors_of_the_recorded_files(encoder, tmp_path):
    """What is written is bit for bit what was read; tied tables appear once."""
    folder = HUGGING_FACE / "modernbert_mlm"
    builder = build_transformer_model(
        folder, return_keras_model=False, with_mlm=False if encoder else "linear"
    )
    save_checkpoint(builder, tmp_path, format="huggingface")
    with open_checkpoint(tmp_path) as ours, open_checkpoint(folder) as theirs:
        heads = {"decoder.bias", "head.dense.weight", "head.norm.weight"} if encoder else set()
        assert set(ours.names()) == set(theirs.names()) - heads
        for name in ours.names():
            np.testing.assert_array_equal(ours.read(name), theirs.read(name))


def test_heads_that_the_format_cannot_hold(tmp_path):
    builder = builder_of(attention_head_size=6, attention_key_size=4)
    with pytest.raises(ValueError, match="Wqkv"):
        save_checkpoint(builder, tmp_path, format="huggingface")
    with pytest.raises(ValueError, match="No 'tensorflow' names.*expected one of huggingface"):
        save_checkpoint(builder, tmp_path / "model.ckpt", format="tensorflow")


@pytest.mark.parametrize("changes", [{}, {**BIASES, "local_attention": 5}])
def test_transformers_loads_what_is_written(changes, tmp_path):
    config = {**TINY, **changes, "reference_compile": False}
    builder = build_transformer_model(config, with_mlm="linear", return_keras_model=False)
    peers.fill(builder)
    save_checkpoint(builder, tmp_path, format="huggingface")
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tokens,) = inputs_of(builder, length=13)

    def theirs():
        model = peers.loaded("ModernBertForMaskedLM", tmp_path, attn_implementation="eager")
        return {"logits": peers.logits(model, tokens)["logits"]}

    wanted = peers.answer(f"modernbert_{len(changes)}", tmp_path, theirs)["logits"]
    difference = (predict(builder, [tokens])[0] - wanted)[tokens != 0]
    assert np.abs(difference).max() < TOLERANCE
