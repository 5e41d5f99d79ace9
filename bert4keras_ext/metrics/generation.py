"""The four figures that papers on Chinese generation report, in one pass."""

from bert4keras_ext.metrics.bleu import bleu
from bert4keras_ext.metrics.progress import with_progress
from bert4keras_ext.metrics.rouge import NAMES, rouge
from bert4keras_ext.metrics.tokens import check_same_length, in_row


def generation_scores(candidates, references, smoothing="method1", progress=None):
    """Means over the rows of the F of ROUGE-1, -2 and -L and of each row's BLEU.

    This is what bert4keras' scripts print, and its tables of CSL and LCSTS titles hold (times
    100): characters, lower-cased, white space left out.

    Args:
        candidates: list of texts, or of lists of tokens; an empty one scores 0.
        references: list of the same length, one reference a row.
        smoothing: of BLEU, see `bleu`.
        progress: `True`, `False`, or `None`: a progress bar if it takes more than two seconds.

    Returns:
        `{"rouge-1": float, "rouge-2": float, "rouge-l": float, "bleu": float}`, from 0 to 1.

    Raises:
        ValueError: lists of different lengths, or empty ones.
        TypeError: other things than texts or lists of tokens.

    Example:

    >>> scores = generation_scores(["基于图的分割", ""], ["基于图的分割", "词的表示"])
    >>> {name: round(value, 4) for name, value in scores.items()}
    {'rouge-1': 0.5, 'rouge-2': 0.5, 'rouge-l': 0.5, 'bleu': 0.5}
    """
    check_same_length(candidates, references, ("candidates", "references"))
    rows = list(zip(candidates, references))
    totals = dict.fromkeys((*NAMES, "bleu"), 0.0)
    for row, (candidate, reference) in enumerate(with_progress(rows, progress, "ROUGE and BLEU")):
        with in_row(row):
            found = rouge(candidate, reference)
            totals["bleu"] += bleu(candidate, [reference], smoothing=smoothing)
        for name, scores in found.items():
            totals[name] += scores["f"]
    return {name: value / len(rows) for name, value in totals.items()}
