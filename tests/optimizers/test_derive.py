"""The mechanism: names, recipes, files that load elsewhere, and what is refused."""

import copy
import pickle
import subprocess
import sys

import keras
import numpy as np
import pytest

from bert4keras_ext import optimizers
from bert4keras_ext.optimizers import (
    Adam,
    extend_with_exponential_moving_average,
    extend_with_gradient_accumulation,
    extend_with_lookahead,
    extend_with_piecewise_linear_lr,
    extend_with_weight_decay,
)
from bert4keras_ext.optimizers.derive import EXTENSIONS, class_of, recipe_of
from tests.optimizers.compositions import (
    ARGUMENTS,
    apply_steps,
    extended,
    make_model,
    make_optimizer,
    make_variables,
    train,
)

# What Keras says of things that are done here on purpose.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Gradients do not exist"),
]

KERAS_OWN = [
    "Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "Ftrl", "Lamb", "Lion", "Muon",
    "Nadam", "RMSprop", "SGD", "ScheduleFreeAdamW",
]  # fmt: skip
OURS = ["AdaFactor", "Adam", "LAMB", "Lion", "Tiger"]
BASES = [getattr(keras.optimizers, name) for name in KERAS_OWN if hasattr(keras.optimizers, name)]


def test_the_table_of_these_tests_is_complete():
    public = {name for name in optimizers.__all__ if name.startswith("extend_with_")}
    assert public == {f"extend_with_{name}" for name in ARGUMENTS}
    assert set(ARGUMENTS) <= set(EXTENSIONS)


@pytest.mark.parametrize("base", BASES + [getattr(optimizers, name) for name in OURS])
def test_every_optimizer_can_be_extended(base):
    names = ["piecewise_linear_lr", "gradient_accumulation", "lookahead"]
    names += ["parameter_wise_lr", "exponential_moving_average", "lazy_optimization"]
    # Not from 0: Ftrl divides by the learning rate.
    optimizer, variables = make_optimizer(names, base, lr_schedule={0: 0.5, 4: 1}), make_variables()
    start = [variable.numpy() for variable in variables]
    apply_steps(optimizer, variables, range(6))
    for before, variable in zip(start, variables):
        assert np.all(np.isfinite(variable.numpy())) and np.any(before != variable.numpy())
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert type(again) is type(optimizer)


def test_the_same_recipe_is_the_same_class():
    assert extend_with_weight_decay(Adam) is extend_with_weight_decay(Adam)
    one = extend_with_lookahead(extend_with_weight_decay(Adam), "AdamWLA")
    assert keras.saving.get_registered_object("bert4keras_ext>AdamWLA") is one
    assert type(keras.optimizers.get("bert4keras_ext>AdamWLA")) is one
    assert extend_with_lookahead(extend_with_weight_decay(Adam, "AdamW"), "AdamWLA") is one
    assert extend_with_weight_decay(extend_with_lookahead(Adam), "AdamWLA") is not one
    assert class_of(recipe_of(one)) is one and one.__name__ == "AdamWLA"
    assert recipe_of(one) == {
        "name": "AdamWLA",
        "base": "bert4keras_ext>Adam",
        "extensions": ["weight_decay", "lookahead"],
    }
    assert extend_with_lookahead(Adam).__name__ == "AdamLookahead"


def test_a_derived_class_called_adam_leaves_adam_alone():
    derived = extend_with_weight_decay(Adam, "Adam")
    assert type(keras.optimizers.deserialize(keras.optimizers.serialize(Adam()))) is Adam
    assert type(keras.optimizers.deserialize(keras.optimizers.serialize(derived()))) is derived
    keras_own = keras.optimizers.Adam()
    again = keras.optimizers.deserialize(keras.optimizers.serialize(keras_own))
    assert type(again) is keras.optimizers.Adam


