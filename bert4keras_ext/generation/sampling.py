"""Greedy search, and random sampling with top-k and top-p."""

from keras import ops

from bert4keras_ext.backend.tensors import slice_written
from bert4keras_ext.generation.search import FORBIDDEN, Search, for_all_continuations, softmax
from bert4keras_ext.generation.selection import inverse_distribution, top_k

FEW = 128  # tokens that most nuclei are among


class GreedySearch(Search):
    """The most probable token, again and again.

    Args: those of Search. The temperature changes scores, but no token.

    Scores are sums of log-probabilities over ``length ** length_penalty``. A text ends, without
    another token, where all are forbidden.
    """

    def start(self, tokens, limit, prompt, rows, noise=None):
        state = super().start(tokens, limit, prompt, rows)
        return state if noise is None else {**state, "noise": noise}

    def choose(self, logits, state, count):
        logits = for_all_continuations(logits, self.width)
        scores = self.tempered(self.processed(logits, state, count))
        total, state = self.log_total(scores, state)
        tokens = self.pick(scores, state, count)
        gain = ops.take_along_axis(scores, tokens, axis=-1) - total
        # The new shapes also tell the compiler the width.
        tokens, gain = (ops.reshape(x, (-1, self.width)) for x in (tokens, gain))
        return tokens, None, self._updated(state, tokens, gain, count)

    def pick(self, scores, state, count):
        """int32 (batch, width, 1) from scores (batch, width, vocabulary)."""
        return top_k(scores, 1)[1]

    def _updated(self, state, tokens, gain, count):
        goes_on = ops.logical_not(state["finished"])
        counted = ops.logical_and(goes_on, gain != FORBIDDEN)
        written = ops.logical_and(counted, ops.logical_not(self.ends(tokens)))
        unfinished = ops.logical_and(written, count + 1 < state["limit"])
        return {
            **state,
            "tokens": slice_written(state["tokens"], (0, 0, count), tokens[..., None]),
            "lengths": state["lengths"] + ops.cast(written, "int32"),
            "counted": state["counted"] + ops.cast(counted, "int32"),
            "scores": state["scores"] + ops.where(counted, gain, 0.0),
            "finished": ops.logical_not(unfinished),
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

    Scores are those of GreedySearch: of the distribution before top-k and top-p.

    Raises:
        ValueError: for a topk below 1 and a topp outside of [0, 1].

    Source: top-p: arXiv 1904.09751.
    """

    def __init__(self, topk=None, topp=None, **kwargs):
        super().__init__(**kwargs)
        if topk is not None and topk < 1:
            raise ValueError(f"expected a topk of at least 1, or None, found {topk}")
        if topp is not None and not 0 <= topp <= 1:
            raise ValueError(f"expected a topp from 0 to 1, or None, found {topp}")
        self.topk = topk
        self.topp = None if topp == 1 else topp

    def pick(self, scores, state, count):
        uniform = ops.take(state["noise"], count, axis=1)[..., None]
        if self.topk is not None and self.topk < scores.shape[-1]:
            scores, ids = top_k(scores, self.topk)
            return self._drawn(softmax(scores), ids, uniform)
        probabilities = softmax(scores)
        if self.topp is None:
            return inverse_distribution(probabilities, uniform)
        return self._drawn_from_nucleus(probabilities, uniform)

    def _drawn(self, largest, ids, uniform):
        """One of ``ids``, whose probabilities ``largest`` go down."""
        if self.topp is not None:
            reached = ops.cumsum(largest, axis=-1) >= self.topp
            before = ops.pad(reached[..., :-1], ((0, 0), (0, 0), (1, 0)))
            largest = ops.where(before, 0.0, largest)
        return ops.take_along_axis(ids, inverse_distribution(largest, uniform), axis=-1)

    def _drawn_from_nucleus(self, probabilities, uniform, count=FEW):
        """Looks at more tokens only where some nucleus is larger: to sort them all takes long."""
        size = probabilities.shape[-1]
        largest, ids = top_k(probabilities, min(count, size))

        def draw():
            return self._drawn(largest, ids, uniform)

        def draw_from_more():
            return self._drawn_from_nucleus(probabilities, uniform, 8 * count)

        if count >= size:
            return draw()
        too_few = ops.any(ops.cumsum(largest, axis=-1)[..., -1] < self.topp)
        return ops.cond(too_few, draw_from_more, draw)
