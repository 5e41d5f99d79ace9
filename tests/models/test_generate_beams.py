"""Several texts of a row side by side: with the cache what calls of the whole model give."""

import numpy as np
import pytest

from tests.models.generation_cases import Steered, builder_of, prompts_of
from tests.sweeps import some_of

STEPS = 12
# What places and masks are told in different ways; what else a model has is seen by greedy search.
WIDE = (
    "bert-unilm", "bert-lm", "nezha-unilm", "roformer-lm", "gau_alpha-unilm", "deberta_v2-lm",
    "modernbert-lm", "xlm_roberta-lm", "gpt2", "t5.1.0", "t5.1.1", "bert-positions",
    "nezha-positions", "bert-residual", "deberta_v2-residual", "t5.1.1-residual",
    "bert-hierarchical",
)  # fmt: skip
FEW = ("bert-unilm", "t5.1.1")


def both_ways(builder, prompts, **settings):
    """(texts, scores) with the cache and without it."""
    width = settings.get("num_return", 1)
    steered = Steered(builder, STEPS, len(prompts), width, scale=3.0)
    shared = dict(max_new_tokens=STEPS, return_scores=True, processors=steered, **settings)
    found = builder.generate(prompts, **shared)
    return found, builder.generate(prompts, cache=False, **shared)


def check_equal(found, wanted):
    assert found[0] == wanted[0]
    np.testing.assert_allclose(found[1], wanted[1], atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("name", some_of(WIDE, *FEW))
def test_beams(name):
    builder = builder_of(name)
    prompts = prompts_of(builder)
    found, wanted = both_ways(builder, prompts, method="beam", topk=3, num_return=3, end_id=[7, 9])
    check_equal(found, wanted)
    assert all(len(set(map(tuple, texts))) == 3 for texts in found[0])


@pytest.mark.parametrize("name", some_of(WIDE[:8], "bert-unilm"))
def test_samples(name):
    builder = builder_of(name)
    prompts = prompts_of(builder)
    settings = dict(method="sample", topk=20, topp=0.9, temperature=2.0, seed=3, num_return=2)
    found, wanted = both_ways(builder, prompts, **settings)
    check_equal(found, wanted)
    assert all(a != b for a, b in found[0])
