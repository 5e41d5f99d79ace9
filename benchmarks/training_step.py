"""What each optimizer adds to a training step of BERT-base: forward, backward and update.

    python benchmarks/training_step.py
    python benchmarks/training_step.py --precision mixed_bfloat16 --only Adam
    python benchmarks/training_step.py --size tiny --repeats 2              # does it all still run?

Batch 8 x 128, dropout 0.1, a 2-class head on [CLS]. Each participant takes turns with plain Adam,
step by step on the same model, so a machine that drifts drifts under both; a ratio is the median
over pairs of steps. optimizers.py times the update alone. Twelve participants took 12 minutes with
--repeats 5, at 3.4 s a step.
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
from optimizers import EXTENSIONS, extended

from bert4keras_ext import optimizers
from bert4keras_ext.backend import set_precision
from bert4keras_ext.models import build_transformer_model

# layers, size of a state
SIZES = {"base": (12, 768), "tiny": (1, 24)}
RULES = ("AdaFactor", "Lion", "Tiger", "LAMB")


def bert_config(layers, hidden):
    return {
        "vocab_size": 21128, "hidden_size": hidden, "num_hidden_layers": layers,
        "num_attention_heads": 12, "intermediate_size": 4 * hidden, "hidden_act": "gelu",
        "max_position_embeddings": 512, "type_vocab_size": 2, "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
    }  # fmt: skip


def make_model(size):
    encoder = build_transformer_model(bert_config(*SIZES[size]))
    scores = keras.layers.Dense(2, dtype="float32")(encoder.output[:, 0])
    return keras.Model(encoder.inputs, scores)


def make_batch(batch=8, length=128):
    rng = np.random.default_rng(0)
    tokens = rng.integers(1, 21128, (batch, length))
    tokens[::2, -length // 4 :] = 0  # every second row ends in padding
    arrays = tokens, np.zeros_like(tokens), rng.integers(0, 2, batch)
    return [tf.constant(array, "int32") for array in arrays]


def step_of(model, optimizer, batch):
    """A function of no arguments that makes one step."""
    *inputs, labels = batch
    weights = model.trainable_variables
    optimizer.build(weights)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            value = loss(labels, model(inputs, training=True))
        optimizer.apply(tape.gradient(value, weights), weights)
        return value

    return step


def participants():
    """{name: function that makes the optimizer}."""
    return {
        **{f"Adam + {name}": lambda name=name: extended(name) for name in EXTENSIONS},
        **{name: lambda name=name: getattr(optimizers, name)(1e-5) for name in RULES},
        "keras Adam": lambda: keras.optimizers.Adam(1e-5),
    }


def seconds(step):
    start = time.perf_counter()
    float(step())
    return time.perf_counter() - start


def in_turns(reference, step, repeats):
    """[[seconds of the reference, seconds of the step], ...], after two steps that do not count."""
    for _ in range(2):
        reference(), step()
    return [[seconds(reference), seconds(step)] for _ in range(repeats)]


def run(args):
    set_precision(args.precision)
    model, batch = make_model(args.size), make_batch()
    reference = step_of(model, optimizers.Adam(1e-5), batch)
    wanted = args.only.split(",") if args.only else [""]
    results = {}
    for name, make in participants().items():
        if any(part in name for part in wanted):
            results[name] = in_turns(reference, step_of(model, make(), batch), args.repeats)
            gc.collect()
            print(line(name, results[name]), flush=True)
    return results


def line(name, pairs):
    plain, own = (statistics.median(column) for column in zip(*pairs))
    ratio = statistics.median(b / a for a, b in pairs)
    return f"{name:36}{own:9.3f} s, Adam {plain:.3f} s, ratio {ratio:.2f}"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", choices=list(SIZES), default="base")
    parser.add_argument("--precision", choices=["float32", "mixed_bfloat16"], default="float32")
    parser.add_argument("--repeats", type=int, default=10, help="timed steps of each")
    parser.add_argument("--only", help="participants: parts of their names, with commas")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was measured here")
    args = parser.parse_args()
    results = run(args)
    if args.json:
        args.json.write_text(json.dumps(results, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
