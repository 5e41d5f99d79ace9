"""What a step of each optimizer costs, alone and extended, beside its peers.

    python benchmarks/optimizers.py                       # 100 M weights: about 3 GB of memory
    python benchmarks/optimizers.py --size small          # 20 M weights
    python benchmarks/optimizers.py --size tiny --rounds 1 --repeats 2      # does it all still run?
    B4K_XLA=off python benchmarks/optimizers.py           # updates as single operations

Weights like BERT's (a table of embeddings, 768 x 768 and 768 x 3072 kernels, vectors), gradients of
ones; that of the table is sparse: 1024 rows, as in a batch of 8 x 128.
Only the update is timed, as one graph. In each round every participant takes its turn, so a machine
that drifts drifts under all of them; a ratio is the median over rounds of its time over that of
TensorFlow's fused kernel (ResourceApplyAdam on dense gradients) in the same round. "state" counts
numbers the optimizer keeps for each weight. torch.optim.AdamW and tf_keras' legacy Adam take part
where they are installed.
"""

import argparse
import gc
import json
import os
import statistics
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf

from bert4keras_ext import optimizers
from bert4keras_ext.optimizers import Adam

# rows of the table, layers of 768: 12 of them are BERT-base's encoder
SIZES = {"base": (21128, 12), "small": (8000, 2), "tiny": (500, 0)}
PATTERNS = ["Norm", "bias"]
# extension -> arguments
EXTENSIONS = {
    "weight_decay": {"exclude_from_weight_decay": PATTERNS},
    "layer_adaptation": {"exclude_from_layer_adaptation": PATTERNS},
    "piecewise_linear_lr": {"lr_schedule": {1000: 1, 2000: 0.1}},
    "gradient_accumulation": {"grad_accum_steps": 10**6},
    "lookahead": {"steps_per_slow_update": 10**6},
    "lazy_optimization": {"include_in_lazy_optimization": ["Embedding"]},
    "exponential_moving_average": {},
    "parameter_wise_lr": {"paramwise_lr_schedule": {"Embedding": 0.1}},
    "gradient_centralization": {},
    "layer_wise_lr_decay": {},
}


def make_weights(size):
    """Variables with paths like those of a BERT."""
    rows, layers = SIZES[size]
    shapes = {"Embedding-Token/embeddings": (rows, 768), "Embedding-Norm/gamma": (768,)}
    for i in range(layers):
        prefix = f"Transformer-{i}-"
        shapes |= {f"{prefix}{name}/kernel": (768, 768) for name in "qkvo"}
        shapes |= {f"{prefix}{name}/bias": (768,) for name in "qkvo"}
        shapes |= {f"{prefix}up/kernel": (768, 3072), f"{prefix}down/kernel": (3072, 768)}
        shapes |= {f"{prefix}up/bias": (3072,), f"{prefix}Norm/gamma": (768,)}
    rng, weights = np.random.default_rng(0), []
    for path, shape in shapes.items():
        layer, name = path.split("/")
        with keras.name_scope(layer):
            start = (0.02 * rng.normal(size=shape)).astype("float32")
            weights.append(keras.Variable(start, name=name))
    return weights


def make_gradients(weights, is_sparse):
    first = weights[0].shape
    rows = np.random.default_rng(1).integers(0, first[0], 1024)
    values = tf.ones((1024, 768))
    table = tf.IndexedSlices(values, tf.constant(rows), tf.constant(list(first), "int64"))
    gradients = [table] + [tf.ones(weight.shape) for weight in weights[1:]]
    return gradients if is_sparse else [tf.convert_to_tensor(g) for g in gradients]


def keras_step(optimizer, weights, jit=False, is_sparse=True):
    """(function of no arguments that makes one step, numbers of state)."""
    gradients = make_gradients(weights, is_sparse)
    optimizer.build(weights)
    step = tf.function(lambda: optimizer.apply(gradients, weights), jit_compile=jit)
    return step, sum(int(np.prod(v.shape)) for v in optimizer.variables)


def kernel_step(weights):
    """TensorFlow's fused kernel and nothing around it."""
    gradients = make_gradients(weights, is_sparse=False)
    slots = [[tf.Variable(tf.zeros(w.shape)) for _ in range(2)] for w in weights]

    @tf.function
    def step():
        for weight, (m, v), gradient in zip(weights, slots, gradients):
            tf.raw_ops.ResourceApplyAdam(
                var=weight.value.handle, m=m.handle, v=v.handle, beta1_power=0.9,
                beta2_power=0.999, lr=1e-5, beta1=0.9, beta2=0.999, epsilon=1e-6, grad=gradient,
            )  # fmt: skip

    return step, 2 * count(weights)