ELSEWHERE = """
import sys
import keras, numpy as np
import bert4keras_ext
model = keras.models.load_model(sys.argv[1])
print(type(model.optimizer).__name__, type(model.optimizer).recipe_name)
x, y = np.load(sys.argv[2]).values()
model.fit(x, y, batch_size=4, shuffle=False, verbose=0)
np.savez(sys.argv[3], *model.get_weights())
"""


def test_a_file_loads_in_a_fresh_process_and_training_goes_on_exactly(tmp_path):
    model = make_model(make_optimizer(["weight_decay", "gradient_accumulation", "lookahead"]))
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 12, (12, 3)), rng.normal(size=(12, 2))
    model.fit(x, y, batch_size=4, shuffle=False, verbose=0)  # three batches: half a group is left
    paths = [tmp_path / name for name in ("m.keras", "data.npz", "weights.npz")]
    model.save(paths[0])
    np.savez(paths[1], x, y)
    run = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, *map(str, paths)], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr[-2000:]
    assert run.stdout.split() == ["AdamWeightDecayGradientAccumulationLookahead", "lookahead"]
    model.fit(x, y, batch_size=4, shuffle=False, verbose=0)
    with np.load(paths[2]) as weights:
        for a, b in zip(model.get_weights(), weights.values()):
            np.testing.assert_array_equal(a, b)


@keras.saving.register_keras_serializable("tests")
class Halved(keras.optimizers.SGD):
    def update_step(self, gradient, variable, learning_rate):
        super().update_step(gradient, variable, learning_rate / 2)


def test_own_classes_can_be_extended_and_derived_ones_subclassed():
    derived = extend_with_lookahead(Halved)
    assert recipe_of(derived)["base"] == "tests>Halved"
    again = keras.optimizers.deserialize(keras.optimizers.serialize(derived(0.5)))
    assert type(again) is derived

    class Mine(derived):
        pass

    assert issubclass(extend_with_weight_decay(Mine), Mine)
    with pytest.raises(ValueError, match="lookahead already"):
        extend_with_lookahead(Mine)


def saved(**changes):
    config = keras.optimizers.serialize(extended(["weight_decay"])())
    return {**config, "config": {**config["config"], "recipe": {
        **config["config"]["recipe"], **changes}}}  # fmt: skip


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"base": "nobody>Knows"}, "import the module"),
        ({"base": "keras.optimizers.deserialize"}, "expected an optimizer class"),
        ({"base": "bert4keras_ext>Embedding"}, "expected an optimizer class"),
        ({"extensions": ["time_travel"]}, "another version"),
        ({"extensions": ["lookahead", "lookahead"]}, "already"),
    ],
)
def test_a_recipe_names_optimizers_and_nothing_else(changes, words):
    with pytest.raises(ValueError, match=words):
        keras.optimizers.deserialize(saved(**changes))


@pytest.mark.parametrize(
    "base, error, words",
    [
        (Adam(), TypeError, "an instance: pass Adam itself"),
        ("adam", TypeError, "another library"),
        (keras.layers.Dense, TypeError, "another library"),
        (keras.optimizers.LossScaleOptimizer, ValueError, "extend the optimizer that goes into it"),
        (extend_with_weight_decay(Adam), ValueError, "weight_decay already"),
    ],
)
def test_what_cannot_be_extended(base, error, words):
    with pytest.raises(error, match=words):
        extend_with_weight_decay(base)


