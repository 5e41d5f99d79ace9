"""Recorded cases of bert4keras' layers: inputs, weights, outputs and gradients."""

import json
from functools import cache

import numpy as np

from tests.shared import oracle


@cache
def _files():
    folder = oracle("bert4keras")
    with open(folder / "layers.json", encoding="utf-8") as file:
        return json.load(file), dict(np.load(folder / "layers.npz"))


class RecordedCase:
    """One case of layers.npz."""

    def __init__(self, name):
        described, arrays = _files()
        self.arrays = {k.split("/", 1)[1]: v for k, v in arrays.items() if k.startswith(f"{name}/")}
        config = dict(described[name]["config"])
        for key in [k for k in config if "initializer" in k]:
            del config[key]  # the weights are given
        self.config = {k: v for k, v in config.items() if k not in ("name", "trainable", "dtype")}
        self.cls = described[name]["cls"]
        self.call = described[name]["call"]
        self.inputs = self._numbered("in")
        self.weights = self._numbered("w")
        self.outputs = self._numbered("out")
        self.masks = {int(k[5:]): v.astype(bool) for k, v in self.arrays.items()
                      if k.startswith("mask_") and k[5:].isdigit()}  # fmt: skip

    def _numbered(self, kind):
        keys = [k for k in self.arrays if k.startswith(f"{kind}_") and k.split("_")[1].isdigit()]
        return [self.arrays[k] for k in sorted(keys, key=lambda k: int(k.split("_")[1]))]

    def load(self, layer, build):
        """Builds the layer by calling it once, and sets the recorded weights."""
        build()
        assert [w.shape for w in layer.weights] == [w.shape for w in self.weights]
        for variable, value in zip(layer.weights, self.weights):
            variable.assign(value)

    def check(self, layer, run, tolerance, names=(), listed=False, exact=None):
        """Compares the output and all gradients of ``run(*inputs)`` with the recorded ones.

        ``exact`` are gradients in float64, by the name of their recording. Sums of thousands of
        terms are no nearer to the truth than float32 rounds them: such a gradient is compared with
        the truth and with the recording at ``tolerance`` times its largest entry.
        """
        import tensorflow as tf

        inputs = [tf.convert_to_tensor(x) for x in self.inputs]

        def call():
            if listed:
                return run(inputs)
            plain = len(inputs) - len(names)
            return run(*inputs[:plain], **dict(zip(names, inputs[plain:])))

        self.load(layer, call)
        with tf.GradientTape() as tape:
            watched = [x for x in inputs if x.dtype.is_floating]
            tape.watch(watched)
            output = call()
            total = tf.reduce_sum(output * self.arrays["ct"]) if "ct" in self.arrays else 0.0
        np.testing.assert_allclose(output, self.outputs[0], atol=tolerance, rtol=tolerance)
        if "ct" not in self.arrays:
            return
        by_input = iter(tape.gradient(total, watched)) if watched else iter(())
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(call() * self.arrays["ct"])
        by_weight = tape.gradient(total, [w.value for w in layer.trainable_weights])
        found = {f"din_{i}": next(by_input) for i, x in enumerate(inputs) if x.dtype.is_floating}
        found |= {f"dw_{i}": gradient for i, gradient in enumerate(by_weight)}
        for name, gradient in found.items():
            if name in self.arrays:
                truth = None if exact is None else exact[name]
                _compare(gradient, self.arrays[name], tolerance, truth)


def _compare(gradient, wanted, tolerance, truth):
    import tensorflow as tf

    found = np.zeros_like(wanted) if gradient is None else tf.convert_to_tensor(gradient)
    if truth is None:
        np.testing.assert_allclose(found, wanted, atol=tolerance, rtol=tolerance)
    else:
        near = tolerance * np.abs(truth).max()
        np.testing.assert_allclose(found, truth, atol=near, rtol=0)
        np.testing.assert_allclose(found, wanted, atol=near, rtol=0)


def recorded_case(name):
    return RecordedCase(name)


def recorded_names():
    return list(_files()[0])
