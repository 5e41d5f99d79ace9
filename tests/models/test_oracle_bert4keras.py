"""Every recorded BERT of bert4keras: checkpoint in, outputs equal."""

import json

import keras
import numpy as np
import pytest

from bert4keras_ext.models import build_transformer_model
from tests.shared import oracle

FOLDER = oracle("bert4keras", "models")
CASES = {case["name"]: case for case in json.loads((FOLDER / "index.json").read_text())}
BERT = [name for name, case in CASES.items() if case["model"] in ("bert", "roberta")]
# Float32 rounding through two layers is about 2e-6 here; the issue asks for 2e-5.
TOLERANCE = 2e-5


def load_case(name):
    """(builder with the recorded weights, inputs, outputs)."""
    case, folder = CASES[name], FOLDER / name
    recorded = np.load(folder / "io.npz")
    inputs = [recorded[k] for k in sorted(recorded) if k.startswith("in_")]
    outputs = [recorded[k] for k in sorted(recorded) if k.startswith("out_")]
    kwargs, checkpoint = dict(case["kwargs"]), None
    if case["checkpoint"]:
        checkpoint = FOLDER / case["checkpoint"] / "model.ckpt"
    else:  # conditional layer normalization: weights in io.npz, by layer
        condition = keras.Input((inputs[2].shape[-1],), name="Condition")
        kwargs = {"layer_norm_cond": condition, "additional_input_layers": condition}
    builder = build_transformer_model(
        folder / "config.json", checkpoint, model=case["model"], application=case["application"],
        return_keras_model=False, **kwargs,
    )  # fmt: skip
    for key in [k for k in recorded if k.startswith("w/")]:
        _, layer, index = key.split("/")
        builder.layers[layer].weights[int(index)].assign(recorded[key])
    return builder, inputs, outputs


@pytest.mark.parametrize("name", BERT)
def test_equals_bert4keras(name):
    builder, inputs, outputs = load_case(name)
    found = builder.model.predict_on_batch(inputs if len(inputs) > 1 else inputs[0])
    found = found if isinstance(found, list) else [found]
    assert [x.shape for x in found] == [x.shape for x in outputs]
    for ours, theirs in zip(found, outputs):
        assert np.abs(ours - theirs).max() <= TOLERANCE


@pytest.mark.parametrize("name", [n for n in BERT if CASES[n].get("layer_weights")])
def test_layers_and_weights_have_bert4keras_names_and_order(name):
    case = CASES[name]
    builder, _, _ = load_case(name)
    assert [x.name for x in builder.inputs] == case["input_names"]
    ours = {layer: [list(w.shape) for w in getattr(item, "weights", ())]
            for layer, item in builder.layers.items()}  # fmt: skip
    assert {layer: shapes for layer, shapes in ours.items() if shapes} == case["layer_weights"]
    assert builder.model.count_params() == case["params"]


def test_all_28_recorded_berts_were_compared():
    assert len([name for name in BERT if name != "roberta"]) == 27 and "roberta" in BERT
