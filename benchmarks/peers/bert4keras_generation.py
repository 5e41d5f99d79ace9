"""bert4keras' AutoRegressiveDecoder under tf-keras, for ../generation.py: without a cache.

Its environment is that of bert4keras_peer.py. The classes below are what its users write; of
``predict`` only the progress bar is switched off, which tf-keras has on and Keras 2.3 had off.
"""

import os
import sys

import generation_child as child

os.environ.update(TF_KERAS="1", TF_USE_LEGACY_KERAS="1")
XLA = False  # a length compiled for each token
CACHED = False
TELLS = True
MODELS = ["unilm", "mt5", "gpt2"]
KINDS = {
    "unilm": {"application": "unilm", "hidden_act": "gelu"},
    "mt5": {"model": "mt5.1.1", "hidden_act": ["gelu", "linear"], "return_keras_model": False},
    "gpt2": {"model": "gpt2", "hidden_act": "gelu"},
}


def import_all():
    global np, tf, build_transformer_model, AutoRegressiveDecoder
    import numpy as np
    import tensorflow as tf
    from bert4keras.models import build_transformer_model
    from bert4keras.snippets import AutoRegressiveDecoder


def versions():
    from importlib.metadata import version

    return {
        "bert4keras": version("bert4keras"),
        "tf_keras": version("tf_keras"),
        "tensorflow": tf.__version__,
    }


def unilm_decoder(model):
    class Decoder(AutoRegressiveDecoder):
        @AutoRegressiveDecoder.wraps(default_rtype="probas")
        def predict(self, inputs, output_ids, states):
            tokens, segments = inputs
            tokens = np.concatenate([tokens, output_ids], 1)
            segments = np.concatenate([segments, np.ones_like(output_ids)], 1)
            return predicted(self, model, [tokens, segments])

    return Decoder, lambda row: [row, [0] * len(row)], None


def gpt2_decoder(model):
    class Decoder(AutoRegressiveDecoder):
        @AutoRegressiveDecoder.wraps(default_rtype="probas")
        def predict(self, inputs, output_ids, states):
            return predicted(self, model, np.concatenate([inputs[0], output_ids], 1))

    return Decoder, lambda row: [row], None


def mt5_decoder(t5):
    class Decoder(AutoRegressiveDecoder):
        @AutoRegressiveDecoder.wraps(default_rtype="probas")
        def predict(self, inputs, output_ids, states):
            return predicted(self, t5.decoder, [inputs[0], output_ids])

    def encoded(row):
        return [t5.encoder.predict(np.array([row]), verbose=0)[0]]

    return Decoder, encoded, 0


def predicted(decoder, model, inputs):
    probabilities = decoder.last_token(model).predict(inputs, verbose=0).astype("float32")
    if decoder.tell:
        decoder.tell()
    return probabilities


DECODERS = {"unilm": unilm_decoder, "mt5": mt5_decoder, "gpt2": gpt2_decoder}


def make_writer(request, config):
    tf.keras.mixed_precision.set_global_policy(request["precision"])
    kind = KINDS[request["model"]]
    if request["model"] != "mt5":
        config["max_position_embeddings"] = child.WINDOW
    model = build_transformer_model(**{**config, **kind})
    decoder_class, inputs_of, start_id = DECODERS[request["model"]](model)
    decoder = decoder_class(start_id, end_id=-1, maxlen=request["new"])  # never ends before

    def write(rows, new, tell=None):
        decoder.tell = tell
        found = [decoder.beam_search(inputs_of(row), topk=request["beams"]) for row in rows]
        return [ids[-new:].tolist() for ids in found]

    return write


if __name__ == "__main__":
    child.serve(sys.modules[__name__])
