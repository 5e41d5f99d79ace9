"""Every recorded BERT of Hugging Face transformers: a folder in, outputs equal."""

import numpy as np
import pytest

from bert4keras_ext.models import build_transformer_model
from tests.models.recorded_models import (
    HUGGING_FACE,
    check_hugging_face_case,
    hugging_face_cases,
)

BERT = {name: case for name, case in hugging_face_cases().items() if name.startswith("bert")}
# The recorded output, and the keyword that makes ours the same thing (logits are raw).
HEADS = {
    "out_pooler_output": {"with_pool": True},
    "out_seq_relationship_logits": {"with_nsp": "linear"},
    "out_logits": {"with_mlm": "linear"},
    "out_prediction_logits": {"with_mlm": "linear"},
    "out_last_hidden_state": {},
}


@pytest.mark.parametrize(
    "name, output", [(name, key) for name in BERT for key in BERT[name]["arrays"] if key in HEADS]
)
def test_equals_transformers(name, output):
    layers = np.load(HUGGING_FACE / name / "io.npz")["out_hidden_states"].shape[0] - 1
    # A language model has a head: the states are looked for inside.
    last = f"Transformer-{layers - 1}-FeedForward-Norm" if "last_hidden" in output else None
    mask = (
        None if output in ("out_pooler_output", "out_seq_relationship_logits") else "attention_mask"
    )
    check_hugging_face_case(
        name, output, ["input_ids", "token_type_ids"], last, mask, **HEADS[output]
    )


def test_both_files_of_a_folder_hold_the_same_model():
    for name in ("bert_model", "bert_mlm", "bert_pretraining"):
        weights = [
            build_transformer_model(HUGGING_FACE / name, HUGGING_FACE / name / file).get_weights()
            for file in ("model.safetensors", "pytorch_model.bin")
        ]
        for a, b in zip(*weights):
            np.testing.assert_array_equal(a, b)
