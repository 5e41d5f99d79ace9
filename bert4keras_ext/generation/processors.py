"""Logits processors: what changes the scores of the next token before one is chosen.

A processor is any function ``(scores, generated) -> scores`` of float32 scores (batch, width,
vocabulary) and a `Generated`; -inf forbids a token. It is written in ``keras.ops``, since it runs
inside of the compiled loop.
"""

from keras import ops

from bert4keras_ext.generation.search import FORBIDDEN
from bert4keras_ext.generation.token_sets import among, as_ids, followers, marked


class MinNewTokens:
    """Forbids the end tokens until there are so many new ones.

    Args:
        minimum: number of tokens before the end.
        end_ids: token, or tokens, that end a text.
    """

    def __init__(self, minimum, end_ids):
        self.minimum = minimum
        self.end_ids = as_ids(end_ids)

    def __call__(self, scores, generated):
        too_early = generated.length < self.minimum
        ends = among(self.end_ids, scores.shape[-1])
        return ops.where(ops.logical_and(too_early, ends), FORBIDDEN, scores)


class RepetitionPenalty:
    """Divides positive scores of tokens that were there already, multiplies negative ones.

    The prompt counts where it is of one piece with what follows: a language model's, and what the
    decoder of a T5 starts from. The source of a UniLM or T5 is another text.

    Args:
        penalty: above 1 makes repetitions rarer.

    Raises:
        ValueError: for a penalty that is not above 0.

    Source: arXiv 1909.05858.
    """

    def __init__(self, penalty):
        if not penalty > 0:
            raise ValueError(f"expected a penalty above 0, 1 being none; found {penalty}")
        self.penalty = penalty

    def __call__(self, scores, generated):
        penalized = ops.where(scores > 0, scores / self.penalty, scores * self.penalty)
        seen = marked(generated.whole_text(), scores.shape[-1])
        return ops.where(seen, penalized, scores)


class NoRepeatNgram:
    """Forbids a token that would repeat n tokens in a row; the prompt as for RepetitionPenalty.

    Args:
        size: n; 1 forbids every token to come twice.

    Raises:
        ValueError: for a size below 1.
    """

    def __init__(self, size):
        if size < 1:
            raise ValueError(f"expected n-grams of at least 1 token, found a size of {size}")
        self.size = size

    def __call__(self, scores, generated):
        text = generated.whole_text()
        end = ops.shape(generated.prompt)[1] + generated.length
        repeated = followers(text, text, end, self.size - 1)
        return ops.where(marked(repeated, scores.shape[-1]), FORBIDDEN, scores)


class ForbiddenTokens:
    """Forbids tokens.

    Args:
        ids: of the tokens.

    Raises:
        ValueError: when it is used, for ids outside of the vocabulary.

    Example:

    >>> ForbiddenTokens([0])(ops.zeros((1, 1, 3)), None).numpy().tolist()
    [[[-inf, 0.0, 0.0]]]
    """

    def __init__(self, ids):
        self.ids = as_ids(ids)

    def __call__(self, scores, generated):
        return ops.where(among(self.ids, scores.shape[-1]), FORBIDDEN, scores)