@pytest.mark.parametrize(
    "name, kwargs",
    [
        ("weight_decay", {"weight_decay_rate": -0.1}),
        ("weight_decay", {"exclude_from_weight_decay": ["("]}),
        ("weight_decay", {"exclude_from_weight_decay": [3]}),
        ("gradient_accumulation", {"grad_accum_steps": 0}),
        ("gradient_accumulation", {"grad_accum_steps": 2.5}),
        ("lookahead", {"steps_per_slow_update": 0}),
        ("lookahead", {"slow_step_size": 0}),
        ("lookahead", {"slow_step_size": 1.5}),
        ("exponential_moving_average", {"ema_momentum": 1}),
        ("exponential_moving_average", {"use_ema": True}),
        ("piecewise_linear_lr", {"lr_schedule": {2000: 0.1, 1000: 1}}),
        ("piecewise_linear_lr", {"lr_schedule": {-1: 1}}),
        ("piecewise_linear_lr", {"lr_schedule": {1.5: 1}}),
        ("piecewise_linear_lr", {"lr_schedule": {10: -1}}),
        ("piecewise_linear_lr", {"lr_schedule": {10: float("nan")}}),
        ("piecewise_linear_lr", {"lr_schedule": {}}),
        ("piecewise_linear_lr", {"lr_schedule": [1, 2]}),
        ("parameter_wise_lr", {"paramwise_lr_schedule": {"Dense": -1}}),
        ("layer_wise_lr_decay", {"layer_lr_decay": 0}),
        ("layer_wise_lr_decay", {"layer_pattern": "Transformer"}),
        ("lookahead", {"gradient_accumulation_steps": 2}),
        ("weight_decay", {"weight_decay_rate": None}),
        ("gradient_accumulation", {"grad_accum_steps": None}),
        ("lookahead", {"slow_step_size": "half"}),
        ("exponential_moving_average", {"ema_momentum": None}),
        ("piecewise_linear_lr", {"lr_schedule": {float("inf"): 1}}),
        ("lazy_optimization", {"include_in_lazy_optimization": 5}),
        ("parameter_wise_lr", {"paramwise_lr_schedule": {"Dense": None}}),
        ("weight_decay", {"weight_decay": 0.1}),
    ],
)
def test_bad_arguments(name, kwargs):
    with pytest.raises(ValueError, match="expected .*(received|regular expression)"):
        extended([name])(0.1, **kwargs)


@pytest.mark.parametrize(
    ("optimizer", "keyword", "value"),
    [
        (extended(["weight_decay"]), "exclude_from_weight_decay", ["norms", "bias"]),
        (extended(["layer_adaptation"]), "exclude_from_layer_adaptation", ["norms"]),
        (extended(["gradient_centralization"]), "exclude_from_gradient_centralization", ["norms"]),
        (extended(["lazy_optimization"]), "include_in_lazy_optimization", ["norms", "Embedding"]),
        (extended(["parameter_wise_lr"]), "paramwise_lr_schedule", {"norms": 2, "Dense": 1}),
        (extended(["layer_wise_lr_decay"]), "include_in_layer_zero", ["norms"]),
        (optimizers.AdaFactor, "exclude_from_parameter_scale", ["norms"]),
    ],
)
def test_patterns_that_match_nothing_name_the_nearest_paths(optimizer, keyword, value):
    model = make_model(optimizer(**{keyword: value}))
    message = f"{keyword}: 'norms' .* nearest are 'Transformer-0-Norm/"
    with pytest.warns(UserWarning, match=message) as record:
        model.optimizer.build(model.trainable_variables)
    assert len([each for each in record if keyword in str(each.message)]) == 1


def test_one_string_is_one_pattern():
    optimizer = extend_with_weight_decay(Adam)(exclude_from_weight_decay="Norm")
    assert optimizer.get_config()["exclude_from_weight_decay"] == ["Norm"]


def test_keras_weight_decay_follows_the_rate_of_each_weight():
    """`weight_decay` of AdamW acts inside the extensions: schedules and rates reach it."""
    cls = extend_with_piecewise_linear_lr(extended(["parameter_wise_lr"], keras.optimizers.SGD))
    optimizer = cls(
        0.5, weight_decay=0.1, lr_schedule={0: 0.5}, paramwise_lr_schedule={"variable": 0.2}
    )
    weight = keras.Variable([2.0], name="variable")
    optimizer.apply([keras.ops.zeros(1)], [weight])
    np.testing.assert_allclose(weight.numpy(), 2 - 2 * 0.5 * 0.5 * 0.2 * 0.1, rtol=1e-6)


