"""Each extension alone, and every ordered pair of them: the same behaviours for all."""

import itertools
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.optimizers.compositions import (
    ARGUMENTS,
    SLOTS,
    apply_steps,
    assert_same,
    extended,
    make_model,
    make_optimizer,
    make_variables,
    train,
)

ALONE = [(name,) for name in ARGUMENTS]
PAIRS = list(itertools.permutations(ARGUMENTS, 2))
# Eight steps of 0.02, each from float32 moments whose ratio is off by a few 2^-23.
CLOSE = {"rtol": 0, "atol": 2e-5}


ALL = tuple(ARGUMENTS)


@pytest.mark.parametrize(
    "names",
    [pytest.param(names, marks=pytest.mark.exhaustive) for names in ALONE] + [ALL, ALL[::-1]],
    ids=str,
)
def test_a_model_trains_saves_resumes_and_compiles(names, tmp_path):
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
    assert_same(compiled, model, **CLOSE)


def test_a_tensorflow_checkpoint_resumes(tmp_path):
    names = tuple(ARGUMENTS)
    model, other = (make_model(make_optimizer(names)) for _ in range(2))
    train(model, range(5))
    path = tf.train.Checkpoint(model=model, optimizer=model.optimizer).save(tmp_path / "c")
    other.optimizer.build(other.trainable_variables)
    saved = tf.train.Checkpoint(model=other, optimizer=other.optimizer)
    saved.restore(path).assert_existing_objects_matched()
    train(model, range(5, 8))
    train(other, range(5, 8))
    assert_same(other, model)


@pytest.mark.parametrize("names", PAIRS, ids="+".join)
def test_pairs_train_and_resume(names):
    optimizer, variables = make_optimizer(names), make_variables()
    start = [variable.numpy() for variable in variables]
    apply_steps(optimizer, variables, range(5))
    weights = [variable.numpy() for variable in variables]
    state = [variable.numpy() for variable in optimizer.variables]
    config = json.loads(json.dumps(keras.optimizers.serialize(optimizer)))
    apply_steps(optimizer, variables, range(5, 8))

    resumed, others = keras.optimizers.deserialize(config), make_variables()
    assert type(resumed) is extended(names)
    assert resumed.get_config() == optimizer.get_config()
    resumed.build(others)
    for variable, value in zip([*others, *resumed.variables], [*weights, *state], strict=True):
        variable.assign(value)
    apply_steps(resumed, others, range(5, 8))

    for before, after, again in zip(start, variables, others):
        assert np.all(np.isfinite(after.numpy())) and np.any(before != after.numpy())
        np.testing.assert_array_equal(again.numpy(), after.numpy())


@pytest.mark.parametrize("names", PAIRS[::7], ids="+".join)
def test_pairs_under_xla(names):
    """A sample: compiling is what takes time, and each extension is in some of them."""
    eager, compiled = make_variables(), make_variables()
    apply_steps(make_optimizer(names), eager, range(8))
    apply_steps(make_optimizer(names), compiled, range(8), jit=True)
    for a, b in zip(eager, compiled):
        np.testing.assert_allclose(b.numpy(), a.numpy(), **CLOSE)


@pytest.mark.parametrize("names", ALONE + [("gradient_accumulation", "lookahead")], ids="+".join)
def test_slots_are_as_many_as_the_docstrings_say(names):
    model = make_model(make_optimizer(names))
    model.optimizer.build(model.trainable_variables)
    weights = sum(weight.size for weight in model.get_weights())
    state = sum(int(np.prod(v.shape)) for v in model.optimizer.variables if len(v.shape))
    state -= 12 if "lazy_optimization" in names else 0  # one number a row
    state -= len(model.trainable_variables) if "gradient_accumulation" in names else 0
    assert state == weights * (2 + sum(SLOTS.get(name, 0) for name in names))
