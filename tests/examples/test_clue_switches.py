"""Switches of a recipe: what they build, and that a killed run goes on as if it had not been."""

import json
import sys
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from running import ROOT, run_here

sys.path += [str(ROOT / "examples"), str(ROOT / "examples" / "clue")]
import arguments
import config
import finetuning
import folds
import pretrained
import tnews

from bert4keras_ext.data import write_jsonl
from bert4keras_ext.models import build_transformer_model
from bert4keras_ext.training.resume import _Keeper

TITLES = [{"label": str(n % 2), "sentence": f"第{n}条"} for n in range(18)]

# ---- optimizers -----------------------------------------------------------------------------


def optimizer(steps=100, **recipe):
    return finetuning.optimizer(SimpleNamespace(learning_rate=1e-3, **recipe), steps)


def test_without_a_recipe_it_is_adam_with_warm_up():
    plain = optimizer()
    assert type(plain).__name__ == "Adam"
    rate = plain._learning_rate
    assert (rate.total_steps, rate.warmup_steps, rate.learning_rate) == (100, 10, 1e-3)


def test_a_whole_recipe():
    made = optimizer(optimizer="adamw", accumulate=3, ema=0.9, layer_decay=0.5)
    config = made.get_config()
    assert (config["grad_accum_steps"], config["ema_momentum"], config["layer_lr_decay"],
            config["weight_decay_rate"]) == (3, 0.9, 0.5, 0.01)  # fmt: skip
    assert made._learning_rate.total_steps == 33  # updates


def test_adafactor_is_clue_bert4keras():
    made = optimizer(optimizer="adafactor", accumulate=2)
    assert float(made.learning_rate) == pytest.approx(1e-3)  # one rate
    assert made.beta1 == 0.9 and made.min_dim_size_to_factor == 10**6 and made.grad_accum_steps == 2


@pytest.mark.parametrize("steps", [0, 1, 2, 5])
def test_more_accumulation_than_steps(steps):
    assert optimizer(steps, accumulate=9)._learning_rate.total_steps == 1


def test_rates_of_the_layers():
    """One step of Adam moves each weight by its own rate: by plain arithmetic."""
    encoder = small_encoder()
    model = config.classifier(encoder, 2, args_of())
    made = optimizer(optimizer="adam", layer_decay=0.5)
    made.build(model.trainable_variables)
    before = [np.array(v) for v in model.trainable_variables]
    rates = {}
    made.apply_gradients([(np.ones(v.shape, "float32"), v) for v in model.trainable_variables])
    for variable, old in zip(model.trainable_variables, before):
        moved = np.abs(np.array(variable) - old).mean() / 1e-4  # the first step of ten to warm up
        rates.setdefault(variable.path.split("/")[0], moved)
    expected = {"Embedding-Token": 0.5**3, "Label": 1.0,
                "Transformer-0-MultiHeadSelfAttention": 0.25,
                "Transformer-1-FeedForward": 0.5}  # fmt: skip
    for name, rate in expected.items():
        assert rates[name] == pytest.approx(rate, rel=2e-3), name


# ---- head -----------------------------------------------------------------------------------


def args_of(**changes):
    return SimpleNamespace(**{"pooling": "first", "multi_sample_dropout": 0, **changes})


def small_encoder():
    keras.utils.set_random_seed(0)
    sizes = {**pretrained.TINY_BERT, "num_hidden_layers": 2, "vocab_size": 9, "max_position": 8}
    return build_transformer_model(sizes, return_keras_model=False)


def test_multi_sample_dropout_predicts_as_one_and_trains_as_their_mean():
    encoder = small_encoder()
    inputs = np.array([[2, 5, 6, 3]]), np.zeros((1, 4), int)
    model = keras.Model(encoder.model.inputs, config.score(encoder, 3, args_of()))
    many = keras.Model(
        encoder.model.inputs, config.score(encoder, 3, args_of(multi_sample_dropout=5))
    )
    many.get_layer("Label").set_weights(model.get_layer("Label").get_weights())
    np.testing.assert_allclose(many(inputs), model(inputs), rtol=1e-5, atol=1e-6)

    pooled = keras.Model(encoder.model.inputs, many.get_layer("Pooling").output)
    each = [layer.output for layer in many.layers if "Label-Dropout" in layer.name]
    assert len(each) == 5
    parts = keras.Model(encoder.model.inputs, [*each, many.output])
    *dropped, mean = (np.array(x) for x in parts(inputs, training=True))
    kernel, bias = many.get_layer("Label").get_weights()
    np.testing.assert_allclose(mean, np.mean(dropped, axis=0) @ kernel + bias, rtol=1e-4, atol=1e-6)
    assert len({(row == 0).tobytes() for row in dropped}) > 1  # not one dropout, five times
    assert pooled(inputs).shape == (1, 16)


