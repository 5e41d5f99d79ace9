"""Generation with the cache writes what the plain Keras model, called on the growing text, does."""

import numpy as np
import pytest

from tests.models.generation_cases import (
    CASES,
    Steered,
    builder_of,
    is_varied,
    logs,
    plain_logits,
    prompts_of,
)
from tests.sweeps import some_of

STEPS = 64
FEW = ("bert-unilm", "modernbert-lm", "deberta_v2-lm", "t5.1.1")


@pytest.mark.parametrize("name", some_of(CASES, *FEW))
def test_greedy_ids_and_logits_are_the_plain_model_s(name):
    builder = builder_of(name)
    prompts = prompts_of(builder)
    steered = Steered(builder, STEPS, len(prompts))
    texts = builder.generate(prompts, max_new_tokens=STEPS, processors=steered)
    assert [len(text) for text in texts] == [STEPS] * len(prompts)
    assert is_varied(texts)
    # Rows are taken longest first.
    order = sorted(range(len(prompts)), key=lambda i: -len(prompts[i]))
    for place, row in enumerate(order):
        found = steered.seen.numpy()[:, place, 0]
        wanted = plain_logits(builder, prompts[row], texts[row][:-1])
        if "probabilities" in name:  # the model's own output is a softmax
            found, wanted = logs(found), np.log(wanted)
        np.testing.assert_allclose(found, wanted, atol=1e-4, rtol=1e-5)
        assert texts[row] == (wanted + steered.table).argmax(-1).tolist()
    for prompt, text in zip(prompts, texts):  # one at a time
        assert builder.generate([prompt], max_new_tokens=STEPS, processors=steered) == [text]
