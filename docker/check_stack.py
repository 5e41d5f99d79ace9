"""Do TensorFlow, Keras, the GPUs and bert4keras_ext work together here? A table for bug reports.

    python docker/check_stack.py                                  anywhere the package is installed
    python docker/check_stack.py --constraints constraints.txt    in NVIDIA's image
    python docker/check_stack.py --gpus 2                         there must be two, at least

It ends with exit code 1, and a line for each thing that is wrong.
"""

import argparse
import contextlib
import os
import platform
import re
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from make_constraints import canonical, installed, read_constraints

PACKAGES = ("numpy", "h5py", "protobuf", "ml-dtypes", "optree", "jieba", "sentencepiece")
MINIMUM_TENSORFLOW, MINIMUM_KERAS = (2, 17), (3, 12)
GPU_FILE = Path("/dev/nvidia0")  # a GPU that was handed to the container
TINY_BERT = {
    "vocab_size": 30,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "hidden_act": "gelu",
    "max_position": 32,
}


class Row(NamedTuple):
    """A line of the table: what was looked at, what was found, what is wrong with it (or None)."""

    name: str
    found: str
    problem: str | None = None


def release(version):
    """``"2.17.0+nv25.2"`` -> ``(2, 17, 0)``"""
    return tuple(map(int, re.match(r"\d+(\.\d+)*", version).group().split(".")))


def at_least(name, version, minimum):
    wanted = ".".join(map(str, minimum))
    is_old = release(version) < minimum
    return Row(name, version, f"expected {wanted} or newer, found {version}" if is_old else None)


# ---- what is installed ----------------------------------------------------------------------


def machine():
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield Row("system", f"{platform.platform()}, {platform.machine()}, {cores} cores")
    yield Row("Python", f"{platform.python_version()} ({sys.executable})")


def tensorflow_and_keras():
    """Versions, the backend, and whether tf.keras is Keras 3."""
    import tensorflow as tf

    yield at_least("TensorFlow", metadata.version("tensorflow"), MINIMUM_TENSORFLOW)
    build = tf.sysconfig.get_build_info()
    if build.get("is_cuda_build"):
        cuda, cudnn = build.get("cuda_version", "?"), build.get("cudnn_version", "?")
        yield Row("built for", f"CUDA {cuda}, cuDNN {cudnn}")
    import keras

    yield at_least("Keras", keras.__version__, MINIMUM_KERAS)
    yield backend(keras.config.backend())
    yield legacy_keras(tf.keras, keras)


def backend(name):
    problem = f"expected tensorflow, found {name}: unset KERAS_BACKEND, or look into keras.json"
    return Row("backend", name, None if name == "tensorflow" else problem)


def legacy_keras(tf_keras, keras):
    """With Keras 2 under tf.keras, scripts that mix both fail in strange places."""
    if tf_keras.Model is keras.Model:
        return Row("tf.keras", "is this Keras")
    found = getattr(tf_keras, "__version__", "unknown")
    return Row(
        "tf.keras", f"another Keras, {found}",
        f"expected tf.keras to be Keras 3, found {found}: set TF_USE_LEGACY_KERAS=0",
    )  # fmt: skip


def packages():
    """Versions of the others, of which none may be missing."""
    import bert4keras_ext

    folder = Path(bert4keras_ext.__file__).parent
    yield Row("bert4keras_ext", f"{bert4keras_ext.__version__} ({folder})")
    found = installed()
    versions = ((name, found.get(name, "missing")) for name in PACKAGES)
    yield Row("packages", ", ".join(f"{name} {version}" for name, version in versions))
    missing = [name for name in PACKAGES if name not in found]
    unmet = unmet_requirements("bert4keras_ext", found) if "bert4keras-ext" in found else missing
    yield Row("requirements", ", ".join(unmet) or "all met",
              f"bert4keras_ext needs {', '.join(unmet)}" if unmet else None)  # fmt: skip


def unmet_requirements(package, found):
    """The requirements of a package, without extras, that are missing or of another version."""
    from packaging.requirements import Requirement

    unmet = []
    for each in map(Requirement, metadata.requires(package) or ()):
        if each.marker is not None and not each.marker.evaluate({"extra": ""}):
            continue
        version = found.get(canonical(each.name))
        if version is None or not each.specifier.contains(version, prereleases=True):
            unmet.append(f"{each.name}{each.specifier} (found {version or 'none'})")
    return unmet


def unchanged(recorded, found):
    """Whether all that the image had is there, and no other build of TensorFlow or CUDA beside it.

    Args:
        recorded: {name: version} before anything was installed.
        found: {name: version} now.
    """
    changed = [
        f"{name} {version} -> {found.get(name, 'gone')}"
        for name, version in recorded.items()
        if found.get(name) != version
    ]
    added = [
        f"{name} {version} added"
        for name, version in found.items()
        if name not in recorded and name.startswith(("nvidia-", "tensorflow", "tf-"))
    ]
    wrong = ", ".join(changed + added)
    kept = f"{len(recorded) - len(changed)} of {len(recorded)} packages are as they were"
    problem = f"expected the image's packages as they were, found {wrong}: build the image anew"
    return Row("the image", f"{kept}{'; ' if wrong else ''}{wrong}", problem if wrong else None)


