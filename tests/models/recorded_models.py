"""Recorded models of bert4keras and of Hugging Face transformers, and how ours compare."""

import json

import keras
import numpy as np

from bert4keras_ext.models import build_transformer_model
from tests.shared import oracle

BERT4KERAS = oracle("bert4keras", "models")
HUGGING_FACE = oracle("hf")
# Float32 rounding through two to four layers is 1e-6 to 1e-5 in the recordings themselves.
TOLERANCE = 5e-5
# (source, case, output, largest difference): printed as a table at the end of a run.
RESULTS = []


def bert4keras_cases():
    return {case["name"]: case for case in json.loads((BERT4KERAS / "index.json").read_text())}


def hugging_face_cases():
    return {case["name"]: case for case in json.loads((HUGGING_FACE / "index.json").read_text())}


def load_bert4keras_case(name, **kwargs):
    """(builder with the recorded weights, inputs, outputs)."""
    case, folder = bert4keras_cases()[name], BERT4KERAS / name
    recorded = np.load(folder / "io.npz")
    inputs = [recorded[k] for k in sorted(recorded) if k.startswith("in_")]
    outputs = [recorded[k] for k in sorted(recorded) if k.startswith("out_")]
    kwargs, checkpoint = {**case["kwargs"], **kwargs}, None
    if case["checkpoint"]:
        checkpoint = BERT4KERAS / case["checkpoint"] / "model.ckpt"
    else:  # conditional layer normalization: weights in io.npz, by layer
        condition = keras.Input((inputs[2].shape[-1],), name="Condition")
        kwargs |= {"layer_norm_cond": condition, "additional_input_layers": condition}
    builder = build_transformer_model(
        folder / "config.json", checkpoint, model=case["model"], application=case["application"],
        return_keras_model=False, **kwargs,
    )  # fmt: skip
    for key in [k for k in recorded if k.startswith("w/")]:
        _, layer, index = key.split("/")
        builder.layers[layer].weights[int(index)].assign(recorded[key])
    return builder, inputs, outputs


def check_bert4keras_case(name, tolerance=TOLERANCE):
    """Loads a recorded case and compares outputs, layer names, order and shapes of weights."""
    case = bert4keras_cases()[name]
    builder, inputs, outputs = load_bert4keras_case(name)
    found = builder.model.predict_on_batch(inputs if len(inputs) > 1 else inputs[0])
    found = found if isinstance(found, list) else [found]
    assert [x.shape for x in found] == [x.shape for x in outputs]
    for i, (ours, theirs) in enumerate(zip(found, outputs)):
        report("bert4keras", name, f"out_{i}", ours - theirs, tolerance)
    if case.get("layer_weights"):
        assert [x.name for x in builder.inputs] == case["input_names"]
        ours = {layer: [list(w.shape) for w in getattr(item, "weights", ())]
                for layer, item in builder.layers.items()}  # fmt: skip
        assert {layer: shapes for layer, shapes in ours.items() if shapes} == case["layer_weights"]
        assert builder.model.count_params() == case["params"]


def check_hugging_face_case(name, output, inputs, layer=None, mask=None, **kwargs):
    """Builds a recorded folder and compares one output where the mask is 1.

    Args:
        name: the folder.
        output: the array of io.npz to compare with.
        inputs: names of the arrays to feed, without "in_".
        layer: name of the layer whose output it is; None is the model's output.
        mask: name of the mask, without "in_"; None compares everywhere.
        **kwargs: of build_transformer_model.
    """
    recorded = np.load(HUGGING_FACE / name / "io.npz")
    builder = build_transformer_model(HUGGING_FACE / name, return_keras_model=False, **kwargs)
    model = builder.model
    if layer is not None:
        model = keras.Model(model.inputs, builder.layers[layer].output)
    arrays = [recorded[f"in_{key}"] for key in inputs]
    found = model.predict_on_batch(arrays if len(arrays) > 1 else arrays[0])
    assert found.shape == recorded[output].shape
    difference = found - recorded[output]
    if mask is not None:
        difference = difference[recorded[f"in_{mask}"] == 1]
    report("transformers", name, output, difference, TOLERANCE)
    return builder


def not_compared():
    """Recorded cases that no test has compared yet, but those of families that are not built."""
    cases = {("bert4keras", name) for name in bert4keras_cases()}
    cases |= {
        ("transformers", name)
        for name in hugging_face_cases()
        if not name.startswith(("llama", "qwen2"))
    }
    return sorted(cases - {(source, name) for source, name, _, _ in RESULTS})


def report(source, name, output, difference, tolerance):
    """Keeps the largest difference for the table, and asserts that it is small."""
    largest = float(np.abs(difference).max())
    RESULTS.append((source, name, output, largest))
    assert largest <= tolerance, f"{source} {name} {output}: {largest:.1e} > {tolerance:.0e}"
