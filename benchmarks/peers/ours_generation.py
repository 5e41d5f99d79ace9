"""bert4keras_ext's generate() and stream(), for ../generation.py. See generation_child.py."""

import sys

import generation_child as child

XLA = True
CACHED = True
TELLS = True
MODELS = ["unilm", "mt5", "gpt2"]
KINDS = {
    "unilm": {"application": "unilm", "hidden_act": "gelu"},
    "mt5": {"model": "mt5.1.1", "hidden_act": ["gelu", "linear"]},
    "gpt2": {"model": "gpt2", "hidden_act": "gelu"},
}


def import_all():
    global keras, set_precision, set_xla, build_transformer_model
    import keras

    from bert4keras_ext.backend.acceleration import set_precision, set_xla
    from bert4keras_ext.models import build_transformer_model


def versions():
    import tensorflow as tf

    import bert4keras_ext

    return {
        "bert4keras_ext": bert4keras_ext.__version__,
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
    }


def make_writer(request, config):
    set_precision(request["precision"])
    set_xla(request["xla"])
    kind = KINDS[request["model"]]
    if request["model"] != "mt5":
        config["max_position_embeddings"] = child.WINDOW
    transformer = build_transformer_model(config, return_keras_model=False, **kind)
    search = {"method": "beam", "topk": request["beams"]} if request["beams"] > 1 else {}

    def write(rows, new, tell=None):
        if tell is None:
            settings = {"batch_size": len(rows), "progress": False, **search}
            return transformer.generate(rows, max_new_tokens=new, **settings)
        return [_told(transformer.stream(rows, max_new_tokens=new), tell)]

    return write


def _told(stream, tell):
    ids = []
    for token in stream:
        tell()
        ids.append(token)
    return ids


if __name__ == "__main__":
    child.serve(sys.modules[__name__])
