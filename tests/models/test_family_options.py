"""The builder's options, on every family that has them."""

import keras
import numpy as np
import pytest

from bert4keras_ext.models.registry import MODELS
from tests.models.families import FAMILIES, build, inputs_of, predict, randomize
from tests.sweeps import some_of

KNOWN = list(FAMILIES)
# One of each kind of encoder, decoder and both.
FEW = ("bert", "roformer", "gpt2", "t5.1.1")
ENCODERS = [m for m in KNOWN if not m.startswith(("t5", "mt5"))]
WITH_MASKS = [
    (model, application)
    for model in ENCODERS
    for application in ("lm", "unilm")
    if application in MODELS[model].applications
]
WITH_POSITIONS = [m for m in ENCODERS if m not in ("deberta_v2", "electra")]
# GPT2_ML refuses it, and a gated unit is one block with one norm: both in their own tests.
POST_NORM = [m for m in ENCODERS if not MODELS[m].pre_norm and m not in ("gpt2_ml", "gau_alpha")]


@pytest.mark.parametrize("model", some_of(KNOWN, "bert", "t5.1.1"))
def test_prefix_is_before_layer_names_and_not_in_checkpoints(model, tmp_path):
    from bert4keras_ext.checkpoints import save_checkpoint

    plain, prefixed = build(model), build(model, prefix="My-")
    randomize(plain)
    save_checkpoint(plain, tmp_path / "m.safetensors", format="native")
    prefixed.load_weights_from_checkpoint(tmp_path / "m.safetensors")
    assert set(plain.named_weights()) == set(prefixed.named_weights())
    names = [layer.name for layer in prefixed.model.layers if layer.weights]
    inner = prefixed.model.name  # T5's halves are models of their own
    assert all(n.startswith("My-") or "functional" in n or inner in n for n in names), names
    arrays = inputs_of(plain)
    np.testing.assert_array_equal(predict(plain, arrays)[0], predict(prefixed, arrays)[0])


@pytest.mark.parametrize("model", KNOWN)
def test_layers_are_shared_between_models(model):
    first = build(model)
    second = build(model, layers=first.layers, name="second")
    mine = {id(w) for w in first.model.weights}
    assert mine == {id(w) for w in second.model.weights}


@pytest.mark.parametrize("model", some_of(KNOWN, *FEW))
def test_vocabulary_is_cut_and_grown(model, tmp_path):
    """keep_tokens selects rows everywhere the vocabulary runs, compound_tokens appends means."""
    from bert4keras_ext.checkpoints import save_checkpoint

    whole = build(model)
    randomize(whole)
    path = tmp_path / "whole.safetensors"
    save_checkpoint(whole, path, format="native")
    keep = [0, 1, 2, 3, *range(39, 9, -2)]
    cut = build(model, keep_tokens=keep, compound_tokens=[[4, 5], ([6, 7], [1, 3])])
    cut.load_weights_from_checkpoint(path)
    old, new = whole.named_weights(), cut.named_weights()
    assert "Embedding-Token/embeddings" in cut.vocabulary_axes
    for name, axis in cut.vocabulary_axes.items():
        if name in old:
            before, after = (np.moveaxis(w[name].numpy(), axis, 0) for w in (old, new))
            rows = before[keep]
            np.testing.assert_array_equal(after[: len(keep)], rows)
            np.testing.assert_allclose(after[-2], rows[4:6].mean(0), atol=1e-6)
            np.testing.assert_allclose(after[-1], rows[6] / 4 + rows[7] * 3 / 4, atol=1e-6)
    tall = [n for n, w in new.items() if 40 in old[n].shape and w.shape != old[n].shape]
    assert set(tall) <= set(cut.vocabulary_axes)
    arrays = [np.minimum(x, cut.vocab_size - 1) for x in inputs_of(cut)]
    back = np.array([*keep, 0, 0])
    in_old = [back[x] if x.max() > 7 else x for x in arrays]
    kept = [np.where(x < len(keep), x, 5) if x.max() > 7 else x for x in arrays]
    in_old = [back[x] if x.max() > 7 else x for x in kept]
    (a,), (b,) = predict(cut, kept), predict(whole, in_old)
    a, b = (a[..., : len(keep)], b[..., keep]) if b.shape[-1] == 40 else (a, b)
    np.testing.assert_allclose(a, b, atol=2e-5, rtol=2e-5)


