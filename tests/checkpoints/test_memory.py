"""Loading streams: model plus the largest tensor plus a tenth, measured."""

import subprocess
import sys
import textwrap
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from bert4keras_ext.checkpoints import LazyArray, load_checkpoint, safetensors_file, save_checkpoint
from tests.checkpoints import torch_maker as maker
from tests.checkpoints.fake import FakeBuilder, bert_shapes, published, write_keras2

LARGE = {"vocab": 3000, "hidden": 128, "inner": 512, "positions": 128, "layers": 8}


class Recorder:
    """A variable that forgets: so all that tracemalloc sees is what loading itself holds."""

    dtype = "float32"

    def __init__(self, shape):
        self.shape = shape

    def assign(self, value):
        assert value.shape == tuple(self.shape) and value.dtype == np.float32


def write(folder, format):
    builder = FakeBuilder(bert_shapes(**LARGE))
    if format.startswith("torch"):
        arrays = published(builder, "huggingface")
        state = maker.state_dict(arrays)
        if format == "torch transposed":  # as v.t().contiguous().t() is saved
            numbered = enumerate(arrays.items())
            state = {name: transposed(array, str(i)) for i, (name, array) in numbered}
        writer = maker.write_legacy if format == "torch legacy" else maker.write_zip
        return writer(folder / "pytorch_model.bin", state)
    if format == "keras 2":
        write_keras2(folder / "weights.h5", builder)
        return folder / "weights.h5"
    if format == "tensorflow":
        save_checkpoint(builder, folder / "m.ckpt")
        return folder / "m.ckpt"
    save_checkpoint(builder, folder, "huggingface", dtype=format.split()[1])
    return folder


def transposed(array, key):
    turned = np.ascontiguousarray(array.T)
    steps = [step // array.itemsize for step in turned.T.strides]
    return maker.tensor(maker.Storage(turned.reshape(-1), key), array.shape, steps)


@pytest.mark.parametrize(
    "format",
    [
        "tensorflow", "safetensors float32", "safetensors float16", "torch zip", "torch legacy",
        "torch transposed", "keras 2",
    ],
)  # fmt: skip
def test_one_tensor_at_a_time(tmp_path, format):
    path = write(tmp_path, format)
    builder = FakeBuilder({})
    builder.variables = {name: Recorder(shape) for name, shape in bert_shapes(**LARGE).items()}
    sizes = [4 * int(np.prod(variable.shape)) for variable in builder.variables.values()]
    load_checkpoint(builder, path)  # imports and caches are not what is measured
    tracemalloc.start()
    load_checkpoint(builder, path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak <= max(sizes) + 0.1 * sum(sizes), (peak, max(sizes), sum(sizes))
    # Else nothing has been measured. (TensorFlow's reader keeps its memory from tracemalloc.)
    assert peak >= max(sizes) / 2 or format == "tensorflow"


PROCESS = """
    import keras
    from bert4keras_ext.checkpoints import load_checkpoint
    from tests.checkpoints.fake import FakeBuilder, bert_shapes

    def memory(key):
        rows = open("/proc/self/status").read().splitlines()
        return next(int(row.split()[1]) * 1024 for row in rows if row.startswith(key))

    load_checkpoint(FakeBuilder(bert_shapes()), "{small}")  # TensorFlow's start is not measured
    builder = FakeBuilder({{}})
    builder.variables = {{
        name: keras.Variable("random_normal", shape=shape)  # as layers make theirs
        for name, shape in bert_shapes(**{sizes}).items()
    }}
    open("/proc/self/clear_refs", "w").write("5")  # the peak begins anew
    before = memory("VmRSS")
    load_checkpoint(builder, "{large}")
    print(memory("VmHWM") - before)
"""


@pytest.mark.exhaustive
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux' /proc")
@pytest.mark.parametrize("format", ["tensorflow", "safetensors"])
def test_the_whole_process(tmp_path, format):
    """The same with TensorFlow's own memory, which tracemalloc does not see."""
    sizes = {"vocab": 20_000, "hidden": 256, "inner": 1024, "positions": 512, "layers": 40}
    large = bert_shapes(**sizes)
    paths = {}
    for name, shapes in (("small", bert_shapes()), ("large", large)):
        builder = FakeBuilder(shapes)
        paths[name] = tmp_path / (f"{name}.ckpt" if format == "tensorflow" else name)
        save_checkpoint(builder, paths[name], "tensorflow" if format == "tensorflow" else "native")
    del builder
    code = textwrap.dedent(PROCESS).format(sizes=sizes, **paths)
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[2]
    )
    assert run.returncode == 0, run.stderr[-2000:]
    peak = int(run.stdout.split()[-1])
    model = sum(4 * int(np.prod(shape)) for shape in large.values())
    largest = 4 * 20_000 * 256
    assert peak <= 0.1 * model + largest, (peak / model, largest / model)


KERAS_PROCESS = """
    import sys, keras, numpy
    from bert4keras_ext.checkpoints import load_checkpoint
    from tests.checkpoints.fake import FakeBuilder

    def memory(key):
        rows = open("/proc/self/status").read().splitlines()
        return next(int(row.split()[1]) * 1024 for row in rows if row.startswith(key))

    def load(rows, width, depth):
        layers = [keras.layers.Embedding(rows, width), *map(keras.layers.Dense, depth * [width])]
        builder = FakeBuilder({{}})
        builder.model = keras.Sequential([keras.Input((None,)), *layers])
        builder.model.save_weights("{path}")
        open("/proc/self/clear_refs", "w").write("5")  # the peak begins anew
        before = memory("VmRSS")
        load_checkpoint(builder, "{path}")
        return memory("VmHWM") - before, 4 * builder.model.count_params(), 4 * rows * width

    load(10, 4, 2)  # imports are not measured
    print(*load(20_000, 512, 40))
"""


@pytest.mark.exhaustive
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux' /proc")
def test_the_whole_process_with_keras_weights(tmp_path):
    code = textwrap.dedent(KERAS_PROCESS).format(path=tmp_path / "a.weights.h5")
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[2]
    )
    assert run.returncode == 0, run.stderr[-2000:]
    peak, model, largest = map(int, run.stdout.split()[-3:])
    assert peak <= 0.1 * model + largest, (peak / model, largest / model)


def test_writing_safetensors_streams(tmp_path):
    tensors = {
        str(i): LazyArray((250_000,), np.dtype("float32"), lambda: np.ones(250_000, "float32"))
        for i in range(20)
    }
    tracemalloc.start()
    safetensors_file.write(tmp_path / "m.safetensors", tensors)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2.2e6
