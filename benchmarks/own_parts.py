"""What each part that we wrote in place of Keras' earns, each alone.

    python benchmarks/own_parts.py
    python benchmarks/own_parts.py --only gelu --repeats 15
    python benchmarks/own_parts.py --size tiny --repeats 2              # does it all still run?

A training step (BERT, batch 8 x 128, dropout 0.1, plain Adam) of our model takes turns with one of
the same model in which one part is Keras' own; the ratio, plain / ours, is the median over pairs of
steps. Building is timed with Keras' initializer and with ours; narrow softmax is timed in a
forward pass of 1 x 512 in mixed_bfloat16. A part stays in the package if it earns 3 % or more.
"""

import argparse
import contextlib
import os
import statistics
import time
from unittest import mock

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import tensorflow as tf
from keras import ops
from training_step import make_batch, step_of

from bert4keras_ext import optimizers
from bert4keras_ext.backend import activations, set_precision, softmax
from bert4keras_ext.layers import dropout, normalization
from bert4keras_ext.models import blocks, build_transformer_model

# layers, size of a state; four layers have the shares of twelve, but for the word table
SIZES = {"base": (4, 768), "tiny": (1, 24)}


def plain_norm(x, zero_mean=True, epsilon=1e-12):
    if zero_mean:
        x = x - ops.mean(x, axis=-1, keepdims=True)
    return x * ops.rsqrt(ops.mean(ops.square(x), axis=-1, keepdims=True) + epsilon)


def plain_bits(shape, rate, seed_generator):
    return keras.random.uniform(shape, seed=seed_generator) >= rate


def plain_dropped(inputs, keep, scale):
    return ops.where(keep, inputs * scale, ops.zeros((), inputs.dtype))


# name -> what is replaced by what
STEP_PARTS = {
    "nothing": [],
    "normalization": [(normalization, "standardize", plain_norm)],
    "gelu": [(activations, "_gelu_erf", activations.exact_gelu)],
    "dropout's gradient": [(dropout, "_dropped", plain_dropped)],
    "dropout's bits": [(dropout, "keep_mask", plain_bits)],
    "dropout": [(blocks, "Dropout", keras.layers.Dropout)],
}


@contextlib.contextmanager
def replaced(changes):
    with contextlib.ExitStack() as stack:
        for module, name, value in changes:
            stack.enter_context(mock.patch.object(module, name, value))
        yield


def make_encoder(size, length=512):
    layers, hidden = SIZES[size]
    config = {
        "vocab_size": 21128, "hidden_size": hidden, "num_hidden_layers": layers,
        "num_attention_heads": 12, "intermediate_size": 4 * hidden, "hidden_act": "gelu",
        "max_position_embeddings": length, "type_vocab_size": 2, "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
    }  # fmt: skip
    return build_transformer_model(config)


def training_step(size, changes):
    """A function that makes one step, traced with the changes in force."""
    with replaced(changes):
        encoder = make_encoder(size)
        scores = keras.layers.Dense(2, dtype="float32")(encoder.output[:, 0])
        model = keras.Model(encoder.inputs, scores)
        step = step_of(model, optimizers.Adam(1e-5), make_batch())
        step()
    return step


def forward_pass(size, changes):
    *inputs, _ = make_batch(1, 512)
    with replaced(changes):
        encoder = make_encoder(size)
        run = tf.function(lambda: encoder(inputs, training=False))
        run()
    return run


def in_turns(ours, plain, repeats):
    """Medians of: seconds of ours, ratio of each pair."""
    times, ratios = [], []
    for _ in range(repeats):
        pair = []
        for function in (ours, plain):
            start = time.perf_counter()
            function()
            pair.append(time.perf_counter() - start)
        times.append(pair[0])
        ratios.append(pair[1] / pair[0])
    return statistics.median(times), statistics.median(ratios), min(ratios), max(ratios)


def report(name, what, figures):
    seconds, ratio, low, high = figures
    spread = f"{ratio:.3f} ({low:.2f} to {high:.2f})"
    print(f"{name:20} {what:26} {seconds:7.3f} s  {spread}", flush=True)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", default="base", choices=SIZES)
    parser.add_argument("--repeats", type=int, default=11)
    parser.add_argument("--only", nargs="*", help="parts, such as gelu or initializer")
    args = parser.parse_args()
    wanted = args.only or [*STEP_PARTS, "initializer", "narrow softmax"]
    for name in [name for name in STEP_PARTS if name in wanted]:
        pair = [training_step(args.size, changes) for changes in ([], STEP_PARTS[name])]
        report(name, "training step", in_turns(*pair, args.repeats))
        keras.utils.clear_session()
    if "initializer" in wanted:
        stock = [(blocks, "TruncatedNormal", keras.initializers.TruncatedNormal)]

        def build_plainly():
            with replaced(stock):
                make_encoder(args.size)

        repeats = max(3, args.repeats // 3)
        figures = in_turns(lambda: make_encoder(args.size), build_plainly, repeats)
        report("initializer", "building", figures)
    if "narrow softmax" in wanted:
        set_precision("mixed_bfloat16")
        wide = [(softmax, "is_exact", lambda dtype: False)]
        pair = [forward_pass(args.size, changes) for changes in ([], wide)]
        report("narrow softmax", "forward pass, bfloat16", in_turns(*pair, args.repeats))


if __name__ == "__main__":
    main()
