"""Generation in other precisions, and compiled by XLA."""

import keras
import numpy as np
import pytest

from bert4keras_ext.backend import set_xla
from tests.models.generation_cases import Steered, builder_of, plain_logits, prompts_of
from tests.sweeps import some_of

NAMES = ("bert-unilm", "t5.1.1", "gpt2", "deberta_v2-lm", "gau_alpha-lm", "nezha-unilm")
STEPS = 10
# Largest difference from the plain model in the same precision, as a share of the largest logit.
PRECISIONS = {"mixed_bfloat16": 0.04, "bfloat16": 0.1, "float16": 0.02, "mixed_float16": 0.02}
CASES = [(policy, name) for policy in PRECISIONS for name in NAMES]


@pytest.mark.parametrize("policy, name", some_of(CASES, ("mixed_bfloat16", "bert-unilm")))
def test_logits_are_the_plain_model_s_up_to_rounding(policy, name):
    keras.config.set_dtype_policy(policy)
    builder = builder_of(name)
    prompts = prompts_of(builder, 2)
    steered = Steered(builder, STEPS, 2)
    texts = builder.generate(prompts, max_new_tokens=STEPS, processors=steered)
    for row in range(2):  # the first is the longest
        wanted = plain_logits(builder, prompts[row], texts[row][:-1])
        found = np.array(steered.seen)[:, row, 0]
        assert np.all(np.isfinite(found))
        assert np.abs(found - wanted).max() <= PRECISIONS[policy] * np.abs(wanted).max()


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", NAMES)
def test_xla(name):
    """Lengths are then filled up to a multiple of 32, which changes nothing."""
    builder = builder_of(name)
    prompts = prompts_of(builder)
    ways = (dict(), dict(method="beam", end_id=7), dict(method="sample", seed=1, topk=5))
    wanted = [builder.generate(prompts, max_new_tokens=STEPS, **way) for way in ways]
    set_xla(True)
    found = [builder.generate(prompts, max_new_tokens=STEPS, **way) for way in ways]
    assert found == wanted
    assert list(builder.stream(prompts[0], max_new_tokens=STEPS)) == wanted[0][0]
