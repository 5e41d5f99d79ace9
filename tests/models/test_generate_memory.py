"""Models that were generated with and dropped leave no graphs behind."""

import gc
import weakref

import pytest

from tests.models.generation_cases import builder_of
from tests.test_memory import graphs_alive

ROWS = [[5, 6, 7], [8, 9]]


def generate_with_models(names):
    gone = []
    for name in names:
        builder = builder_of(name, num_hidden_layers=1)
        builder.generate(ROWS, max_new_tokens=3, method="sample", seed=1)
        list(builder.stream(ROWS, max_new_tokens=3))
        gone.append(weakref.ref(builder.model))
    return gone


@pytest.mark.parametrize(
    "names", [["gpt2"], pytest.param(["t5.1.1", "bert-unilm"], marks=pytest.mark.exhaustive)]
)
def test_nothing_is_left(names):
    before = graphs_alive()
    gone = generate_with_models(names)
    assert graphs_alive() <= before
    gc.collect()
    assert [reference() for reference in gone] == [None] * len(names)
