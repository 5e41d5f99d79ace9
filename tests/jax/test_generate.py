"""Generation on JAX: what the plain model, called on the growing text, would write."""

import numpy as np
import pytest

from tests.models.generation_cases import Steered, builder_of, prompts_of

NAMES = ("bert-unilm", "t5.1.1", "gpt2", "deberta_v2-lm", "roformer_v2-unilm", "modernbert-lm")
STEPS = 8


@pytest.mark.parametrize("name", NAMES)
def test_with_the_cache_and_without(name):
    builder = builder_of(name, num_hidden_layers=1)
    prompts = prompts_of(builder)
    table = Steered(builder, STEPS, 3).table
    for settings in ({}, dict(method="beam", num_return=2)):
        shared = dict(max_new_tokens=STEPS, processors=_Adding(table), return_scores=True)
        texts, scores = builder.generate(prompts, **shared, **settings)
        plain, plain_scores = builder.generate(prompts, cache=False, **shared, **settings)
        assert texts == plain
        np.testing.assert_allclose(scores, plain_scores, atol=1e-3, rtol=1e-4)


def test_stream_and_changed_weights():
    builder = builder_of("gpt2", num_hidden_layers=1)
    rows = [[5, 6, 7], [8, 9]]
    first = builder.generate(rows, max_new_tokens=STEPS)
    pieces = list(builder.stream(rows, max_new_tokens=STEPS))
    assert [[piece[i] for piece in pieces] for i in range(2)] == first
    builder.model.set_weights([0.5 * w for w in builder.model.get_weights()])
    assert builder.generate(rows, max_new_tokens=STEPS) != first


def test_stepper_with_more_tokens_than_room():
    builder = builder_of("gpt2", num_hidden_layers=1)
    [text] = builder.generate([[5, 6, 7]], max_new_tokens=STEPS)
    stepper = builder.stepper()
    stepper.prepare(2, 3)  # room for three tokens, then for three more, and so on
    [probabilities] = stepper.start([np.array([[5, 6, 7]])])
    for token in text:
        assert probabilities.argmax() == token
        probabilities = stepper.step([token, 4], [0, 0])[0]


class _Adding:
    def __init__(self, table):
        self.table = table

    def __call__(self, scores, generated):
        from keras import ops

        return scores + ops.take(self.table, generated.length, axis=0)
