"""What every family must do: train in every mode, be saved and loaded, write what it reads."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest

from bert4keras_ext.backend import set_precision, set_recompute
from bert4keras_ext.checkpoints import save_checkpoint
from bert4keras_ext.checkpoints.names import tables_if_known
from bert4keras_ext.models.registry import MODELS
from bert4keras_ext.optimizers import Adam
from tests.models.families import FAMILIES, build, inputs_of, predict, randomize
from tests.sweeps import some_of

FORMATS = [
    (model, source)
    for model in FAMILIES
    for source in ["native", *(t.source for t in tables_if_known(MODELS[model].family))]
]
KNOWN = list(FAMILIES)
# One of each kind of encoder, decoder and both.
FEW = ("bert", "roformer", "gpt2", "t5.1.1")


def toy_task(builder):
    """(inputs, labels) of the first output: copy the token, one class a token, or regress."""
    arrays = inputs_of(builder, rows=16)
    tokens = arrays[-1] if "Decoder" in builder.model.inputs[-1].name else arrays[0]
    return arrays, tokens


def compiled(model, **kwargs):
    """Trains every output: a language model to copy its tokens, others towards a target."""
    if model.output.shape[-1] == 40:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    else:
        loss = "mse"
    model.compile(Adam(1e-2), loss, **kwargs)
    # As fit does, and train_on_batch does not: else TensorFlow traces the step twice.
    model.optimizer.build(model.trainable_variables)
    return model


def targets(model, tokens):
    width = model.output.shape[-1]
    if width == 40:
        return tokens
    shape = list(model.output.shape[1:])
    if len(shape) == 1 and shape[0] is None:  # one number a token
        return (tokens % 2).astype("float32")
    return np.tile((tokens % 2)[..., None], (1, 1, width)).astype("float32")


def losses(builder, steps=12, **kwargs):
    arrays, tokens = toy_task(builder)
    model = compiled(builder.model, **kwargs)
    wanted = targets(model, tokens)
    arrays = arrays if len(arrays) > 1 else arrays[0]
    found = []
    for _ in range(steps):
        model.reset_metrics()  # Keras 3.12 returns the mean of all batches so far
        found.append(float(model.train_on_batch(arrays, wanted)))
    return found


MODES = {
    "float32": {},
    "mixed_bfloat16": {"precision": "mixed_bfloat16"},
    "xla": {"jit_compile": True},
    "recompute": {"recompute": True},
}


@pytest.mark.parametrize(
    "model, mode",
    some_of(
        [(model, mode) for model in KNOWN for mode in MODES],
        *[(model, "float32") for model in FEW],
        ("bert", "mixed_bfloat16"),
        ("bert", "recompute"),
    ),
)
def test_fine_tunes(model, mode):
    options = dict(MODES[mode])
    set_precision(options.pop("precision", "float32"))
    set_recompute(options.pop("recompute", False))
    found = losses(build(model), jit_compile=options.get("jit_compile", False))
    assert np.all(np.isfinite(found))
    assert found[-1] < 0.9 * found[0], found


# Softmax ignores what a key's bias adds alike to all scores of a row.
NO_GRADIENT = ("k/bias",)


@pytest.mark.parametrize("model", some_of(KNOWN, *FEW))
def test_gradients_reach_every_trainable_weight(model):
    import tensorflow as tf

    builder = build(model)
    randomize(builder)
    arrays = [tf.convert_to_tensor(x) for x in inputs_of(builder)]
    with tf.GradientTape() as tape:
        outputs = builder.model(arrays if len(arrays) > 1 else arrays[0], training=True)
        total = sum(tf.reduce_sum(tf.cos(x)) for x in keras.tree.flatten(outputs))
    weights = builder.model.trainable_weights
    for weight, gradient in zip(weights, tape.gradient(total, [w.value for w in weights])):
        assert gradient is not None, weight.path
        gradient = tf.convert_to_tensor(gradient)
        assert np.all(np.isfinite(gradient)), weight.path
        if not weight.path.endswith(NO_GRADIENT):
            assert np.any(gradient.numpy() != 0), weight.path


@pytest.mark.parametrize("model, source", some_of(FORMATS, *[x for x in FORMATS if x[0] in FEW]))
def test_what_is_written_is_read_again(model, source, tmp_path):
    first, second = build(model), build(model)
    randomize(first, seed=1)
    randomize(second, seed=2)
    if model == "albert_unshared" and source != "native":
        _share(first)  # the published names hold one layer for all
    path = tmp_path / ("model.ckpt" if source == "tensorflow" else "folder")
    save_checkpoint(first, path, format=source)
    report = second.load_weights_from_checkpoint(path)
    assert not report.unused and not report.missing, report
    for name, variable in first.named_weights().items():
        found = second.named_weights()[name].numpy()
        np.testing.assert_array_equal(found, variable.numpy(), err_msg=name)
    arrays = inputs_of(first)
    for a, b in zip(predict(first, arrays), predict(second, arrays)):
        np.testing.assert_array_equal(a, b)


def _share(builder):
    weights = builder.named_weights()
    for name, variable in weights.items():
        if name.startswith("Transformer-1-"):
            variable.assign(weights[name.replace("-1-", "-0-", 1)])


LOAD_ALL = """
import sys, json, numpy as np, keras
import bert4keras_ext
for name in json.loads(sys.argv[2]):
    model = keras.models.load_model(f"{sys.argv[1]}/{name}.keras")
    arrays = np.load(f"{sys.argv[1]}/{name}.npz")
    inputs = [arrays[k] for k in sorted(arrays) if k.startswith("in")]
    found = model.predict_on_batch(inputs if len(inputs) > 1 else inputs[0])
    np.testing.assert_allclose(found, arrays["out"], atol=1e-6, rtol=1e-6, err_msg=name)
"""


@pytest.mark.exhaustive
def test_keras_files_load_in_a_fresh_process(tmp_path):
    for model in KNOWN:
        builder = build(model)
        randomize(builder)
        arrays = inputs_of(builder)
        (outputs,) = predict(builder, arrays)
        builder.model.save(tmp_path / f"{model}.keras")
        np.savez(
            tmp_path / f"{model}.npz", out=outputs, **{f"in{i}": x for i, x in enumerate(arrays)}
        )
    run = subprocess.run(
        [sys.executable, "-c", LOAD_ALL, str(tmp_path), json.dumps(KNOWN)],
        capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-2000:]


@pytest.mark.parametrize("model", some_of(KNOWN, *FEW))
def test_padding_changes_nothing_at_real_places(model):
    builder = build(model)
    randomize(builder)
    arrays = inputs_of(builder, rows=2, length=8)
    longer = [np.pad(x, ((0, 0), (0, 3))) for x in arrays]
    (a,), (b,) = predict(builder, arrays), predict(builder, longer)
    real = arrays[-1 if len(arrays) == 2 and "Decoder" in builder.inputs[-1].name else 0] != 0
    # float32 eps times two layers of width 24, values up to about 30
    np.testing.assert_allclose(a[real], b[:, :8][real], atol=1e-4, rtol=1e-4)
