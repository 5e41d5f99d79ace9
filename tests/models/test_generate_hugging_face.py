"""Generation gives the ids and scores that Hugging Face transformers was recorded to give."""

from functools import lru_cache

import numpy as np
import pytest

from bert4keras_ext.models import build_transformer_model
from tests.models.recorded_models import HUGGING_FACE, hugging_face_cases
from tests.peers import answer
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


# ---- settings that the recordings above do not have -------------------------------------------

# What transformers calls them, and what we do.
SETTINGS = {
    "repetition": (dict(repetition_penalty=1.7), dict(repetition_penalty=1.7)),
    "bigrams": (dict(no_repeat_ngram_size=2), dict(no_repeat_ngram=2)),
    "both": (
        dict(repetition_penalty=1.3, no_repeat_ngram_size=3),
        dict(repetition_penalty=1.3, no_repeat_ngram=3),
    ),
    "beams_repetition": (
        dict(num_beams=3, repetition_penalty=1.7),
        dict(method="beam", topk=3, repetition_penalty=1.7),
    ),
    "beams_bigrams": (
        dict(num_beams=4, no_repeat_ngram_size=2, length_penalty=0.6, num_return_sequences=2),
        dict(method="beam", topk=4, no_repeat_ngram=2, length_penalty=0.6, num_return=2),
    ),
    "least_length": (
        dict(num_beams=2, min_new_tokens=5),
        dict(method="beam", topk=2, min_new_tokens=5),
    ),
}
ROWS = [np.random.default_rng(n).integers(3, 60, n) for n in (4, 9, 6)]


def transformers_texts(name):
    """{setting: (rows, texts a row, tokens), -1 after the end} that transformers writes."""
    import torch
    import transformers

    model = getattr(
        transformers, "GPT2LMHeadModel" if "gpt2" in name else "T5ForConditionalGeneration"
    )
    model, texts = model.from_pretrained(HUGGING_FACE / name).eval(), {}
    for setting, (options, _) in SETTINGS.items():
        texts[setting] = np.full((len(ROWS), options.get("num_return_sequences", 1), STEPS), -1)
        for i, row in enumerate(ROWS):
            ids = torch.tensor(row)[None]
            written = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False,
                                     max_new_tokens=STEPS, eos_token_id=END, pad_token_id=0,
                                     **options)  # fmt: skip
            for j, text in enumerate(written[:, len(row) if "gpt2" in name else 1 :].tolist()):
                text = text[: text.index(END)] if END in text else text
                texts[setting][i, j, : len(text)] = text
    return texts


@pytest.mark.parametrize("name", some_of(["gpt2", "t5_v1_0", "t5_v1_1"], "t5_v1_1"))
def test_settings(name):
    question = [np.load(HUGGING_FACE / name / "io.npz")["gen_greedy_ids"], *ROWS]
    recorded = answer(f"{name}_generation", question, lambda: transformers_texts(name))
    builder, _, _ = case(name)
    for setting, (_, options) in SETTINGS.items():
        texts = builder.generate(ROWS, max_new_tokens=STEPS, end_id=END, **options)
        texts = texts if "num_return" in options else [[text] for text in texts]
        wanted = [[text[text >= 0].tolist() for text in row] for row in recorded[setting]]
        assert texts == wanted, setting
