"""autoresize_weights: tokens, positions, segments and distances keep their vectors."""

import numpy as np
import pytest

from bert4keras_ext.checkpoints import CheckpointError, save_checkpoint
from bert4keras_ext.models import build_transformer_model
from tests.models.families import BASE, FAMILIES, inputs_of, randomize

# What Keras says of things that are done here on purpose.
pytestmark = [
    pytest.mark.filterwarnings("ignore:(?s).*The structure of `inputs`"),
]

SMALL = dict(vocab_size=40, max_position_embeddings=25, type_vocab_size=2)
LARGE = dict(vocab_size=43, max_position_embeddings=30, type_vocab_size=3)
# Sizes of a family's own tables, the smaller one and the larger one.
MORE = {
    "ernie": ("task_type_vocab_size", 3, 4),
    "nezha": ("max_relative_position", 5, 9),
    "deberta_v2": ("position_buckets", 6, 10),
    **{name: ("relative_attention_num_buckets", 16, 24) for name in FAMILIES if "t5" in name},
}
XLM = dict(hidden_act="gelu", with_mlm="linear")
UNTIED = dict(FAMILIES["gpt2"], tie_word_embeddings=False)
MODERN = dict(FAMILIES["modernbert"], tie_word_embeddings=False)
CASES = {
    **{name: (name, config) for name, config in FAMILIES.items()},
    "xlm_roberta": ("xlm_roberta", XLM),
    "xlm_roberta_segments": ("xlm_roberta", {**XLM, "segment_vocab_size": 2}),
    "gpt2_untied": ("gpt2", UNTIED),
    "modernbert_untied": ("modernbert", MODERN),
    "electra_generator": ("electra", dict(embedding_size=12, with_mlm="linear")),
    "deberta_v2_distances": (
        "deberta_v2",
        {**FAMILIES["deberta_v2"], "position_buckets": -1, "position_biased_input": True},
    ),
}


def built(case, sizes, place, **kwargs):
    model, config = CASES[case]
    key, *values = MORE.get(case, ("type_vocab_size", *map(_segments, (SMALL, LARGE))))
    config = {**BASE, **sizes, "num_hidden_layers": 1, key: values[place], **config}
    if "segment_vocab_size" in config:
        config["segment_vocab_size"] = config.pop("type_vocab_size")
    return build_transformer_model(config, model=model, return_keras_model=False, **kwargs)


def _segments(sizes):
    return sizes["type_vocab_size"]


def outputs(builder, arrays):
    found = builder.model(arrays if len(arrays) > 1 else arrays[0], training=False)
    return [np.array(x) for x in (found if isinstance(found, list) else [found])]


def check_both_ways(path, case, format):
    """What the two models have in common computes the same in both."""
    small, large = (
        built(case, sizes, place, autoresize_weights=True)
        for place, sizes in enumerate((SMALL, LARGE))
    )
    # The small one's tokens, and distances up to 3.
    arrays = [array % small.vocab_size for array in inputs_of(small, rows=2, length=4)]
    for seed, (source, target) in enumerate([(small, large), (large, small)]):
        randomize(source, seed)
        save_checkpoint(source, path, format=format)
        target.load_weights_from_checkpoint(path)
        for found, expected in zip(outputs(target, arrays), outputs(source, arrays)):
            width = min(found.shape[-1], expected.shape[-1])
            found, expected = found[..., :width], expected[..., :width]
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_what_both_models_know_stays_as_it_is(tmp_path, case):
    check_both_ways(tmp_path / "m.safetensors", case, "native")


@pytest.mark.parametrize("case, format", [
    ("bert", "tensorflow"), ("bert", "huggingface"), ("xlm_roberta", "huggingface"),
    ("t5.1.1", "tensorflow"), ("t5.1.1", "huggingface"), ("deberta_v2", "huggingface"),
])  # fmt: skip
def test_formats_of_others(tmp_path, case, format):
    check_both_ways(tmp_path / "m.ckpt", case, format)


