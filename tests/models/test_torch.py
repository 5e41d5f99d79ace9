"""Models on Keras' PyTorch backend, where that is installed: what they are on TensorFlow's."""

import pytest

from tests.models.backends import check_equal, two_steps, written

# Plain, with relative positions, gated, encoder and decoder, and one with many parts of its own.
NAMES = ["bert", "nezha", "gau_alpha", "gpt2", "t5.1.1", "deberta_v2"]


def test_predicts_and_learns_what_it_does_on_tensorflow(tmp_path):
    pytest.importorskip("torch")
    found = written(tmp_path / "torch.npz", "torch", *NAMES)
    for name in NAMES:
        check_equal(name, two_steps(name), found)
