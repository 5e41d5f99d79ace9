"""Every recorded BERT of Hugging Face transformers: a folder in, outputs equal."""

import json

import keras
import numpy as np
import pytest

from bert4keras_ext.models import build_transformer_model
from tests.shared import oracle

FOLDER = oracle("hf")
CASES = {case["name"]: case for case in json.loads((FOLDER / "index.json").read_text())}
BERT = [name for name in CASES if name.startswith("bert")]
TOLERANCE = 2e-5
# The recorded output, and the keyword that makes ours the same thing (logits are raw).
HEADS = {
    "out_pooler_output": {"with_pool": True},
    "out_seq_relationship_logits": {"with_nsp": "linear"},
    "out_logits": {"with_mlm": "linear"},
    "out_prediction_logits": {"with_mlm": "linear"},
    "out_last_hidden_state": {},
}


def compare(name, output, kwargs):
    recorded = np.load(FOLDER / name / "io.npz")
    builder = build_transformer_model(FOLDER / name, return_keras_model=False, **kwargs)
    model = builder.model
    if output == "out_last_hidden_state":  # a language model has a head: look inside
        last = f"Transformer-{builder.num_hidden_layers - 1}-FeedForward-Norm"
        model = keras.Model(model.inputs, builder.layers[last].output)
    found = model.predict_on_batch([recorded["in_input_ids"], recorded["in_token_type_ids"]])
    difference = np.abs(found - recorded[output])
    if difference.ndim == 3:
        difference = difference[recorded["in_attention_mask"] == 1]
    assert difference.max() <= TOLERANCE


@pytest.mark.parametrize(
    "name, output",
    [(name, key) for name in BERT for key in CASES[name]["arrays"] if key in HEADS],
)
def test_equals_transformers(name, output):
    compare(name, output, HEADS[output])


def test_both_files_of_a_folder_hold_the_same_model():
    for name in ("bert_model", "bert_mlm", "bert_pretraining"):
        weights = [
            build_transformer_model(FOLDER / name, FOLDER / name / file).get_weights()
            for file in ("model.safetensors", "pytorch_model.bin")
        ]
        for a, b in zip(*weights):
            np.testing.assert_array_equal(a, b)
