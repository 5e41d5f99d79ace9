"""keras-hub's GPT2CausalLM on TensorFlow with its samplers, for ../generation.py.

Without a preprocessor, prompts come padded up to the length of the whole text, as it asks for.
"""

import os
import sys

import generation_child as child

os.environ["KERAS_BACKEND"] = "tensorflow"
XLA = True
CACHED = True
TELLS = False
MODELS = ["gpt2"]


def import_all():
    global np, keras, keras_hub
    import keras
    import keras_hub
    import numpy as np


def versions():
    import tensorflow as tf

    return {
        "keras_hub": keras_hub.__version__,
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
    }


def make_writer(request, config):
    keras.config.set_dtype_policy(request["precision"])
    backbone = keras_hub.models.GPT2Backbone(
        vocabulary_size=config["vocab_size"],
        num_layers=config["num_hidden_layers"],
        num_heads=config["num_attention_heads"],
        hidden_dim=config["hidden_size"],
        intermediate_dim=config["intermediate_size"],
        max_sequence_length=child.WINDOW,
    )
    model = keras_hub.models.GPT2CausalLM(backbone, preprocessor=None)
    samplers, beams = keras_hub.samplers, request["beams"]
    sampler = samplers.BeamSampler(num_beams=beams) if beams > 1 else samplers.GreedySampler()
    model.compile(sampler=sampler, jit_compile=request["xla"])

    def write(rows, new, tell=None):
        tokens = np.pad(np.asarray(rows, "int32"), ((0, 0), (0, new)))
        mask = np.arange(tokens.shape[1]) < tokens.shape[1] - new
        inputs = {"token_ids": tokens, "padding_mask": np.repeat(mask[None], len(rows), 0)}
        found = model.generate(inputs, stop_token_ids=None)["token_ids"]
        return found[:, -new:].tolist()

    return write


if __name__ == "__main__":
    child.serve(sys.modules[__name__])
