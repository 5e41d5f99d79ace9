"""ROUGE-1, ROUGE-2 and ROUGE-L, as the `rouge` package defines them."""

from bert4keras_ext.data.common_sequences import longest_common_subsequence
from bert4keras_ext.metrics.progress import with_progress
from bert4keras_ext.metrics.tokens import as_tokens, check_same_length, in_row

NAMES = ("rouge-1", "rouge-2", "rouge-l")
SMALL = 1e-8  # in the denominator of F, as the package has it: an F of 1 comes out as 1 - 5e-9


def rouge(candidate, reference):
    """ROUGE of one candidate: how much of it, and of the reference, the other holds.

    With C and R the sets of n-grams of candidate and reference (a repeated n-gram counts once)::

        p = |C & R| / |C|,   r = |C & R| / |R|,   f = 2 p r / (p + r + 1e-8)

    for n = 1 and 2. ROUGE-L puts the words of the longest common subsequences of each sentence
    of the reference with each of the candidate in place of C & R, and single words in C and R.
    Sentences end at the full stop `"."`, which is no word itself; Chinese ones go on through
    `"。"`. These are the definitions, and the figures, of the `rouge` package
    (1.0.1, pltrdy) for `" ".join(tokens)`; it fails on empty texts and, by recursion, on long
    ones, which are scored here.

    Args:
        candidate: what was generated; `str` (its lower-cased characters count as words) or a
            list of tokens (their case counts).
        reference: what was expected; the same.

    Returns:
        `{"rouge-1": {"r": recall, "p": precision, "f": F}, "rouge-2": ..., "rouge-l": ...}`; all
        0 if the candidate or the reference is empty.

    Raises:
        TypeError: neither texts nor lists.

    Example:

    >>> scores = rouge("今天天气好", "今天天气很好")
    >>> scores["rouge-1"]["p"], scores["rouge-1"]["r"], round(scores["rouge-2"]["f"], 4)
    (1.0, 0.8, 0.6667)

    Source: Lin 2004, "ROUGE: A Package for Automatic Evaluation of Summaries".
    """
    candidate = _sentences(candidate, "candidate")
    reference = _sentences(reference, "reference")
    if not candidate or not reference:
        return {name: {"r": 0.0, "p": 0.0, "f": 0.0} for name in NAMES}
    found, wanted = sum(candidate, []), sum(reference, [])
    scores = {}
    for n in (1, 2):
        c, r = _ngrams(found, n), _ngrams(wanted, n)
        scores[f"rouge-{n}"] = _ratios(len(c & r), len(c), len(r))
    common = _common_words(candidate, reference)
    scores["rouge-l"] = _ratios(len(common), len(set(found)), len(set(wanted)))
    return scores


def rouge_corpus(candidates, references, progress=None):
    """Means of `rouge` over many rows.

    Args:
        candidates: list; an empty candidate scores 0.
        references: list of the same length.
        progress: `True`, `False`, or `None`: a progress bar if it takes more than two seconds.

    Returns:
        As `rouge`.

    Raises:
        ValueError: lists of different lengths, or empty ones.
        TypeError: other things than lists of texts or of lists.

    Example:

    >>> round(rouge_corpus(["今天", ""], ["今天", "明天"])["rouge-1"]["f"], 4)
    0.5
    """
    check_same_length(candidates, references, ("candidates", "references"))
    rows = list(zip(candidates, references))
    totals = {name: {"r": 0.0, "p": 0.0, "f": 0.0} for name in NAMES}
    for row, pair in enumerate(with_progress(rows, progress, "ROUGE")):
        with in_row(row):
            found = rouge(*pair)
        for name, scores in found.items():
            for key, value in scores.items():
                totals[name][key] += value
    return {
        name: {key: value / len(rows) for key, value in scores.items()}
        for name, scores in totals.items()
    }


def _sentences(text, name):
    """Lists of words, cut at full stops; a sentence of white space alone is one empty word."""
    spaced = " ".join(map(str, text if isinstance(text, str) else as_tokens(text, name)))
    spaced = spaced.lower() if isinstance(text, str) else spaced
    return [sentence.split() or [""] for sentence in spaced.split(".") if sentence]


def _ngrams(words, n):
    return set(zip(*(words[i:] for i in range(n))))


def _common_words(candidate, reference):
    """Words of the longest common subsequences of all pairs of sentences."""
    common = set()
    for wanted in reference:
        for found in candidate:
            # In this order: of several longest subsequences it is the one the package takes.
            pairs = longest_common_subsequence(found, wanted)[1]
            common.update(wanted[j] for _, j in pairs)
    return common


def _ratios(common, found, wanted):
    precision = common / found if found else 0.0
    recall = common / wanted if wanted else 0.0
    f = 2 * precision * recall / (precision + recall + SMALL)
    return {"r": recall, "p": precision, "f": f}
