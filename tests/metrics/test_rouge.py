"""ROUGE against the `rouge` package's recorded answers and against its definition."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bert4keras_ext.metrics import rouge, rouge_corpus
from bert4keras_ext.metrics.rouge import NAMES
from tests import peers
from tests.metrics.texts import pairs, spaced

TEXTS = st.text(alphabet="甲乙丙丁ab", min_size=1, max_size=12)


def as_array(scores):
    return np.array([[scores[name][key] for key in "rpf"] for name in NAMES])


@pytest.fixture(scope="module")
def recorded():
    """(pairs, rpf) of the package."""
    rows = [(spaced(a), spaced(b)) for a, b in pairs()]

    def ask():
        from rouge import Rouge

        found = Rouge().get_scores(*map(list, zip(*rows)))
        return {"scores": np.array([as_array(scores) for scores in found])}

    return peers.answer("rouge", [np.array(rows)], ask)["scores"]


def test_texts_score_as_the_package_scores_their_spaced_characters(recorded):
    found = [as_array(rouge(a, b)) for a, b in pairs()]
    np.testing.assert_allclose(found, recorded, rtol=0, atol=1e-12)


def test_tokens_score_as_the_package_scores_them_joined_by_spaces(recorded):
    found = [as_array(rouge(spaced(a).split(" "), spaced(b).split(" "))) for a, b in pairs()]
    np.testing.assert_allclose(found, recorded, rtol=0, atol=1e-12)


def test_the_mean_over_rows(recorded):
    found = as_array(rouge_corpus(*zip(*pairs()), progress=False))
    np.testing.assert_allclose(found, recorded.mean(0), rtol=0, atol=1e-12)


def lcs_table(a, b):
    table = np.zeros((len(a) + 1, len(b) + 1))
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            best = max(table[i, j + 1], table[i + 1, j])
            table[i + 1, j + 1] = table[i, j] + 1 if x == y else best
    return table[-1, -1]


@given(st.permutations("甲乙丙丁戊己庚"), st.permutations("甲乙丙丁戊己庚"), st.integers(1, 7))
@settings(max_examples=60, deadline=None)
def test_rouge_l_is_the_longest_common_subsequence_where_no_word_repeats(a, b, cut):
    a = a[:cut]
    scores = rouge(a, b)["rouge-l"]
    assert abs(scores["p"] - lcs_table(a, b) / len(a)) < 1e-12
    assert abs(scores["r"] - lcs_table(a, b) / len(b)) < 1e-12


@given(TEXTS, TEXTS)
@settings(max_examples=100, deadline=None)
def test_bounds_and_symmetry(a, b):
    there, back, same = rouge(a, b), rouge(b, a), rouge(a, a)
    for name in NAMES:
        assert 0 <= there[name]["f"] <= 1
        if name != "rouge-l":  # of two longest subsequences each way takes its own
            assert there[name]["p"] == back[name]["r"] and there[name]["f"] == back[name]["f"]
        holds_one = len(a) > 1 or name != "rouge-2"
        assert abs(same[name]["f"] - holds_one) < 1e-8
    assert there["rouge-2"]["f"] <= 1 and there["rouge-l"]["p"] <= there["rouge-1"]["p"]


@pytest.mark.parametrize("a, b", [("", "好"), ("好", ""), ("", ""), ([], ["好"]), ("  ", "好")])
def test_nothing_scores_zero(a, b):
    assert not as_array(rouge(a, b)).any()


def test_long_texts():
    """The package recurses once a character."""
    rng = np.random.default_rng(0)
    a = "".join(rng.choice(list("甲乙丙丁戊己庚辛"), 3000))
    assert abs(rouge(a, a + a)["rouge-l"]["f"] - 1) < 1e-8


def test_tokens_may_be_anything():
    assert rouge([1, 2, 3], [1, 2, 4])["rouge-2"]["p"] == 0.5


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: rouge(3, "好"), TypeError, "candidate: expected a text .* found int: 3"),
        (lambda: rouge("好", b"x"), TypeError, "reference: expected a text .* found bytes"),
        (lambda: rouge_corpus(["好"], ["好", "坏"]), ValueError, "found 1 and 2; fix"),
        (lambda: rouge_corpus(["好", None], ["好"] * 2), TypeError, "row 1: candidate: expected"),
        (lambda: rouge_corpus([], []), ValueError, "at least one row, found no candidates"),
        (lambda: rouge_corpus("好", ["好"]), TypeError, "candidates: expected a list .* found str"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