# ---- devices --------------------------------------------------------------------------------


def devices(wanted=0):
    """One row a GPU, each of which computes something; a problem where one is not seen."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    yield number_of_gpus(len(gpus), wanted, GPU_FILE.exists())
    for number, gpu in enumerate(gpus):
        details = tf.config.experimental.get_device_details(gpu)
        capability = ".".join(map(str, details.get("compute_capability", "?")))
        with tf.device(f"/GPU:{number}"):
            total = float(tf.reduce_sum(tf.matmul(tf.ones((64, 64)), tf.ones((64, 64)))))
        problem = None if total == 64**3 else f"GPU {number}: expected {64**3}, computed {total}"
        name = details.get("device_name", gpu.name)
        yield Row(f"GPU {number}", f"{name}, compute capability {capability}", problem)


def number_of_gpus(found, wanted, is_handed_over):
    problem = None
    if is_handed_over and not found:
        problem = (
            "TensorFlow does not see the GPU that the container was given: are its CUDA libraries "
            "found, is the driver new enough? TF_CPP_MIN_LOG_LEVEL=0 tells"
        )
    elif found < wanted:
        problem = f"expected {wanted} GPUs or more, found {found}: docker run --gpus all?"
    return Row("GPUs", str(found) if found else "none, the CPU is taken", problem)


# ---- training -------------------------------------------------------------------------------


def trainings():
    """A tiny BERT of ours learns, plainly, with XLA, and with XLA and mixed precision."""
    import tensorflow as tf

    yield train("float32", xla=False)
    yield train("float32", xla=True)
    yield train("mixed_bfloat16", xla=True)
    if tf.config.list_physical_devices("GPU"):
        yield train("mixed_float16", xla=True)


def train(precision, xla, epochs=3):
    """Trains on rows whose label is whether half of their tokens are 5; the loss has to fall."""
    import keras
    import numpy as np

    rng = np.random.default_rng(0)
    tokens = rng.integers(6, TINY_BERT["vocab_size"], (256, 32))
    labels = rng.integers(0, 2, 256)
    tokens[labels == 1, ::2] = 5
    with dtype_policy(precision):
        keras.utils.set_random_seed(0)
        model = tiny_model()
        model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy",
                      jit_compile=xla)  # fmt: skip
        began = time.perf_counter()
        inputs = [tokens, np.zeros_like(tokens)]
        losses = model.fit(inputs, labels, batch_size=32, epochs=epochs, verbose=0).history["loss"]
    seconds = time.perf_counter() - began
    name = f"training, {precision}{', XLA' if xla else ''}"
    return learned(name, losses, seconds)


def learned(name, losses, seconds=0.0):
    has_fallen = all(map(is_finite, losses)) and losses[-1] < 0.5 * losses[0]
    found = f"loss {losses[0]:.4f} -> {losses[-1]:.4f} in {seconds:.1f} s"
    problem = None if has_fallen else f"{name}: expected a loss that falls, found {losses}"
    return Row(name, found, problem)


def is_finite(number):
    return number == number and abs(number) != float("inf")


def tiny_model():
    """A classifier over our own BERT and pooling."""
    import keras

    from bert4keras_ext.layers import GlobalAveragePooling1D
    from bert4keras_ext.models import build_transformer_model

    encoder = build_transformer_model(TINY_BERT, return_keras_model=False)
    states = GlobalAveragePooling1D()(encoder.model.output)
    label = keras.layers.Dense(2, "softmax", dtype="float32")(states)
    return keras.Model(encoder.model.inputs, label)


@contextlib.contextmanager
def dtype_policy(name):
    import keras

    former = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(former)


# ---- the table ------------------------------------------------------------------------------


def rows_of(check, *args):
    """The rows of a check; what it raises is a row with a problem, and the others still run."""
    try:
        yield from check(*args)
    except Exception as error:  # whatever a broken installation raises
        message = f"{type(error).__name__}: {error}".splitlines()[0]
        name = check.__name__.replace("_", " ")
        yield Row(name, message[:200], f"{name}: {message}")


def table(rows):
    """Markdown, which is readable as it stands."""
    width = max(len(row.name) for row in rows)
    lines = [f"| {'what':{width}} | found |", f"| {'-' * width} | --- |"]
    for name, found, problem in rows:
        lines.append(f"| {name:{width}} | {'WRONG: ' if problem else ''}{found} |")
    return "\n".join(lines)


def check(args):
    """All rows."""
    checks = [(machine,), (tensorflow_and_keras,), (packages,), (devices, args.gpus), (trainings,)]
    if args.constraints:
        checks.insert(3, (lambda: [unchanged(read_constraints(args.constraints), installed())],))
    return [row for function, *rest in checks for row in rows_of(function, *rest)]


def main(argv=None):
    """Prints the table; the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--constraints", help="of make_constraints.py: what the image had")
    parser.add_argument("--gpus", type=int, default=0, help="how many there must be (0)")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    rows = check(parser.parse_args(argv))
    print(table(rows))
    problems = [row.problem for row in rows if row.problem]
    for problem in problems:
        print(f"WRONG: {problem}")
    print(f"{len(problems)} problems" if problems else "All is well.")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