@pytest.mark.parametrize("model", some_of(KNOWN, *FEW))
def test_norms_depend_on_a_condition(model):
    condition = keras.Input((3,), name="Condition")
    builder = build(
        model, layer_norm_cond=condition, layer_norm_cond_hidden_size=5,
        layer_norm_cond_hidden_act="relu", additional_input_layers=condition,
    )  # fmt: skip
    randomize(builder)
    arrays = inputs_of(builder)[:-1]
    rng = np.random.default_rng(3)
    a, b = (predict(builder, [*arrays, rng.normal(size=(4, 3))])[0] for _ in range(2))
    assert np.abs(a - b).max() > 1e-3


@pytest.mark.parametrize("model", some_of(KNOWN, *FEW))
def test_residual_attention_scores(model):
    plain, residual = build(model), build(model, residual_attention_scores=True)
    randomize(plain)
    for name, variable in residual.named_weights().items():
        variable.assign(plain.named_weights()[name])
    arrays = inputs_of(plain)
    assert np.abs(predict(plain, arrays)[0] - predict(residual, arrays)[0]).max() > 1e-4


@pytest.mark.parametrize(
    "model, application",
    some_of(WITH_MASKS, ("bert", "lm"), ("bert", "unilm"), ("roformer", "unilm"), ("nezha", "lm")),
)
@pytest.mark.parametrize("residual", [False, True])
def test_later_tokens_are_not_seen(model, application, residual):
    builder = build(model, application=application, residual_attention_scores=residual,
                    **({"conv_kernel_size": 0} if model == "deberta_v2" else {}),
                    **({"segment_vocab_size": 2} if application == "unilm" else {}))  # fmt: skip
    randomize(builder)
    arrays = inputs_of(builder)
    changed = [x.copy() for x in arrays]
    changed[0][0, -1] = 5 + (changed[0][0, -1] == 5)
    (a,), (b,) = predict(builder, arrays), predict(builder, changed)
    np.testing.assert_allclose(a[0, :-1], b[0, :-1], atol=2e-5, rtol=2e-5)
    assert np.abs(a[0, -1] - b[0, -1]).max() > 1e-3


@pytest.mark.parametrize("model", some_of([m for m in KNOWN if not m.startswith("gau")], *FEW))
def test_log_n_scaled_attention(model):
    builder = build(model, attention_normalization="softmax_plus")
    randomize(builder)
    plain = build(model)
    for name, variable in plain.named_weights().items():
        variable.assign(builder.named_weights()[name])
    arrays = inputs_of(builder)
    assert np.abs(predict(builder, arrays)[0] - predict(plain, arrays)[0]).max() > 1e-4


@pytest.mark.parametrize("model", some_of(POST_NORM, "bert", "roformer"))
def test_pre_norm(model):
    builder = build(model, pre_norm=True)
    names = list(builder.layers)
    assert "Output-Norm" in names
    block = builder.block_name(0)
    norm, attention = f"{block}-MultiHeadSelfAttention-Norm", f"{block}-MultiHeadSelfAttention"
    assert names.index(norm) < names.index(attention)
    assert losses_fall(builder)


def losses_fall(builder):
    from tests.models.test_families import losses

    found = losses(builder)
    return found[-1] < found[0]


@pytest.mark.parametrize("model", some_of(WITH_POSITIONS, "bert", "roformer", "gpt2"))
def test_custom_position_ids(model):
    """Counting from 0 on is the default; other positions give another result."""
    plain, custom = build(model), build(model, custom_position_ids=True)
    randomize(plain)
    for name, variable in custom.named_weights().items():
        variable.assign(plain.named_weights()[name])
    arrays = inputs_of(plain)
    rows, length = arrays[0].shape
    ids = np.tile(np.arange(length), (rows, 1))
    (wanted,) = predict(plain, arrays)
    (found,) = predict(custom, [*arrays, ids])
    np.testing.assert_allclose(found, wanted, atol=2e-5, rtol=2e-5)
    (other,) = predict(custom, [*arrays, ids * 2])
    assert np.abs(other - wanted).max() > 1e-4


@pytest.mark.parametrize("model", some_of(KNOWN, *FEW))
def test_heads_of_another_size(model):
    builder = build(model, attention_head_size=6, attention_key_size=4)
    assert np.all(np.isfinite(predict(builder, inputs_of(builder))[0]))


@pytest.mark.parametrize("model", KNOWN)
def test_smaller_checkpoints_are_resized(model, tmp_path):
    from bert4keras_ext.checkpoints import save_checkpoint

    small = build(model)
    save_checkpoint(small, tmp_path / "m.safetensors", format="native")
    wide = build(model, intermediate_size=48, autoresize_weights=True)
    report = wide.load_weights_from_checkpoint(tmp_path / "m.safetensors")
    assert report.resized and not report.missing
