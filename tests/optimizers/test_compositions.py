"""Each extension alone, and every ordered pair of them: the same behaviours for all."""

import itertools

import keras
import numpy as np
import pytest

from tests.optimizers.compositions import (
    ARGUMENTS,
    SLOTS,
    assert_same,
    extended,
    make_model,
    make_optimizer,
    train,
)

ALONE = [(name,) for name in ARGUMENTS]
PAIRS = list(itertools.permutations(ARGUMENTS, 2))


@pytest.mark.parametrize("names", ALONE + PAIRS, ids="+".join)
def test_trains_saves_resumes_and_compiles(names, tmp_path):
    model = make_model(make_optimizer(names))
    start = model.get_weights()
    train(model, range(5))  # with accumulation this ends in the middle of a group
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    assert type(loaded.optimizer) is extended(names)
    assert loaded.optimizer.get_config() == model.optimizer.get_config()
    train(model, range(5, 8))
    train(loaded, range(5, 8))
    assert_same(loaded, model)
    for before, after in zip(start, model.get_weights()):
        assert np.all(np.isfinite(after)) and np.any(before != after)
    compiled = make_model(make_optimizer(names))
    train(compiled, range(8), jit=True)
    # Eight steps of 0.02, each from float32 moments whose ratio is off by a few 2^-23.
    assert_same(compiled, model, rtol=0, atol=2e-5)


@pytest.mark.parametrize("names", ALONE + [("gradient_accumulation", "lookahead")], ids="+".join)
def test_slots_are_as_many_as_the_docstrings_say(names):
    model = make_model(make_optimizer(names))
    model.optimizer.build(model.trainable_variables)
    weights = sum(v.shape.num_elements() for v in map(lambda v: v.value, model.trainable_variables))
    state = sum(int(np.prod(v.shape)) for v in model.optimizer.variables if len(v.shape))
    state -= 12 if "lazy_optimization" in names else 0  # one number a row
    assert state == weights * (2 + sum(SLOTS.get(name, 0) for name in names))
