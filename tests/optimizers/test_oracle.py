"""Every recorded trajectory of bert4keras; where bert4keras is wrong, a replay of the rule."""

import functools
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from bert4keras_ext import optimizers
from tests.optimizers import replay
from tests.shared import oracle

FOLDER = oracle("bert4keras")
CASES = {
    name: (file, case)
    for file in ("optimizers_tf2", "optimizers_tfkeras")
    for name, case in json.loads((FOLDER / f"{file}.json").read_text()).items()
}
DEFECTS = ("extend_with_lookahead", "extend_with_gradient_accumulation")


def has_defect(case):
    return any(extension["fn"] in DEFECTS for extension in case["extensions"])


@functools.cache
def recorded(file):
    with np.load(FOLDER / f"{file}.npz") as arrays:
        return dict(arrays)


def starts(arrays):
    return [value for key, value in arrays.items() if key.startswith("init/")]


def make(case):
    cls, kwargs = getattr(optimizers, case["base"]), dict(case["base_kwargs"])
    for extension in case["extensions"]:
        cls = getattr(optimizers, extension["fn"])(cls)
        kwargs.update(extension["kwargs"])
    return cls(**kwargs)


def variables_of(case, arrays):
    made = []
    for name, start in zip(case["variables"], starts(arrays)):
        layer, weight = name.removesuffix(":0").split("/")
        with keras.name_scope(layer):
            made.append(keras.Variable(start, name=weight))
    return made


def train(name, jit=False, sparse=False):
    """(optimizer, variables, [for each variable its values after each step])."""
    file, case = CASES[name]
    arrays = recorded(file)
    optimizer, variables = make(case), variables_of(case, arrays)
    optimizer.build(variables)

    @tf.function(jit_compile=jit)
    def step(first, *others):
        first = tf.IndexedSlices(*first) if sparse else first
        optimizer.apply([first, *others], variables)

    path = []
    for t in range(20):
        gradients = [arrays[f"{name}/g_{i}"][t] for i in range(len(variables))]
        if sparse:
            gradients[0] = as_slices(gradients[0], arrays["ids"][t].ravel())
        step(*tf.nest.map_structure(tf.constant, gradients))
        path.append([variable.numpy() for variable in variables])
    return optimizer, variables, list(zip(*path))


def as_slices(gradient, rows):
    """(values, rows, shape) with a value for every occurrence of a row, as embeddings make them."""
    counts = np.bincount(rows, minlength=len(gradient))[rows]
    return gradient[rows] / counts[:, None].astype("float32"), rows, gradient.shape


def check(found, wanted):
    # Relative to the largest weight: twenty float32 updates, each off by a few 2^-24 of it.
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())


RIGHT = [name for name, (_, case) in CASES.items() if not has_defect(case)]


@pytest.mark.parametrize("name", RIGHT)
def test_trajectories(name):
    file, case = CASES[name]
    optimizer, variables, paths = train(name)
    for i, path in enumerate(paths):
        check(path, recorded(file)[f"{name}/w_{i}"])
    if f"{name}/ema_0" in recorded(file):
        optimizer.apply_ema_weights()
        check(variables[0].numpy(), replayed(name, 0)[1][-1] / (1 - 0.9**20))
        for i, variable in enumerate(variables[1:], 1):
            # Not the embedding: bert4keras averages twice a step where gradients are sparse.
            check(variable.numpy(), recorded(file)[f"{name}/ema_{i}"])
        optimizer.reset_old_weights()
        for path, variable in zip(paths, variables):
            np.testing.assert_array_equal(variable.numpy(), path[-1])


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("name", ["adam_lz", "adam_wd_lz", "adam_wd_pl_lz"])
def test_sparse_gradients_give_lazy_trajectories(name, jit):
    *_, paths = train(name, sparse=True, jit=jit)
    for i, path in enumerate(paths):
        check(path, recorded("optimizers_tf2")[f"{name}/w_{i}"])


def replayed(name, i):
    _, case = CASES[name]
    kwargs = {k: v for extension in case["extensions"] for k, v in extension["kwargs"].items()}
    matched = any(part in case["variables"][i] for part in ("Norm", "bias"))
    arrays = recorded("optimizers_tf2")
    return replay.run(
        replay.adam() if case["base"] == "Adam" else replay.lion(),
        case["base_kwargs"]["learning_rate"],
        starts(arrays)[i],
        arrays[f"{name}/g_{i}"],
        wd=0 if matched else kwargs.get("weight_decay_rate", 0),
        adapt="exclude_from_layer_adaptation" in kwargs and not matched,
        schedule=kwargs.get("lr_schedule"),
        k=kwargs.get("grad_accum_steps", 1),
        lookahead="slow_step_size" in kwargs
        and (kwargs["steps_per_slow_update"], kwargs["slow_step_size"]),
        ema=kwargs.get("ema_momentum"),
    )


@pytest.mark.parametrize("name", [name for name in CASES if name not in RIGHT])
def test_the_right_rule_where_bert4keras_is_wrong(name):
    optimizer, _, paths = train(name)
    for i, path in enumerate(paths):
        weights, averages = replayed(name, i)
        check(path, weights)
        if hasattr(optimizer, "ema_weights"):
            check(optimizer.ema_weights[i].numpy(), averages[-1])


def test_the_replay_is_the_recorded_rule():
    """Where bert4keras is right, the replay agrees with it: so it may judge the rest."""
    for name in ("adam_wd_la_pl", "lion_wd", "adam_wd_pl_em"):
        for i in range(5):
            check(replayed(name, i)[0], recorded("optimizers_tf2")[f"{name}/w_{i}"])
