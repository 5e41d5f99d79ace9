"""What the participants of ../generation.py share: sizes, prompts, the clock, the answer.

A participant is a module with

    XLA                       True if XLA can compile it
    CACHED                    False if the whole model runs again for each token, a row at a time
    TELLS                     True if it can tell when each token is there
    MODELS                    those of SIZES that it has
    import_all()              what it stands on, and itself
    versions()                {package: version}
    make_writer(request, config) -> write(rows, new, tell=None) -> a list of new ids for each row

and ``write`` calls ``tell()`` after each token, where it can. See child.py for how it is started.
"""

import statistics
import time

import child

# Words are those of BERT's config. Every model has a window of WINDOW tokens.
SIZES = {
    "base": {
        "unilm": child.SIZES["base"],
        "mt5": {
            "vocab_size": 50000,
            "hidden_size": 512,
            "num_hidden_layers": 8,
            "num_attention_heads": 6,
            "attention_head_size": 64,
            "intermediate_size": 1024,
        },
        "gpt2": {**child.SIZES["base"], "vocab_size": 50257},
    },
    "tiny": {
        "unilm": child.SIZES["tiny"],
        "mt5": {**child.SIZES["tiny"], "attention_head_size": 32},
        "gpt2": child.SIZES["tiny"],
    },
}
WINDOW = 1024
# Tokens of a prompt; new tokens; how many of them "the first" and "the last" are.
LENGTHS = {
    "base": {"source": 128, "new": [32, 128, 512], "ends": 32},
    "tiny": {"source": 16, "new": [4, 8, 32], "ends": 4},
}


def make_rows(vocab_size, batch, length):
    """Random prompts without the special tokens."""
    import numpy as np

    return np.random.default_rng(0).integers(5, vocab_size, (batch, length)).tolist()


def measure(peer, request):
    peer.import_all()
    if request["task"] == "probe":
        abilities = {"xla": peer.XLA, "cached": peer.CACHED, "tells": peer.TELLS}
        return {"versions": peer.versions(), "models": peer.MODELS, **abilities}

    config, lengths = SIZES[request["size"]][request["model"]], LENGTHS[request["size"]]
    rows = make_rows(config["vocab_size"], request["batch"], lengths["source"])
    start = time.perf_counter()
    write = checked(peer.make_writer(request, dict(config)), request["new"], config["vocab_size"])
    built = time.perf_counter() - start
    if request["task"] == "told":
        return {"build": built, **time_tokens(write, rows, request, lengths["ends"])}
    return {"build": built, **time_calls(write, rows, request)}


def checked(write, new, vocab_size):
    """A fast wrong answer is no answer: ``write`` with as many ids as were asked for, or errors."""

    def run(rows, *arguments):
        texts = write(rows, new, *arguments)
        lengths = [len(ids) for ids in texts]
        if lengths != [new] * len(rows):
            raise ValueError(f"expected {new} new ids for {len(rows)} rows, received {lengths}")
        if not all(0 <= i < vocab_size for ids in texts for i in ids):
            raise ValueError(f"expected ids below {vocab_size}, received others")

    return run


def time_calls(write, rows, request):
    """The first call, those after it, and one with shorter prompts: what is compiled again?"""
    warmup = [timed(write, rows)]
    while len(warmup) < request["warmup"] and sum(warmup) < request["budget"]:
        warmup.append(timed(write, rows))
    seconds = [timed(write, rows)]
    while len(seconds) < request["repeats"] and sum(seconds) < request["budget"]:
        seconds.append(timed(write, rows))
    shorter = [row[: len(row) * 7 // 8] for row in rows]
    return {"first": warmup[0], "seconds": seconds, "shorter": timed(write, shorter)}


def timed(write, *arguments):
    start = time.perf_counter()
    write(*arguments)
    return time.perf_counter() - start


def time_tokens(write, rows, request, ends):
    """Seconds of each token (medians over repeats), and the means of the first and the last.

    The very first is left out of the first ones: it waits for the prompt.
    """
    first, runs = timed(write, rows, lambda: None), []
    while len(runs) < request["repeats"] and sum(map(sum, runs)) < request["budget"]:
        runs.append(timed_tokens(write, rows))
    if len(runs[0]) != request["new"]:
        raise ValueError(f"expected {request['new']} tokens to be told of, were {len(runs[0])}")
    tokens = [round(statistics.median(values), 6) for values in zip(*runs)]
    return {
        "first": first,
        "seconds": [sum(run) for run in runs],
        "tokens": tokens,
        "begin": statistics.mean(tokens[1 : ends + 1]),
        "end": statistics.mean(tokens[-ends:]),
    }


def timed_tokens(write, rows):
    stamps = [time.perf_counter()]
    write(rows, lambda: stamps.append(time.perf_counter()))
    return [after - before for before, after in zip(stamps, stamps[1:])]


def serve(peer):
    child.serve(peer, measure)
