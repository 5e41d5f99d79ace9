"""Logits processors: what changes the scores of the next token before one is chosen.

A processor is any function ``(scores, generated) -> scores`` of float32 scores (batch, width,
vocabulary) and a `Generated`; -inf forbids a token. It is written in ``keras.ops``, since it runs
inside of the compiled loop.
"""

import numpy as np
from keras import ops

from bert4keras_ext.generation.search import FORBIDDEN


class MinNewTokens:
    """Forbids the end tokens until there are so many new ones.

    Args:
        minimum: number of tokens before the end.
        end_ids: tokens that end a text.
    """

    def __init__(self, minimum, end_ids):
        self.minimum = minimum
        self.end_ids = tuple(end_ids)

    def __call__(self, scores, generated):
        if not self.end_ids:
            return scores
        ends = ops.convert_to_tensor(_is_among(self.end_ids, scores.shape[-1]))
        return ops.where(ops.logical_and(generated.length < self.minimum, ends), FORBIDDEN, scores)


class RepetitionPenalty:
    """Divides positive scores of tokens that were there already, multiplies negative ones.

    The prompt counts where it is of one piece with what follows (a language model's); that of a
    UniLM or T5 is another text.

    Args:
        penalty: above 1 makes repetitions rarer.

    Source: arXiv 1909.05858.
    """

    def __init__(self, penalty):
        self.penalty = penalty

    def __call__(self, scores, generated):
        penalized = ops.where(scores > 0, scores / self.penalty, scores * self.penalty)
        tokens = ops.where(generated.is_new(), generated.tokens, -1)
        seen = marked(_sequence(generated, tokens), scores.shape[-1])
        return ops.where(seen, penalized, scores)


class NoRepeatNgram:
    """Forbids a token that would repeat n tokens in a row; the prompt as for RepetitionPenalty.

    Args:
        size: n; 1 forbids every token to come twice.
    """

    def __init__(self, size):
        self.size = size

    def __call__(self, scores, generated):
        tokens = ops.where(generated.is_new(), generated.tokens, -1)
        text = _sequence(generated, tokens)
        end = ops.shape(text)[2] - ops.shape(tokens)[2] + generated.length
        return ops.where(
            marked(followers(text, text, end, self.size - 1), scores.shape[-1]), FORBIDDEN, scores
        )


class ForbiddenTokens:
    """Forbids tokens.

    Args:
        ids: of the tokens.

    Example:

    >>> ForbiddenTokens([0])(ops.zeros((1, 1, 3)), None).numpy().tolist()
    [[[-inf, 0.0, 0.0]]]
    """

    def __init__(self, ids):
        self.ids = tuple(int(i) for i in ids)

    def __call__(self, scores, generated):
        forbidden = ops.convert_to_tensor(_is_among(self.ids, scores.shape[-1]))
        return ops.where(forbidden, FORBIDDEN, scores)


def _is_among(ids, vocabulary):
    outside = [i for i in ids if not 0 <= i < vocabulary]
    if outside:
        raise ValueError(f"expected ids of the {vocabulary} tokens, found {outside[:5]}")
    found = np.zeros(vocabulary, "bool")
    found[list(ids)] = True
    return found


def _sequence(generated, tokens):
    """The prompt and the new tokens, one after the other: (batch, width, places), -1 for none."""
    batch, width, _ = ops.shape(tokens)
    prompt = generated.prompt[:, None]
    prompt = ops.broadcast_to(prompt, (batch, width, ops.shape(prompt)[2]))
    return ops.concatenate([prompt, tokens], axis=2)


def marked(ids, vocabulary):
    """bool (batch, width, vocabulary): which tokens are among ids (batch, width, n); -1 is none."""
    batch, width, _ = ops.shape(ids)
    first = ops.arange(batch * width) * (vocabulary + 1)
    places = ops.reshape(first, (batch, width, 1)) + ops.where(ids < 0, vocabulary, ids)
    places = ops.reshape(places, (-1, 1))
    found = ops.zeros((batch * width * (vocabulary + 1),), "int32")
    found = ops.scatter_update(found, places, ops.ones_like(places[:, 0], dtype="int32"))
    return ops.reshape(found, (batch, width, vocabulary + 1))[..., :vocabulary] > 0


def followers(text, written, end, size):
    """What follows in a text wherever the last ``size`` written tokens stand: -1 elsewhere.

    Args:
        text, written: int32 (batch, width, places); text may have width 1.
        end: how many places of ``written`` are written, a scalar.
        size: how many tokens have to agree; where fewer are written, none does.

    Returns:
        int32 (batch, width, places).
    """
    agree = ops.ones_like(text, dtype="bool")
    for back in range(1, size + 1):
        token = ops.take(written, ops.maximum(end - back, 0), axis=2)[..., None]
        before = shifted(text, back)
        agree = ops.logical_and(agree, ops.logical_and(before == token, before >= 0))
    return ops.where(ops.logical_and(agree, end >= size), text, -1)


def shifted(text, places):
    """Each place has what stood ``places`` before it; -1 at the beginning."""
    length = ops.shape(text)[-1]
    moved = ops.roll(text, places, axis=-1)
    return ops.where(ops.arange(length) < places, -1, moved)
