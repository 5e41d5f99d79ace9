"""What each part that we wrote in place of Keras' earns, each alone.

    python benchmarks/own_parts.py
    python benchmarks/own_parts.py --size tiny --repeats 3              # does it all still run?

Ours takes turns with the same model in which one part is Keras' own; a ratio, Keras' / ours, is the
median over pairs. The initializer is timed in building a model, narrow softmax in a forward pass of
1 x 512 in mixed_bfloat16. The parts that act in a training step: see README.md.
"""

import argparse
import os
import statistics
import time
from unittest import mock

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import tensorflow as tf
from training_step import bert_config, make_batch

from bert4keras_ext.backend import set_precision, softmax
from bert4keras_ext.models import blocks, build_transformer_model

# layers, size of a state; four layers have the shares of twelve, but for the word table
SIZES = {"base": (4, 768), "tiny": (1, 24)}


def make_encoder(size):
    return build_transformer_model(bert_config(*SIZES[size]))


def initializers(size):
    """Two functions that build a model: with our initializer, and with Keras'."""
    stock = mock.patch.object(blocks, "TruncatedNormal", keras.initializers.TruncatedNormal)

    def with_stock():
        with stock:
            make_encoder(size)

    return lambda: make_encoder(size), with_stock


def softmaxes(size):
    """Two functions that make a forward pass: with narrow softmax where it is exact, or never."""
    set_precision("mixed_bfloat16")
    *inputs, _ = make_batch(1, 512)

    def traced():
        encoder = make_encoder(size)
        run = tf.function(lambda: encoder(inputs, training=False))
        run()
        return run

    ours = traced()
    with mock.patch.object(softmax, "is_exact", lambda dtype: False):
        return ours, traced()


PARTS = {"initializer": initializers, "narrow softmax": softmaxes}


def in_turns(ours, stock, repeats):
    """Median seconds of ours, and the ratios of all pairs."""
    times, ratios = [], []
    for _ in range(repeats):
        pair = []
        for function in (ours, stock):
            start = time.perf_counter()
            function()
            pair.append(time.perf_counter() - start)
        times.append(pair[0])
        ratios.append(pair[1] / pair[0])
    return statistics.median(times), ratios


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", default="base", choices=SIZES)
    parser.add_argument("--repeats", type=int, default=11)
    parser.add_argument("--only", nargs="*", choices=PARTS, default=list(PARTS))
    args = parser.parse_args()
    for name in args.only:
        seconds, ratios = in_turns(*PARTS[name](args.size), args.repeats)
        spread = f"{statistics.median(ratios):.3f} ({min(ratios):.2f} to {max(ratios):.2f})"
        print(f"{name:20} {seconds:7.3f} s  {spread}", flush=True)


if __name__ == "__main__":
    main()
