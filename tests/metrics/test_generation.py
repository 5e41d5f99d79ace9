"""The four figures are the means of what they are made of."""

import numpy as np
import pytest

from bert4keras_ext.metrics import bleu, generation_scores, rouge
from tests.metrics.texts import pairs


def test_means_of_f_and_of_sentence_bleu():
    rows = [*pairs()[:20], ("", "好")]
    scores = generation_scores(*zip(*rows), progress=False)
    for name in ("rouge-1", "rouge-2", "rouge-l"):
        wanted = np.mean([rouge(a, b)[name]["f"] for a, b in rows])
        assert abs(scores[name] - wanted) < 1e-12
    assert abs(scores["bleu"] - np.mean([bleu(*row, smoothing="method1") for row in rows])) < 1e-12
    plain = generation_scores(*zip(*rows), smoothing=None)
    assert plain["bleu"] < scores["bleu"] and plain["rouge-l"] == scores["rouge-l"]


def test_tokens():
    assert generation_scores([["a", "b", "c", "d"]], [["a", "b", "c", "d"]])["bleu"] == 1


def test_bad_rows_are_named():
    with pytest.raises(TypeError, match="row 1: reference: expected a text .* found NoneType"):
        generation_scores(["好", "好"], ["好", None])
    with pytest.raises(ValueError, match="found 1 and 2"):
        generation_scores(["好"], ["好", "好"])