def test_rows_are_the_checkpoints_and_then_new_ones(tmp_path):
    small = built("bert", SMALL, 0)
    randomize(small)
    save_checkpoint(small, tmp_path / "m.safetensors", format="native")
    large = built("bert", LARGE, 1, autoresize_weights=True)
    own = {name: np.array(variable) for name, variable in large.named_weights().items()}
    report = large.load_weights_from_checkpoint(tmp_path / "m.safetensors")
    weights, source = large.named_weights(), small.named_weights()
    for name, rows in [("Embedding-Token/embeddings", 40), ("MLM-Bias/beta", 40),
                       ("Embedding-Position/embeddings", 25),
                       ("Embedding-Segment/embeddings", 2)]:  # fmt: skip
        found = np.array(weights[name])
        np.testing.assert_array_equal(found[:rows], np.array(source[name]))
        np.testing.assert_array_equal(found[rows:], own[name][rows:])
        note = next(note for note in report.notes if name in note)
        assert f"rows {rows} to {len(found) - 1} stay" in note


@pytest.mark.parametrize("vocab_size", [43, 37])
def test_compound_tokens_come_after_a_resized_vocabulary(tmp_path, vocab_size):
    small = built("bert", SMALL, 0)
    randomize(small)
    save_checkpoint(small, tmp_path / "m.ckpt", format="tensorflow")
    sizes = {**SMALL, "vocab_size": vocab_size}
    large = built("bert", sizes, 0, compound_tokens=[[1, 2]], autoresize_weights=True)
    own = {name: np.array(variable) for name, variable in large.named_weights().items()}
    large.load_weights_from_checkpoint(tmp_path / "m.ckpt")
    for name in ("Embedding-Token/embeddings", "MLM-Bias/beta"):
        table = np.array(small.named_weights()[name])
        expected = [*table[:vocab_size], *own[name][40:vocab_size], (table[1] + table[2]) / 2]
        np.testing.assert_allclose(np.array(large.named_weights()[name]), expected, rtol=1e-5)


def test_widths_are_stretched_without_new_rows_counting(tmp_path):
    small = built("bert", SMALL, 0)
    randomize(small)
    save_checkpoint(small, tmp_path / "m.safetensors", format="native")
    wide = built("bert", LARGE, 1, hidden_size=32, autoresize_weights=True)
    same = built("bert", SMALL, 0, hidden_size=32, autoresize_weights=True)
    for builder in (wide, same):
        builder.load_weights_from_checkpoint(tmp_path / "m.safetensors")
    wide, same = wide.named_weights(), same.named_weights()
    for name, variable in same.items():
        found = np.array(wide[name])[: variable.shape[0]]
        np.testing.assert_allclose(found, np.array(variable), rtol=1e-5)


@pytest.mark.parametrize("dtype", ["bfloat16", "mixed_float16"])
def test_rows_in_other_precisions(tmp_path, dtype):
    import keras

    small = built("bert", SMALL, 0)
    save_checkpoint(small, tmp_path / "m.safetensors", format="native")
    keras.config.set_dtype_policy(dtype)
    try:
        large = built("bert", LARGE, 1, autoresize_weights=True)
    finally:
        keras.config.set_dtype_policy("float32")
    large.load_weights_from_checkpoint(tmp_path / "m.safetensors")
    name = "Embedding-Token/embeddings"
    found = keras.ops.convert_to_numpy(keras.ops.cast(large.named_weights()[name], "float32"))
    expected = np.array(small.named_weights()[name])
    np.testing.assert_allclose(found[:40], expected, rtol=2**-7)
    assert np.isfinite(found).all() and np.abs(found[40:]).max() > 0


def test_a_larger_vocabulary_names_compound_tokens(tmp_path):
    for case in ("bert", "gpt2_untied"):
        small = built(case, SMALL, 0)
        save_checkpoint(small, tmp_path / "m.safetensors", format="native")
        large = built(case, {**SMALL, "vocab_size": 43}, 0)
        with pytest.raises(CheckpointError) as error:
            large.load_weights_from_checkpoint(tmp_path / "m.safetensors")
        fix = str(error.value).split("Likely fix: ")[1]
        assert fix.startswith("vocab_size is 43 in the model and 40 in the checkpoint")
        assert "the 3 new tokens as compound_tokens=" in fix
