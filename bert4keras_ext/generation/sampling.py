"""Greedy search, and random sampling with top-k and top-p."""

from keras import ops

from bert4keras_ext.backend.tensors import slice_written
from bert4keras_ext.generation.search import Search, for_all_continuations, invalid_rows


class GreedySearch(Search):
    """The most probable token, again and again.

    Args: those of Search, of which the temperature has no effect.

    Scores are sums of log-probabilities over ``length ** length_penalty``.
    """

    def start(self, tokens, limit, prompt, rows, noise=None):
        state = super().start(tokens, limit, prompt, rows)
        return state if noise is None else {**state, "noise": noise}

    def choose(self, logits, state, count):
        invalid = invalid_rows(logits, state)
        logits = for_all_continuations(logits, self.width)
        scores = self.processed(logits, state, count)
        log_probabilities = self.log_probabilities(scores)
        tokens = ops.reshape(self.pick(scores, state, count), (-1, self.width))
        gain = ops.take_along_axis(log_probabilities, tokens[..., None], axis=-1)
        gain = ops.reshape(gain, (-1, self.width))  # says the width to the compiler
        return tokens, None, self._updated({**state, "invalid": invalid}, tokens, gain, count)

    def pick(self, scores, state, count):
        """int32 (batch, width) from scores (batch, width, vocabulary)."""
        return ops.cast(ops.argmax(scores, axis=-1), "int32")

    def _updated(self, state, tokens, gain, count):
        goes_on = ops.logical_not(state["finished"])
        dead = gain == float("-inf")  # no token was allowed: the text ends here, without one
        written = ops.logical_and(goes_on, ops.logical_not(ops.logical_or(dead, self.ends(tokens))))
        stops = ops.logical_or(dead, self.ends(tokens))
        stops = ops.logical_or(stops, count + 1 >= state["limit"])
        counted = ops.logical_and(goes_on, ops.logical_not(dead))
        total = state["scores"] + ops.where(counted, gain, 0.0)
        return {
            **state,
            "tokens": slice_written(state["tokens"], (0, 0, count), tokens[..., None]),
            "lengths": state["lengths"] + ops.cast(written, "int32"),
            "counted": state["counted"] + ops.cast(counted, "int32"),
            "scores": total,
            "finished": ops.logical_or(state["finished"], stops),
        }

    def results(self, state):
        return state["tokens"], state["lengths"], self.penalized(state["scores"], state["counted"])


class Sampling(GreedySearch):
    """Draws each token from the distribution of the model.

    Of the probabilities the ``topk`` largest are kept, and of those the fewest whose sum reaches
    ``topp``; the rest are 0 (bert4keras' order). The draw inverts the distribution function at a
    number that is given beforehand, so results depend on the numbers of a row alone: not on the
    batch it is in, nor on the backend's generator.

    Args:
        topk: None keeps all; more than the vocabulary is all of it.
        topp: 0 keeps the most probable token alone; None or 1 keeps all.
        **kwargs: those of Search; width is the number of samples of each row.

    The state has ``noise``: float32 (batch, capacity, width), uniform on [0, 1).

    Source: top-p: arXiv 1904.09751.
    """

    def __init__(self, topk=None, topp=None, **kwargs):
        super().__init__(**kwargs)
        self.topk = topk
        self.topp = None if topp == 1 else topp

    def pick(self, scores, state, count):
        uniform = ops.take(state["noise"], count, axis=1)[..., None]
        ids = None
        if self.topk is not None or self.topp is not None:
            size = scores.shape[-1]
            scores, ids = ops.top_k(scores, min(self.topk or size, size))
        probabilities = ops.softmax(scores, axis=-1)
        place = inverse_distribution(self._nucleus(probabilities), uniform)
        picked = place if ids is None else ops.take_along_axis(ids, place, axis=-1)
        return ops.cast(picked[..., 0], "int32")

    def _nucleus(self, probabilities):
        if self.topp is None:
            return probabilities
        before = ops.cumsum(probabilities, axis=-1) - probabilities
        kept = ops.logical_or(before < self.topp, ops.arange(probabilities.shape[-1]) == 0)
        return ops.where(kept, probabilities, 0.0)


def inverse_distribution(weights, uniform):
    """The place at which the running sum of weights passes ``uniform`` times the whole.

    Args:
        weights: (..., n), not negative; a place of weight 0 is never returned.
        uniform: (..., 1), in [0, 1).

    Returns:
        int32 (..., 1).

    Example:

    >>> inverse_distribution(ops.array([0.5, 0.0, 0.5]), ops.array([0.5])).numpy().tolist()
    [2]
    """
    sums = ops.cumsum(weights, axis=-1)
    passed = ops.cast(sums <= uniform * sums[..., -1:], "int32")
    place = ops.sum(passed, axis=-1, keepdims=True)
    # Rounding may push it past the end: the last place with a weight is meant.
    places = ops.arange(weights.shape[-1])
    last = ops.max(ops.where(weights > 0, places, 0), axis=-1, keepdims=True)
    return ops.minimum(place, ops.cast(last, "int32"))
