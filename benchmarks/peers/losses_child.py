"""What the participants of ../losses.py share: sizes, data, the clock, the answer. See child.py.

A participant is a module with

    import_all()                  what it stands on, and itself
    versions()                    {package: version}
    make_step(request, size)      -> (step, data): step(data) -> loss, a float

and its "peak MB" counts from after the imports on: data, compiling, and all that a step needs.
"""

import json
import math
import sys

import child

# Spans: (batch, types, length), width of the states, of q and k, and true spans a type at most.
SIZES = {
    "full": {"relations": (64, 50, 128), "spans": (16, 10, 256), "dim": 768, "head_size": 64,
             "positives": 8, "rows": 2048},
    "tiny": {"relations": (2, 5, 16), "spans": (2, 3, 16), "dim": 16, "head_size": 8,
             "positives": 2, "rows": 32},
}  # fmt: skip


def states(batch, length, dim):
    import numpy as np

    return np.random.default_rng(0).normal(size=(batch, length, dim)).astype("float32")


def spans(batch, types, length, positives):
    """(start, end) pairs (batch, types, positives, 2), no end before its start, none twice."""
    import numpy as np

    starts = np.stack([np.arange(positives)] * types) + 1
    ends = starts + np.arange(types)[:, None] % (length - positives - 1)
    return np.stack([np.stack([starts, ends], -1)] * batch).astype("int32")


def dense_spans(pairs, length):
    """The same as a 0/1 tensor (batch, types, length, length)."""
    import numpy as np

    batch, types, number, _ = pairs.shape
    labels = np.zeros((batch, types, length, length), "float32")
    rows, kinds, _ = np.indices((batch, types, number))
    labels[rows, kinds, pairs[..., 0], pairs[..., 1]] = 1
    return labels


def serve(peer):
    """Answers the request on the command line; a missing library is an answer too."""
    request = json.loads(sys.argv[1])
    try:
        peer.import_all()
        if request["task"] == "probe":
            answer = {"versions": peer.versions()}
        else:
            before = child.peak_megabytes()
            step, data = peer.make_step(request, SIZES[request["size"]])
            warmup, repeats = request["warmup"], request["repeats"]
            seconds, loss = child.time_steps(step, data, warmup, repeats)
            if not math.isfinite(loss):
                raise ValueError(f"expected a finite loss, received {loss}")
            peak = child.peak_megabytes() - before
            answer = {"seconds": seconds, "loss": loss, "peak_mb": peak}
    except ImportError as error:
        answer = {"missing": f"{type(error).__name__}: {error}"}
    except Exception as error:
        text = str(error).strip().splitlines() or [""]
        answer = {"error": f"{type(error).__name__}: {text[0][:200]}"}
    print(json.dumps(answer), flush=True)
