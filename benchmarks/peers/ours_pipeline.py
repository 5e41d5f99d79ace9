"""bert4keras_ext, and a plain tf.data map around its tokenizer, for ../pipeline.py."""

import json
import sys
import tempfile
from pathlib import Path

import pipeline_child as child


def import_all():
    global np, BucketedGenerator, TokenBatches, TokenCache, Tokenizer
    import numpy as np

    from bert4keras_ext.data import BucketedGenerator, TokenBatches, TokenCache
    from bert4keras_ext.tokenizers import Tokenizer


def versions():
    import tensorflow as tf

    import bert4keras_ext

    return {"bert4keras_ext": bert4keras_ext.__version__, "tensorflow": tf.__version__}


def make_pass(request):
    tokenizer = Tokenizer(request["vocab"], do_lower_case=True)
    return {
        "first": first_pass,
        "cached": cached,
        "cached dataset": cached_dataset,
        "generator": generator,
        "map": plain_map,
    }[request["task"]](request, tokenizer)


def make_rows(request, tokenizer, folder):
    maxlen = request["maxlen"]

    def encode(line):
        row = json.loads(line)
        return tokenizer.encode(row["sentence"], maxlen=maxlen)[0], row["label"]

    key = {"tokenizer": tokenizer, "maxlen": maxlen, "encode": "pipeline.py 1"}
    return TokenCache(folder).rows(request["file"], encode, key)


def batches_of(rows, request):
    return TokenBatches(rows, request["batch"], seed=1, prefetch=request["prefetch"])


def one_pass(batches):
    """What `fit` takes of an endless stream in one epoch."""
    stream = batches.forfit()
    for _ in range(len(batches)):
        (ids, _), labels = next(stream)
        yield ids, labels


def first_pass(request, tokenizer):
    """The cache is made, and then read: what a first epoch costs besides the model."""

    def make():
        folder = tempfile.mkdtemp(dir=request["folder"])  # a new one each time
        yield from one_pass(batches_of(make_rows(request, tokenizer, folder), request))

    return make


def cached(request, tokenizer):
    folder = Path(request["folder"]) / "cache"
    batches = batches_of(make_rows(request, tokenizer, folder), request)
    return lambda: one_pass(batches)


def cached_dataset(request, tokenizer):
    """The same as tensors, which is how `fit` sees them on TensorFlow."""
    batches = batches_of(make_rows(request, tokenizer, Path(request["folder"]) / "cache"), request)

    def make():
        for (ids, _), labels in batches.to_dataset().take(len(batches)):
            yield ids, labels

    return make


def generator(request, tokenizer):
    class Batches(BucketedGenerator):
        def __iter__(self, random=False):
            ids, labels = [], []
            for is_end, (text, label) in self.sample(random):
                ids.append(tokenizer.encode(text, maxlen=request["maxlen"])[0])
                labels.append(label)
                if len(ids) == self.batch_size or is_end:
                    ids = self.pad(ids, request["maxlen"])
                    yield [ids, np.zeros_like(ids)], np.array(labels)
                    ids, labels = [], []

    batches = Batches(child.read_rows(request), request["batch"], seed=1)
    return lambda: one_pass(batches)


def plain_map(request, tokenizer):
    """A tf.data pipeline as tutorials have it: shuffle, map with py_function, padded_batch."""
    import tensorflow as tf

    texts, labels = zip(*child.read_rows(request))

    def encode(text):
        ids = tokenizer.encode(text.numpy().decode(), maxlen=request["maxlen"])[0]
        return np.array(ids, "int32")  # a list would be one output a number

    def encoded(text, label):
        ids = tf.py_function(encode, [text], tf.int32)
        ids.set_shape([None])
        return (ids, tf.zeros_like(ids)), label

    dataset = tf.data.Dataset.from_tensor_slices((list(texts), list(labels)))
    dataset = dataset.shuffle(len(texts), seed=1).map(encoded, num_parallel_calls=tf.data.AUTOTUNE)
    dataset = dataset.padded_batch(request["batch"]).prefetch(tf.data.AUTOTUNE)

    def make():
        for (ids, _), label in dataset:
            yield ids, label

    return make


if __name__ == "__main__":
    child.serve(sys.modules[__name__])