@pytest.mark.parametrize("base", [keras.optimizers.AdamW, optimizers.Tiger])
def test_a_decay_that_a_base_has_by_default_is_not_added(base):
    with pytest.raises(ValueError, match="one decay.*pass weight_decay=0.0"):
        extend_with_weight_decay(base)(0.1)
    optimizer = extend_with_weight_decay(base)(0.1, weight_decay=0.0)
    assert optimizer.weight_decay_rate == 0.01
    assert extend_with_weight_decay(base)(0.1, weight_decay_rate=0, weight_decay=0.2).built is False


def test_keras_averages_are_of_weights_that_lookahead_has_pulled_back():
    weight = keras.Variable([0.0])
    optimizer = extend_with_lookahead(keras.optimizers.SGD)(
        1.0, steps_per_slow_update=2, slow_step_size=0.5, use_ema=True, ema_momentum=0.5
    )
    for _ in range(2):
        optimizer.apply([keras.ops.ones(1)], [weight])
    assert weight.numpy() == -1  # half of the way to -2
    optimizer.finalize_variable_values([weight])
    assert weight.numpy() == -1  # the mean of -1 and -1


def test_averages_know_when_they_are_in_use():
    cls = extend_with_exponential_moving_average(keras.optimizers.SGD)
    optimizer, weight = cls(1.0, ema_momentum=0.5), keras.Variable([4.0])
    for misuse in (optimizer.apply_ema_weights, optimizer.reset_old_weights):
        with pytest.raises(RuntimeError):
            misuse()
    for _ in range(2):
        optimizer.apply([keras.ops.ones(1)], [weight])
    optimizer.apply_ema_weights()  # (0.25 * 3 + 0.5 * 2) / (1 - 0.25)
    np.testing.assert_allclose(weight.numpy(), [7 / 3], rtol=1e-6)
    with pytest.raises(RuntimeError, match="applied already"):
        optimizer.apply_ema_weights()
    optimizer.reset_old_weights()
    np.testing.assert_array_equal(weight.numpy(), [2.0])
    optimizer.apply_ema_weights(bias_correction=False)
    np.testing.assert_allclose(weight.numpy(), [7 / 4], rtol=1e-6)


def test_accumulation_of_one_batch_is_the_base():
    cls = extend_with_gradient_accumulation(Adam)
    one, two = make_model(cls(0.1, grad_accum_steps=1)), make_model(Adam(0.1))
    assert train(one, range(3)) == train(two, range(3))


@pytest.mark.parametrize("names", [("lookahead",), tuple(ARGUMENTS)], ids=str)
def test_pickles(names):
    """A class, and an optimizer, in another process: Keras' own can be sent to one, too."""
    optimizer = make_optimizer(names)
    assert pickle.loads(pickle.dumps(type(optimizer))) is type(optimizer)
    for other in (pickle.loads(pickle.dumps(optimizer)), copy.deepcopy(optimizer)):
        assert type(other) is type(optimizer)
        assert other.get_config() == optimizer.get_config()
    assert pickle.loads(pickle.dumps(Named)) is Named


class Named(extended(["lookahead"])):
    """Its own name is in a module, so pickles need no recipe."""


@pytest.mark.parametrize("order", [[(1, 0), (1, 1)], [(1, 0), (0, 1)], [(0, 1), (1, 0)]])
def test_lookahead_of_weights_without_a_gradient_in_some_updates(order):
    """Slow weights are those of the whole model at the group's start."""
    weights = [keras.Variable(np.full(3, 10.0), name=name) for name in "ab"]
    optimizer = extended(["lookahead"], keras.optimizers.SGD)(
        0.1, steps_per_slow_update=2, slow_step_size=0.5
    )
    for group in range(2):
        for has in order:
            optimizer.apply([np.ones(3, "float32") if h else None for h in has], weights)
        for weight, updates in zip(weights, np.sum(order, 0)):
            expected = 10 - 0.05 * updates * (group + 1)
            np.testing.assert_allclose(weight.numpy(), expected, rtol=2e-6)
