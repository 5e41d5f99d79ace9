"""Beam search."""

from keras import ops

from bert4keras_ext.backend.tensors import slice_written
from bert4keras_ext.generation.search import FORBIDDEN, Search, for_all_continuations
from bert4keras_ext.generation.selection import top_k

NOTHING = FORBIDDEN  # the score of a text that is not there


class BeamSearch(Search):
    """The continuations with the greatest sums of log-probabilities, ``width`` at a time.

    Of each row ``width`` unfinished texts are kept, and apart from them the ``width`` best finished
    ones, by ``sum of log-probabilities / length ** length_penalty``. Every step goes on from the
    best continuations of the unfinished ones; one that ends becomes a finished text if it is among
    the best ``width`` of all. At the limit all are taken as finished.

    Args:
        early_stopping: True stops as soon as there are ``width`` finished texts; False when the
            best unfinished one, as long as it is now, would not be among them; "never" when it
            could not be at any length.
        **kwargs: those of Search.

    Processors see log-probabilities, those at the temperature. Where fewer than ``width`` texts can
    be found, the results end with empty ones of score -inf.

    Raises:
        ValueError: for another early_stopping.

    Source: what transformers calls beam search (``num_beams``), whose results it has.
    """

    def __init__(self, early_stopping=False, **kwargs):
        super().__init__(**kwargs)
        if early_stopping not in (True, False, "never"):
            raise ValueError(
                f"early_stopping expects True, False or 'never', found {early_stopping!r}"
            )
        self.early_stopping = early_stopping

    def start(self, tokens, limit, prompt, rows):
        state = super().start(tokens, limit, prompt, rows)
        batch, width, _ = ops.shape(tokens)
        only_first = ops.where(ops.arange(width) == 0, 0.0, NOTHING)
        return {
            **state,
            "scores": ops.zeros((batch, width), "float32") + only_first[None],
            "best_tokens": tokens,
            "best_lengths": state["lengths"],
            "best_scores": ops.full((batch, width), NOTHING, "float32"),
        }

    def choose(self, logits, state, count):
        logits = self.tempered(for_all_continuations(logits, self.width))
        total, state = self.log_total(logits, state)
        scores = self.processed(logits - total, state, count)
        candidates = self._candidates(scores, state, count)
        state = self._with_finished(state, candidates, count + 1)
        return self._with_running(state, candidates, count + 1)

    def _candidates(self, scores, state, count):
        """The best continuations of all beams: more than ``width``, lest ends take all places."""
        vocabulary = scores.shape[-1]
        most = (1 + max(len(self.end_ids), 1)) * self.width
        of_each, tokens = top_k(scores, min(most, vocabulary))  # (batch, width, number)
        sums = state["scores"][..., None] + of_each
        sums, places = ops.top_k(_flat(sums), min(most, sums.shape[1] * sums.shape[2]))
        parents = ops.cast(places // of_each.shape[-1], "int32")
        tokens = ops.take_along_axis(_flat(tokens), places, axis=1)
        is_end = self.ends(tokens)
        texts = ops.take_along_axis(state["tokens"], parents[..., None], axis=1)
        return {
            "scores": sums,
            "parents": parents,
            "tokens": tokens,
            "texts": slice_written(texts, (0, 0, count), tokens[..., None]),
            "lengths": ops.zeros_like(tokens) + count + ops.cast(ops.logical_not(is_end), "int32"),
            "stops": ops.logical_or(is_end, count + 1 >= state["limit"]),
        }

    def _with_finished(self, state, candidates, length):
        """The best finished texts, those that end now among them."""
        rank = ops.arange(candidates["scores"].shape[1])
        taken = ops.logical_and(candidates["stops"], (rank < self.width)[None])
        taken = ops.logical_and(taken, ops.logical_not(state["finished"][:, :1]))
        scores = ops.where(taken, self.penalized(candidates["scores"], length), NOTHING)
        best, places = ops.top_k(_joined(state["best_scores"], scores), self.width)
        tokens = _joined(state["best_tokens"], candidates["texts"])
        lengths = _joined(state["best_lengths"], candidates["lengths"])
        return {
            **state,
            "best_scores": best,
            "best_tokens": ops.take_along_axis(tokens, places[..., None], axis=1),
            "best_lengths": ops.take_along_axis(lengths, places, axis=1),
        }

    def _with_running(self, state, candidates, length):
        """(tokens, parents, state) of the best texts that go on; whether their row may stop."""
        scores = ops.where(candidates["stops"], NOTHING, candidates["scores"])
        scores, places = ops.top_k(scores, self.width)
        tokens, parents = (
            ops.take_along_axis(candidates[name], places, axis=1) for name in ("tokens", "parents")
        )
        texts = ops.take_along_axis(candidates["texts"], places[..., None], axis=1)
        done = self._is_done(scores[:, 0], state, length)
        finished = ops.logical_or(state["finished"], done[:, None])
        return tokens, parents, {**state, "tokens": texts, "scores": scores, "finished": finished}

    def _is_done(self, best, state, length):
        """bool (batch,): even the best unfinished text is not worth going on with."""
        worst = ops.min(state["best_scores"], axis=1)
        over = ops.logical_or(length >= state["limit"], best == NOTHING)
        if self.early_stopping is True:
            return ops.logical_or(over, worst > NOTHING)
        if self.early_stopping == "never" and self.length_penalty > 0:
            length = state["limit"]
        # A worst of -inf is a place that is free.
        return ops.logical_or(over, self.penalized(best, length) <= worst)

    def results(self, state):
        return state["best_tokens"], state["best_lengths"], state["best_scores"]


def _flat(x):
    """(batch, width, n) as (batch, width * n)."""
    return ops.reshape(x, (-1, x.shape[1] * x.shape[2]))


def _joined(old, new):
    return ops.concatenate([old, new], axis=1)