# ---- flags ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [("--ema", "1"), ("--layer-decay", "0"), ("--layer-decay", "1.5"), ("--folds", "0"),
     ("--accumulate", "0"), ("--multi-sample-dropout", "-1")],
)  # fmt: skip
def test_bad_flags(monkeypatch, capsys, words):
    monkeypatch.setattr(sys, "argv", ["tnews.py", *words])
    with pytest.raises(SystemExit):
        tnews.read_arguments()
    assert f"argument {words[0]}: expected" in capsys.readouterr().err


def test_rates_by_optimizer(monkeypatch, tmp_path):
    def rate(*words):
        monkeypatch.setattr(sys, "argv", ["tnews.py", "--out", str(tmp_path), *words])
        return tnews.read_arguments().learning_rate

    assert (rate(), rate("--optimizer", "adafactor")) == (5e-5, 5e-4)
    assert rate("--optimizer", "adafactor", "--learning-rate", "0") == 0
    assert arguments.decay("0.5") == 0.5


def test_scripts_with_a_head_of_their_own_have_no_flags_for_this_one(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sys, "argv", ["own.py", "--out", str(tmp_path), "--folds", "2"])
    with pytest.raises(SystemExit):
        arguments.read_arguments("own", "", 1)
    assert "unrecognized arguments: --folds" in capsys.readouterr().err


# ---- resumed runs ---------------------------------------------------------------------------


class Killed(BaseException):
    """Nothing of the program catches it."""


@pytest.fixture
def data(tmp_path):
    write_jsonl(tmp_path / "data" / "train.json", TITLES)
    write_jsonl(tmp_path / "data" / "dev.json", TITLES[:9])
    return tmp_path / "data"


def check_resumes(data, monkeypatch, kill_at, *words):
    """A run that ends with the `kill_at`-th state it saves, and goes on, is like a whole one."""
    write, saved = _Keeper.write, []

    def write_and_die(keeper):
        write(keeper)
        saved.append(keeper.step)
        if len(saved) == kill_at:
            raise Killed

    def run(out, *more):
        flags = ["--smoke", "--data", data, "--epochs", 2, "--batch-size", 4, "--save-steps", 1]
        run_here(tnews, *flags, *words, "--out", out, *more, monkeypatch=monkeypatch)
        return json.loads((out / "results.json").read_text(encoding="utf-8"))

    cut, whole = data.parent / "cut", data.parent / "whole"
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(_Keeper, "write", write_and_die)
        run(cut)
    assert len(saved) == kill_at and saved[-1] > 0 and not (cut / "results.json").exists()
    found, wanted = run(cut, "--resume"), run(whole)
    assert found["score"] == wanted["score"] and found["task"] == "tnews"
    for name in ("tnews_predict.json",):
        assert (cut / name).read_text() == (whole / name).read_text()
    states = sorted(path.relative_to(whole) for path in whole.rglob("state.npz"))
    for path in states:
        with np.load(cut / path) as x, np.load(whole / path) as y:
            assert x.files == y.files
            for key in set(x.files) - {"notes"}:
                np.testing.assert_array_equal(x[key], y[key])
    return cut, whole, found


def weights_of(path):
    import h5py

    with h5py.File(path) as file:
        found = {}
        file.visititems(lambda name, x: found.update({name: x[()]} if hasattr(x, "shape") else {}))
    return found


def test_a_killed_run_with_all_switches(data, monkeypatch):
    """Killed in the middle of a group of accumulated batches, with averages under way."""
    cut, whole, _ = check_resumes(
        data, monkeypatch, 8, "--optimizer", "adamw", "--accumulate", 3, "--ema", 0.8,
        "--multi-sample-dropout", 2, "--layer-decay", 0.8, "--learning-rate", 0.01,
    )  # fmt: skip
    found, wanted = (weights_of(folder / "best.weights.h5") for folder in (cut, whole))
    assert found.keys() == wanted.keys() and len(found) > 5
    for name, value in wanted.items():
        np.testing.assert_array_equal(found[name], value)


