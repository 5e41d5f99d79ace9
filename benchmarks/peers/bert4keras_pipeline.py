"""bert4keras' DataGenerator, for ../pipeline.py; environment: bert4keras_peer.py's."""

import os
import sys

import pipeline_child as child

os.environ.update(TF_KERAS="1", TF_USE_LEGACY_KERAS="1")


def import_all():
    global DataGenerator, Tokenizer, sequence_padding
    from bert4keras.snippets import DataGenerator, sequence_padding
    from bert4keras.tokenizers import Tokenizer


def versions():
    from importlib.metadata import version

    return {name: version(name) for name in ("bert4keras", "tf_keras")}


def make_pass(request):
    tokenizer = Tokenizer(request["vocab"], do_lower_case=True)

    class Batches(DataGenerator):
        def __iter__(self, random=False):
            ids, segments, labels = [], [], []
            for is_end, (text, label) in self.sample(random):
                row = tokenizer.encode(text, maxlen=request["maxlen"])
                ids.append(row[0])
                segments.append(row[1])
                labels.append([label])
                if len(ids) == self.batch_size or is_end:
                    arrays = [sequence_padding(part) for part in (ids, segments, labels)]
                    yield arrays[:2], arrays[2]
                    ids, segments, labels = [], [], []

    batches = Batches(child.read_rows(request), request["batch"])

    def make():
        stream = batches.forfit()
        for _ in range(len(batches)):
            (ids, _), labels = next(stream)
            yield ids, labels

    return make


if __name__ == "__main__":
    child.serve(sys.modules[__name__])