def legacy_step(weights):
    import tf_keras

    variables = [tf.Variable(w.numpy()) for w in weights]
    optimizer = tf_keras.optimizers.legacy.Adam(1e-5)
    gradients = make_gradients(weights, is_sparse=True)
    pairs = list(zip(gradients, variables))
    optimizer._create_all_weights(variables)

    @tf.function
    def step():
        optimizer.apply_gradients(pairs)

    return step, 2 * count(weights)


def torch_step(weights):
    import torch

    torch.set_num_threads(os.cpu_count())
    parameters = [torch.nn.Parameter(torch.tensor(w.numpy())) for w in weights]
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    return torch.optim.AdamW(parameters, 1e-5, fused=True).step, 2 * count(weights)


def count(weights):
    return sum(int(np.prod(weight.shape)) for weight in weights)


def extended(name):
    return getattr(optimizers, f"extend_with_{name}")(Adam)(1e-5, **EXTENSIONS[name])


def participants(weights):
    """{name: function that sets it up -> (step, numbers of state)}; the reference is the first."""

    def of(make, **kwargs):
        return lambda: keras_step(make(), weights, **kwargs)

    own = keras.optimizers
    found = {
        "TensorFlow's fused kernel": lambda: kernel_step(weights),
        "Adam": of(lambda: Adam(1e-5)),
        "Adam, XLA": of(lambda: Adam(1e-5), jit=True),
        "AdaFactor": of(lambda: optimizers.AdaFactor(1e-5)),
        "Lion": of(lambda: optimizers.Lion(1e-5)),
        "Tiger": of(lambda: optimizers.Tiger(1e-5)),
        "LAMB": of(lambda: optimizers.LAMB(1e-5)),
        **{f"Adam + {name}": of(lambda name=name: extended(name)) for name in EXTENSIONS},
        "keras Adam": of(lambda: own.Adam(1e-5)),
        "keras AdamW": of(lambda: own.AdamW(1e-5)),
        "keras Lamb": of(lambda: own.Lamb(1e-5)),
        "keras Adafactor": of(lambda: own.Adafactor(1e-5)),
        "keras Lion": of(lambda: own.Lion(1e-5)),
        "tf_keras legacy Adam": lambda: legacy_step(weights),
        "torch AdamW, fused": lambda: torch_step(weights),
    }
    return found


def time_of(step, repeats):
    for _ in range(2):  # the first one traces
        step()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def run(args):
    """{name: {"seconds": [of each round], "state": numbers a weight, "missing": why}}."""
    weights = make_weights(args.size)
    everyone = participants(weights)
    reference = next(iter(everyone))
    results = {}
    for number in range(args.rounds):
        for name, set_up in everyone.items():
            if args.only and name != reference and not any(p in name for p in args.only.split(",")):
                continue
            result = results.setdefault(name, {"seconds": []})
            if "missing" in result:
                continue
            try:
                step, state = set_up()
            except ImportError as error:
                result["missing"] = str(error)
                continue
            result["seconds"].append(time_of(step, args.repeats))
            result["state"] = state / count(weights)
            del step
            gc.collect()
            print(f"round {number + 1}: {name}: {result['seconds'][-1]:.4f} s", flush=True)
    return results, count(weights)


def summarize(results, num_weights):
    reference = next(iter(results.values()))["seconds"]
    print(f"\n{num_weights / 1e6:.1f} M weights")
    print(f"{'':36}{'s / 100 M':>11}{'ratio':>8}{'state':>8}")
    for name, result in results.items():
        if "missing" in result:
            print(f"{name:36}  skipped: {result['missing']}")
            continue
        ratio = statistics.median(a / b for a, b in zip(result["seconds"], reference))
        seconds = statistics.median(result["seconds"]) * 1e8 / num_weights
        result["ratio"] = ratio
        print(f"{name:36}{seconds:11.4f}{ratio:8.2f}{result['state']:8.2f}")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", choices=list(SIZES), default="base")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=10, help="timed steps in each turn")
    parser.add_argument("--only", help="participants: parts of their names, with commas")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was measured here")
    args = parser.parse_args()
    results, num_weights = run(args)
    summarize(results, num_weights)
    if args.json:
        args.json.write_text(json.dumps(results, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
