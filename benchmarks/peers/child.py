"""What every peer script shares: the request, the batch, the clock, the answer.

Each script beside this file is started by ../encoder.py or ../families.py in the interpreter of
its own environment,

    python ours.py '{"task": "inference", "shape": [8, 128], "size": "tiny", "precision": "float32",
                     "xla": false, "warmup": 3, "repeats": 10}'

and prints its answer as JSON on the last line of stdout. So this file needs nothing but the
standard library and NumPy (imported late, for importing it is part of the "import" task).
A peer is a module with

    XLA                                     True if XLA can compile it
    import_base(), import_library()         what it stands on (keras, torch), and itself
    versions()                              {package: version}, and remarks on what is used
    make_forward(config, precision, xla)    -> f(batch) -> hidden states, a NumPy array
    make_training(config, precision, xla)   -> f(batch), one Adam step -> loss, a float
and, for ../families.py, families(), those of FAMILIES that it has. config["model"] says which one
to build, in bert4keras' words.
"""

import json
import math
import resource
import sys
import time

SIZES = {
    "base": {
        "vocab_size": 21128,
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
    },
    "tiny": {
        "vocab_size": 1000,
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 128,
    },
}
SHARED = {
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
}
# What a family's config has besides.
FAMILIES = {
    "bert": {"model": "bert"},
    "roformer": {"model": "roformer"},
    "nezha": {"model": "nezha"},
    "roformer_v2": {"model": "roformer_v2", "hidden_act": "relu"},
    "albert": {"model": "albert", "embedding_size": 128},
    "t5": {"model": "t5.1.0_encoder", "hidden_act": "relu"},  # the encoder
}
LEARNING_RATE = 2e-5


def make_batch(vocab_size, rows, length):
    """Random sentence pairs; every second row of several ends in padding, as a real batch does."""
    import numpy as np

    generator = np.random.default_rng(0)
    tokens = generator.integers(1, vocab_size, (rows, length)).astype("int32")
    segments = np.zeros_like(tokens)
    segments[:, length // 2 :] = 1
    if rows > 1:
        tokens[1::2, length - length // 8 :] = 0
        segments[tokens == 0] = 0
    return {
        "tokens": tokens,
        "segments": segments,
        "mask": (tokens > 0).astype("int32"),
        "labels": generator.integers(0, 2, (rows,)).astype("int32"),
    }


def time_steps(step, batch, warmup, repeats):
    for _ in range(warmup):
        step(batch)
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = step(batch)
        seconds.append(time.perf_counter() - start)
    return seconds, result


def peak_megabytes():
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def measure(peer, request):
    start = time.perf_counter()
    peer.import_base()
    middle = time.perf_counter()
    peer.import_library()
    end = time.perf_counter()
    task = request["task"]
    if task == "probe":
        families = peer.families() if hasattr(peer, "families") else ["bert"]
        return {"versions": peer.versions(), "xla": peer.XLA, "families": families}
    if task == "import":
        return {"seconds": [end - start], "added": [end - middle]}

    config = {**SHARED, **SIZES[request["size"]], **FAMILIES[request.get("family", "bert")]}
    batch = make_batch(config["vocab_size"], *request["shape"])
    make = peer.make_training if task == "training" else peer.make_forward
    start = time.perf_counter()
    step = make(config, request["precision"], request["xla"])
    if task == "build":
        result = step(batch)
        seconds = [time.perf_counter() - start]
    else:
        seconds, result = time_steps(step, batch, request["warmup"], request["repeats"])
    expect_sound(task, result, request, config)
    return {"seconds": seconds}


def expect_sound(task, result, request, config):
    """A fast wrong answer is no answer: checks the states' shape, or that the loss is a number."""
    if task == "training":
        if not math.isfinite(result):
            raise ValueError(f"expected a finite loss, received {result}")
        return
    expected = (*request["shape"], config["hidden_size"])
    if tuple(result.shape) != expected:
        raise ValueError(f"expected states of shape {expected}, received {tuple(result.shape)}")
    if not math.isfinite(result.astype("float32").sum()):
        raise ValueError("expected finite states, received nan or inf")


def serve(peer, measure=measure):
    """Answers the request on the command line; a missing library is an answer too."""
    request = json.loads(sys.argv[1])
    try:
        answer = measure(peer, request)
    except ImportError as error:
        answer = {"missing": f"{type(error).__name__}: {error}"}
    except Exception as error:
        text = str(error).strip().splitlines() or [""]
        answer = {"error": f"{type(error).__name__}: {text[0][:200]}"}
    answer["peak_mb"] = peak_megabytes()
    print(json.dumps(answer), flush=True)
