"""What the participants of ../pipeline.py share: the rows, the clock, the answer. See child.py.

A participant is a module with

    import_all()                what it stands on, and itself
    versions()                  {package: version}
    make_pass(request)          -> f(), one pass over the rows: yields (token ids, labels)

A pass is timed until its last batch has come. Those of the warm-up are not timed; what they yield
is counted and summed up: participants that disagree about it do not do the same work.
"""

import json
import sys
import time

import child


def read_rows(request):
    """[(text, label)], as scripts hold them."""
    with open(request["file"], encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return [(row["sentence"], row["label"]) for row in rows]


def content(batches):
    """[rows, sum of the ids, sum of the labels] of one pass."""
    import numpy as np

    total = np.zeros(3, "int64")
    for ids, labels in batches:
        ids, labels = np.asarray(ids), np.asarray(labels)
        total += [len(ids), ids.sum(dtype="int64"), labels.sum(dtype="int64")]
    return total.tolist()


def seconds_of(batches):
    """By the clock, and of the processor in all threads."""
    start, start_cpu = time.perf_counter(), time.process_time()
    for _ in batches:
        pass
    return time.perf_counter() - start, time.process_time() - start_cpu


def serve(peer):
    """Answers the request on the command line; a missing library is an answer too."""
    request = json.loads(sys.argv[1])
    try:
        peer.import_all()
        if request["task"] == "probe":
            answer = {"versions": peer.versions()}
        else:
            make = peer.make_pass(request)
            found = [content(make()) for _ in range(max(request["warmup"], 1))][-1]
            seconds, cpu = zip(*(seconds_of(make()) for _ in range(request["repeats"])))
            answer = {"seconds": seconds, "cpu_seconds": cpu, "content": found}
            answer["peak_mb"] = child.peak_megabytes()
    except ImportError as error:
        answer = {"missing": f"{type(error).__name__}: {error}"}
    except Exception as error:
        text = str(error).strip().splitlines() or [""]
        answer = {"error": f"{type(error).__name__}: {text[0][:200]}"}
    print(json.dumps(answer), flush=True)