def test_what_is_kept_are_the_averages(data, monkeypatch, tmp_path):
    words = ("--smoke", "--data", data, "--epochs", 1, "--batch-size", 4, "--out", tmp_path / "out")
    rates = ("--learning-rate", 0.01, "--ema", 0.8)
    run_here(tnews, *words, *rates, monkeypatch=monkeypatch)
    kept = weights_of(tmp_path / "out" / "best.weights.h5")
    with np.load(tmp_path / "out" / "state.npz") as state:
        arrays = [state[key] for key in state.files if key.startswith("array_")]
    [kernel] = [value for value in kept.values() if value.shape == (16, 2)]
    weight, *slots = [array for array in arrays if array.shape == (16, 2)]
    assert not np.array_equal(kernel, weight)
    steps = 5  # of 18 rows in batches of 4
    assert any(np.allclose(kernel, slot / (1 - 0.8**steps), rtol=1e-4) for slot in slots)


@pytest.mark.exhaustive
@pytest.mark.parametrize("kill_at", [2, 5])
@pytest.mark.parametrize(
    "words",
    ["--ema 0.8", "--accumulate 2", "--multi-sample-dropout 3", "--layer-decay 0.7",
     "--optimizer adamw", "--optimizer adafactor"],
)  # fmt: skip
def test_a_killed_run_with_one_switch(data, monkeypatch, words, kill_at):
    check_resumes(data, monkeypatch, kill_at, *words.split())


# ---- folds ----------------------------------------------------------------------------------


@pytest.mark.parametrize("size, number", [(10, 2), (11, 3), (5, 5)])
def test_each_row_is_held_out_once(size, number):
    rows = list(range(100, 100 + size))
    held_out = []
    for fold in range(number):
        kept, out = folds.split(rows, number, fold, seed=3)
        assert sorted(kept + out) == rows and kept == sorted(kept)
        held_out += out
    assert sorted(held_out) == rows
    assert folds.split(rows, number, 0, seed=3) == folds.split(rows, number, 0, seed=3)


def test_too_many_folds():
    with pytest.raises(SystemExit, match="--folds 4: expected at most as many folds as rows.* 3"):
        folds.split([1, 2, 3], 4, 0, seed=0)


def test_folds_begin_alike_and_are_averaged(tmp_path):
    encoder, begins = small_encoder(), []
    variables = encoder.model.variables

    def fit(args, train, held_out):
        begins.append(([np.array(v) for v in variables], np.random.rand()))
        assert args.out.is_dir() and len(train.data) == 4 and len(held_out.data) == 2
        for variable in variables:
            variable.assign(variable + 1)
        return len(begins)

    class Rows(config.Batches):
        def predict(self, model):
            return np.full(2, float(model))

    args = SimpleNamespace(out=tmp_path, epochs=1, resume=False, overwrite=False, folds=3, seed=5,
                           batch_size=2)  # fmt: skip
    rows = Rows([(n, 0) for n in range(6)], None, args)
    scores = folds.train(args, encoder, fit, rows, [rows], [])
    np.testing.assert_allclose(scores[0], np.mean([1, 2, 3]))
    for state, _ in begins:
        for found, wanted in zip(state, begins[0][0]):
            np.testing.assert_array_equal(found, wanted)
    draws = [draw for _, draw in begins]
    assert len(set(draws)) == 3  # heads of their own
    folds.train(args, encoder, fit, rows, [rows], [])
    assert [draw for _, draw in begins[3:]] == draws
    assert sorted(path.name for path in tmp_path.glob("fold-*")) == ["fold-1", "fold-2", "fold-3"]


def test_folds_killed_in_the_second_one(data, monkeypatch):
    """Each is a run of its own; what is predicted is the mean of all."""
    words = ("--folds", 2, "--epochs", 1, "--learning-rate", 0.01, "--optimizer", "adafactor")
    cut, whole, results = check_resumes(data, monkeypatch, 7, *words)
    assert {path.name for path in whole.iterdir()} == {
        "fold-1", "fold-2", "results.json", "tnews_predict.json"
    }  # fmt: skip
    assert [fold["best_epoch"] for fold in results["folds"]] == [1, 1]
    first, second = (weights_of(whole / f"fold-{n}" / "best.weights.h5") for n in (1, 2))
    assert any((first[name] != second[name]).any() for name in first)

    # Predicted again, and begun anew.
    before = (whole / "tnews_predict.json").read_text()
    (whole / "tnews_predict.json").unlink()
    run = ["--smoke", "--data", data, "--batch-size", 4, *words, "--epochs", 0, "--out", whole]
    run_here(tnews, *run, monkeypatch=monkeypatch)
    assert (whole / "tnews_predict.json").read_text() == before
