"""BLEU of sentences and of whole corpora, as nltk computes it."""

import math
import sys
from collections import Counter

from bert4keras_ext.metrics.progress import with_progress
from bert4keras_ext.metrics.tokens import as_tokens, check_same_length, in_row

EPSILON = 0.1  # matches that method1 puts in place of none
WEIGHTS = (0.25, 0.25, 0.25, 0.25)


def bleu(candidate, references, weights=WEIGHTS, smoothing=None):
    """BLEU of one candidate against one or several references.

    ::

        BLEU = min(1, exp(1 - r / c)) exp(sum_n w_n log p_n)

    with p_n = matches / n-grams of the candidate (an n-gram matches as often as the reference
    that has it most often), c the candidate's length and r that of the reference nearest in
    length (of two, the shorter one). The figures are those of nltk's `sentence_bleu`.

    Args:
        candidate: `str` (its lower-cased characters count) or a list of tokens.
        references: a text, or a list of references, each of the candidate's kind.
        weights: of n = 1, 2, ...
        smoothing: `"method1"` (Chen and Cherry 2014; what bert4keras' scripts take): an n that
            matches nowhere counts 0.1 matches; `None`: as it is, so that the score then all but
            vanishes (nltk puts the smallest float, 2e-308, in place of 0).

    Returns:
        float from 0 to 1; 0 if no word matches.

    Raises:
        ValueError: no reference, an unknown smoothing, weights that are not numbers.
        TypeError: references of another kind than the candidate.

    Example:

    >>> round(bleu("今天天气很好", "今天天气好"), 4)
    0.5373
    >>> round(bleu("天气好", ["今天天气好", "天气好呀"], smoothing="method1"), 4)
    0.4029

    Source: Papineni et al. 2002, "BLEU: a Method for Automatic Evaluation of Machine
    Translation".
    """
    _check(weights, smoothing)
    return _score(_counts(candidate, references, len(weights)), weights, smoothing)


def corpus_bleu(candidates, references, weights=WEIGHTS, smoothing=None, progress=None):
    """BLEU of a corpus: matches and lengths are summed over the rows, then one BLEU is taken.

    It is not the mean of `bleu`, which scripts on Chinese titles report: see
    `generation_scores`. The figures are those of nltk's `corpus_bleu`.

    Args:
        candidates: list of texts, or of lists of tokens.
        references: list of the same length: a row's references, as for `bleu`.
        weights, smoothing: as for `bleu`.
        progress: `True`, `False`, or `None`: a progress bar if it takes more than two seconds.

    Returns:
        float from 0 to 1.

    Raises:
        ValueError, TypeError: as `bleu`, naming the row; lists of different lengths.

    Example:

    >>> round(corpus_bleu(["今天天气很好", "再见"], ["今天天气好", ["再见了", "再见"]]), 4)
    0.4914
    """
    _check(weights, smoothing)
    check_same_length(candidates, references, ("candidates", "references"))
    totals = [0] * (2 * len(weights) + 2)
    rows = list(zip(candidates, references))
    for row, (candidate, wanted) in enumerate(with_progress(rows, progress, "BLEU")):
        with in_row(row):
            counts = _counts(candidate, wanted, len(weights))
        totals = [a + b for a, b in zip(totals, counts)]
    return _score(totals, weights, smoothing)


def _counts(candidate, references, orders):
    """[matches and n-grams of n = 1, of n = 2, ..., length, length of the nearest reference]."""
    found = as_tokens(candidate, "candidate")
    wanted = _as_references(candidate, references)
    counts = []
    for n in range(1, orders + 1):
        ngrams = _ngrams(found, n)
        most = Counter()
        for reference in wanted:
            most |= _ngrams(reference, n)
        counts += [sum((ngrams & most).values()), max(1, sum(ngrams.values()))]
    length = len(found)
    nearest = min((abs(len(reference) - length), len(reference)) for reference in wanted)[1]
    return [*counts, length, nearest]


def _ngrams(tokens, n):
    return Counter(zip(*(tokens[i:] for i in range(n))))


def _as_references(candidate, references):
    if isinstance(references, str):
        references = [references]
    if not isinstance(references, (list, tuple)) or not references:
        raise ValueError(f"expected a reference or a list of some, found {references!r:.80}")
    is_text = isinstance(candidate, str)
    for reference in references:
        if isinstance(reference, str) != is_text:
            raise TypeError(
                f"expected references like the candidate, a {'text' if is_text else 'list'}, found "
                f"{reference!r:.80}; fix: a single list of tokens goes into a list of its own"
            )
    return [as_tokens(reference, "reference") for reference in references]


def _score(counts, weights, smoothing):
    *counts, length, nearest = counts
    if not counts[0]:
        return 0.0
    instead = EPSILON if smoothing == "method1" else 0
    logarithm = 0.0
    for weight, matches, ngrams in zip(weights, counts[::2], counts[1::2]):
        precision = (matches or instead) / ngrams or sys.float_info.min
        logarithm += weight * math.log(precision)
    brevity = 1.0 if length > nearest else math.exp(1 - nearest / length)
    return brevity * math.exp(logarithm)


def _check(weights, smoothing):
    if smoothing not in (None, "method1"):
        raise ValueError(f"smoothing: expected None or 'method1', found {smoothing!r}")
    if not len(weights) or not all(isinstance(weight, (int, float)) for weight in weights):
        raise ValueError(
            f"weights: expected a number for n = 1, 2, ..., as (0.25, 0.25, 0.25, 0.25), found "
            f"{weights!r}"
        )
