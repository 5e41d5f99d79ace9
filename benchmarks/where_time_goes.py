"""Where the time of a BERT-base step goes: each part alone, times how often it occurs.

    python benchmarks/where_time_goes.py [--precision mixed_bfloat16] [--batch 8 --length 128]

Prints, for the forward pass and for forward plus backward, milliseconds of one call of each part,
how often BERT-base calls it, and its share of the sum. Parts are run alone in a graph, so what the
whole model overlaps or fuses is not seen: read shares, not sums. Peers are in encoder.py.
"""

import argparse
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import tensorflow as tf

from bert4keras_ext.backend import attention_normalize, gelu_erf
from bert4keras_ext.layers import Dropout, LayerNormalization
from bert4keras_ext.optimizers import Adam

HIDDEN, INNER, HEADS, LAYERS, VOCABULARY = 768, 3072, 12, 12, 21128


def parts(batch, length, dtype):
    """{part: (function, inputs that get gradients, calls in BERT-base)}."""

    def tensor(*shape):
        return tf.cast(tf.random.normal(shape), dtype)

    narrow, wide = tensor(batch, length, HIDDEN), tensor(batch, length, INNER)
    scores = tensor(batch, HEADS, length, length)
    heads = tensor(batch, HEADS, length, HIDDEN // HEADS)
    square, up, down = tensor(HIDDEN, HIDDEN), tensor(HIDDEN, INNER), tensor(INNER, HIDDEN)
    mask = tf.sequence_mask([length - i % 2 for i in range(batch)], length)
    norm, dropout = LayerNormalization(), Dropout(0.1)
    norm.build(narrow.shape)

    def dense(x, kernel):
        return tf.matmul(tf.reshape(x, (-1, x.shape[-1])), kernel)

    def drop(x):
        return dropout(x, training=True)

    def split(x):
        shape = (batch, length, HEADS, HIDDEN // HEADS)
        return tf.transpose(tf.reshape(x, shape), (0, 2, 1, 3))

    return {
        "matmul hidden x hidden (q, k, v, o)": (dense, [narrow, square], 4 * LAYERS),
        "matmul hidden x inner": (dense, [narrow, up], LAYERS),
        "matmul inner x hidden": (dense, [wide, down], LAYERS),
        "matmul of the heads (QK', AV)": (
            lambda a, b: tf.matmul(tf.matmul(a, b, transpose_b=True), b),
            [heads, heads],
            LAYERS,
        ),
        "transposes of the heads": (split, [narrow], 4 * LAYERS),
        "softmax with mask": (lambda s: attention_normalize(s, mask), [scores], LAYERS),
        "gelu": (gelu_erf, [wide], LAYERS),
        "layer normalization": (norm, [narrow], 2 * LAYERS + 1),
        "residual additions": (tf.add, [narrow, narrow], 2 * LAYERS),
        "dropout, hidden": (drop, [narrow], 2 * LAYERS + 1),
        "dropout, attention": (drop, [scores], LAYERS),
    }


def milliseconds(function, arguments, repeats):
    compiled = tf.function(function)
    for _ in range(3):
        compiled(*arguments)
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        compiled(*arguments)
        times.append(time.perf_counter() - start)
    return 1e3 * sorted(times)[len(times) // 2]


def with_backward(function):
    def both(*inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = function(*inputs)
        # An upstream gradient of ones that the compiler cannot fold away.
        upstream = tf.ones_like(outputs) + 0 * outputs
        return outputs, tape.gradient(outputs, inputs, upstream)

    return both


def adam_milliseconds(repeats):
    """One step of Adam over BERT-base's 102 million weights."""
    shapes = [(VOCABULARY, HIDDEN)] + LAYERS * (4 * [(HIDDEN, HIDDEN)] + 2 * [(HIDDEN, INNER)])
    variables = [keras.Variable(tf.zeros(shape)) for shape in shapes]
    optimizer = Adam(1e-5)
    optimizer.build(variables)
    gradients = [tf.ones(shape) for shape in shapes]
    return milliseconds(lambda *g: optimizer.apply(list(g), variables), gradients, repeats)


def report(title, rows):
    total = sum(ms * calls for _, ms, calls in rows)
    print(f"\n{title}: {total:.0f} ms in all parts")
    for name, ms, calls in sorted(rows, key=lambda row: -row[1] * row[2]):
        print(f"  {name:38s} {ms:8.3f} ms x {calls:2d}  {100 * ms * calls / total:5.1f} %")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--precision", default="float32", choices=["float32", "mixed_bfloat16"])
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=10)
    args = parser.parse_args()
    keras.config.set_dtype_policy(args.precision)
    dtype = keras.config.dtype_policy().compute_dtype
    table = parts(args.batch, args.length, dtype)
    forward = {k: v for k, v in table.items() if not k.startswith("dropout")}
    report(
        "forward", [(k, milliseconds(f, a, args.repeats), n) for k, (f, a, n) in forward.items()]
    )
    rows = [
        (k, milliseconds(with_backward(f), a, args.repeats), n) for k, (f, a, n) in table.items()
    ]
    rows.append(("Adam, all weights", adam_milliseconds(args.repeats), 1))
    report("forward, backward and update", rows)


if __name__ == "__main__":
    main()
