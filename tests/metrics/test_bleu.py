"""BLEU against nltk's recorded answers."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bert4keras_ext.metrics import bleu, corpus_bleu
from tests import peers
from tests.metrics.texts import pairs, spaced

BIGRAMS = (0.5, 0.5)
TEXTS = st.text(alphabet="甲乙丙丁ab", max_size=12)


def tokens(text):
    return spaced(text).split()


def rows():
    """(candidate, references): one, two or three references."""
    found = pairs()
    references = [b for _, b in found]
    return [(a, (references[i:] + references)[: 1 + i % 3]) for i, (a, _) in enumerate(found)]


def ask():
    from nltk.translate.bleu_score import SmoothingFunction, corpus_bleu, sentence_bleu

    method1 = SmoothingFunction().method1
    split = [([tokens(r) for r in wanted], tokens(a)) for a, wanted in rows()]
    references, candidates = map(list, zip(*split))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {
            "plain": [sentence_bleu(r, a) for r, a in split],
            "method1": [sentence_bleu(r, a, smoothing_function=method1) for r, a in split],
            "bigrams": [sentence_bleu(r, a, BIGRAMS) for r, a in split],
            "corpus": [
                corpus_bleu(references, candidates),
                corpus_bleu(references, candidates, BIGRAMS),
                corpus_bleu(references[3:4], candidates[3:4], smoothing_function=method1),
            ],
        }


@pytest.fixture(scope="module")
def recorded():
    question = [np.array([a, *wanted]) for a, wanted in rows()]
    return peers.answer("nltk_bleu", question, ask)


@pytest.mark.parametrize(
    "name, kwargs",
    [("plain", {}), ("method1", {"smoothing": "method1"}), ("bigrams", {"weights": BIGRAMS})],
)
def test_sentences(recorded, name, kwargs):
    found = [bleu(a, wanted, **kwargs) for a, wanted in rows()]
    np.testing.assert_allclose(found, recorded[name], rtol=1e-12, atol=0)
    as_lists = [bleu(tokens(a), [tokens(r) for r in wanted], **kwargs) for a, wanted in rows()]
    assert as_lists == found


def test_the_corpus(recorded):
    candidates, references = zip(*rows())
    found = [
        corpus_bleu(candidates, references, progress=False),
        corpus_bleu(candidates, references, BIGRAMS),
        corpus_bleu(candidates[3:4], references[3:4], smoothing="method1"),
    ]
    np.testing.assert_allclose(found, recorded["corpus"], rtol=1e-12, atol=0)


@given(TEXTS, st.lists(TEXTS, min_size=1, max_size=3))
@settings(max_examples=100, deadline=None)
def test_bounds_and_identity(a, references):
    score = bleu(a, references, smoothing="method1")
    assert 0 <= score <= 1
    assert bleu(a, references[::-1], smoothing="method1") == score
    if len(a) >= 4:
        assert abs(bleu(a, [*references, a]) - 1) < 1e-12
        assert abs(corpus_bleu([a, a], [a, [a]]) - 1) < 1e-12


def test_nothing_scores_zero():
    assert bleu("", "好") == bleu("好", "") == bleu([], [["好"]]) == 0
    assert corpus_bleu(["", "今天天气"], ["好", "今天天气"]) > 0


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: bleu("好", []), ValueError, "a reference or a list of some, found"),
        (lambda: bleu(["好"], ["好"]), TypeError, "like the candidate, a list, found '好'; fix"),
        (lambda: bleu("好", [["好"]]), TypeError, "like the candidate, a text, found"),
        (lambda: bleu("好", "好", smoothing="method2"), ValueError, "None or 'method1', found"),
        (lambda: bleu("好", "好", weights=()), ValueError, "weights: expected a number"),
        (lambda: corpus_bleu(["好", "好"], ["好", 3]), ValueError, "row 1: expected a reference"),
        (lambda: corpus_bleu(["好"], []), ValueError, "found 1 and 0"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
