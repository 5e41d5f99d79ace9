"""Viterbi decoding against bert4keras' recordings and brute force."""

import itertools
import json

import numpy as np
import pytest

from bert4keras_ext.numerics import ViterbiDecoder
from tests.shared import oracle

ARRAYS = dict(np.load(oracle("bert4keras") / "snippets.npz"))
DESCRIBED = json.loads((oracle("bert4keras") / "snippets.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("number", range(len(DESCRIBED["viterbi"])))
def test_equals_bert4keras(number):
    case = {k.split("/")[-1]: v for k, v in ARRAYS.items() if k.startswith(f"viterbi/{number}/")}
    decoder = ViterbiDecoder(case["trans"], **DESCRIBED["viterbi"][number])
    np.testing.assert_array_equal(decoder.decode(case["nodes"]), case["out"])


@pytest.mark.parametrize("starts, ends", [(None, None), ([0, 1], None), (None, [2]), ([1], [0])])
def test_equals_brute_force(starts, ends):
    rng = np.random.default_rng(0)
    trans, nodes = rng.normal(size=(3, 3)), rng.normal(size=(5, 3))
    before = nodes.copy()

    def score(path):
        points = sum(nodes[t, y] for t, y in enumerate(path))
        return points + sum(trans[a, b] for a, b in itertools.pairwise(path))

    allowed = [p for p in itertools.product(range(3), repeat=5)
               if p[0] in (starts or range(3)) and p[-1] in (ends or range(3))]  # fmt: skip
    found = ViterbiDecoder(trans, starts, ends).decode(nodes)
    assert tuple(found) == max(allowed, key=score)
    np.testing.assert_array_equal(nodes, before)  # bert4keras wrote -inf into them


def test_a_single_row():
    assert ViterbiDecoder(np.zeros((2, 2)), ends=[0]).decode([[0.0, 5.0]]).tolist() == [0]


@pytest.mark.parametrize(
    "trans, nodes, message",
    [
        (np.zeros((2, 3)), None, "square table"),
        (np.zeros((2, 2)), np.zeros((3, 4)), r"scores \(length, 2\).*found \(3, 4\)"),
        (np.zeros((2, 2)), np.zeros((0, 2)), "at least 1"),
        (np.full((2, 2), -np.inf), np.zeros((2, 2)), "no path is allowed"),
    ],
)
def test_bad_input(trans, nodes, message):
    with pytest.raises(ValueError, match=message):
        ViterbiDecoder(trans).decode(nodes)
