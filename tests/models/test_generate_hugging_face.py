"""Generation gives the ids and scores that Hugging Face transformers was recorded to give."""

from functools import lru_cache

import numpy as np
import pytest

from bert4keras_ext.models import build_transformer_model
from tests.models.recorded_models import HUGGING_FACE, hugging_face_cases
from tests.sweeps import some_of

END, STEPS = 1, 12
NAMES = [
    name
    for name, case in hugging_face_cases().items()
    if "gen_greedy_ids" in case["arrays"] and not name.startswith(("llama", "qwen2"))
]
BEAMS = [(name, penalty, early) for name in NAMES for penalty in (0, 1) for early in (False, True)]


@lru_cache
def case(name):
    """(builder, recorded arrays, whether there is an encoder)"""
    kwargs = {}
    if name.endswith("_causal"):
        kwargs = dict(application="lm", with_mlm="linear")
    elif "t5" not in name:
        kwargs = dict(with_lm="linear")
    folder = HUGGING_FACE / name
    builder = build_transformer_model(folder, return_keras_model=False, **kwargs)
    return builder, np.load(folder / "io.npz"), "t5" in name


@pytest.fixture(scope="module", autouse=True)
def models_are_dropped():
    yield
    case.cache_clear()


def prompts_of(arrays, kind, is_seq2seq):
    """Ragged rows: of the recorded ones what the attention masks call real."""
    mask = arrays["in_attention_mask" if is_seq2seq else f"{kind}_attention_mask"]
    return [row[real == 1].tolist() for row, real in zip(arrays[f"{kind}_input_ids"], mask)]


def texts_of(arrays, kind, key, is_seq2seq):
    """What was written in one recording, row by row, best first, without prompt and end."""
    start = 1 if is_seq2seq else arrays[f"{kind}_input_ids"].shape[1]
    ids = arrays[f"{kind}_{key}_ids"][..., start:]
    rows = ids.reshape(-1, ids.shape[-1]).tolist()
    return [row[: row.index(END)] if END in row else row for row in rows]


def kinds_of(arrays):
    return [kind for kind in ("gen", "leftpad") if f"{kind}_input_ids" in arrays]


def test_every_recording_is_among_the_cases():
    assert len(NAMES) == 13 and len([name for name in NAMES if "t5" in name]) == 7


@pytest.mark.parametrize("name", some_of(NAMES, "gpt2_inner"))
def test_greedy(name):
    builder, arrays, is_seq2seq = case(name)
    for kind in kinds_of(arrays):
        prompts = prompts_of(arrays, kind, is_seq2seq)
        found = builder.generate(prompts, max_new_tokens=STEPS, end_id=END)
        assert found == texts_of(arrays, kind, "greedy", is_seq2seq)


@pytest.mark.parametrize(
    "name, penalty, early",
    some_of(BEAMS, ("gpt2_inner", 1, False), ("t5_v1_0_buckets", 0, True)),
)
def test_beam_search(name, penalty, early):
    builder, arrays, is_seq2seq = case(name)
    key = f"beam3_lp{penalty}_es{'T' if early else 'F'}"
    for kind in kinds_of(arrays):
        texts, scores = builder.generate(
            prompts_of(arrays, kind, is_seq2seq), max_new_tokens=STEPS, end_id=END,
            method="beam", topk=3, num_return=3, length_penalty=penalty, early_stopping=early,
            return_scores=True,
        )  # fmt: skip
        assert sum(texts, []) == texts_of(arrays, kind, key, is_seq2seq)
        np.testing.assert_allclose(scores, arrays[f"{kind}_{key}_scores"], atol=1e-4)
