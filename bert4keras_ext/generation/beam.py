"""Beam search."""

from keras import ops

from bert4keras_ext.backend.tensors import slice_written
from bert4keras_ext.generation.search import Search, for_all_continuations, invalid_rows

LOWEST = -1e9  # of a beam that does not exist


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

    Processors see log-probabilities.

    Source: what transformers calls beam search (``num_beams``), whose results it has.
    """

    def __init__(self, early_stopping=False, **kwargs):
        super().__init__(**kwargs)
        self.early_stopping = early_stopping

    def start(self, tokens, limit, prompt, rows):
        state = super().start(tokens, limit, prompt, rows)
        batch, width, _ = ops.shape(tokens)
        only_first = ops.where(ops.arange(width) == 0, 0.0, LOWEST)
        return {
            **state,
            "scores": ops.zeros((batch, width), "float32") + only_first[None],
            "best_tokens": tokens,
            "best_lengths": state["lengths"],
            "best_scores": ops.full((batch, width), LOWEST, "float32"),
            "is_text": state["finished"],  # which of the best are there
        }

    def choose(self, logits, state, count):
        state = {**state, "invalid": invalid_rows(logits, state)}
        logits = for_all_continuations(logits, self.width)
        scores = self.processed(self.log_probabilities(logits), state, count)
        candidates = self._candidates(scores, state, count)
        state = self._with_finished(state, candidates, count)
        return self._with_running(state, candidates, count)

    def _candidates(self, scores, state, count):
        """The best continuations of all beams: more than ``width``, lest ends take all places."""
        batch, width, vocabulary = ops.shape(scores)
        total = ops.reshape(state["scores"][..., None] + scores, (batch, width * scores.shape[-1]))
        number = min((1 + max(len(self.end_ids), 1)) * self.width, self.width * scores.shape[-1])
        total, places = ops.top_k(total, number)
        tokens = ops.cast(places % vocabulary, "int32")
        is_end = self.ends(tokens)
        at_limit = count + 1 >= state["limit"]
        return {
            "scores": ops.maximum(total, LOWEST),
            "parents": ops.cast(places // vocabulary, "int32"),
            "tokens": tokens,
            "lengths": ops.zeros_like(tokens) + count + ops.cast(ops.logical_not(is_end), "int32"),
            "stops": ops.logical_or(is_end, at_limit),
        }

    def _with_finished(self, state, candidates, count):
        """The best finished texts, those that end now among them."""
        rank = ops.arange(ops.shape(candidates["scores"])[1])
        ends = ops.logical_and(candidates["stops"], (rank < self.width)[None])
        ends = ops.logical_and(ends, candidates["scores"] > LOWEST)
        ends = ops.logical_and(ends, ops.logical_not(state["finished"][:, :1]))
        scores = ops.where(ends, self.penalized(candidates["scores"], count + 1), LOWEST)
        all_scores = ops.concatenate([state["best_scores"], scores], axis=1)
        best, places = ops.top_k(all_scores, self.width)
        texts = self._texts(state, candidates, count)
        return {
            **state,
            "best_scores": best,
            "best_tokens": _taken(state["best_tokens"], texts, places),
            "best_lengths": _taken(state["best_lengths"], candidates["lengths"], places),
            "is_text": _taken(state["is_text"], ends, places),
        }

    def _texts(self, state, candidates, count):
        before = ops.take_along_axis(state["tokens"], candidates["parents"][..., None], axis=1)
        return slice_written(before, (0, 0, count), candidates["tokens"][..., None])

    def _with_running(self, state, candidates, count):
        """The best texts that go on, and whether their row may stop."""
        scores = ops.where(candidates["stops"], LOWEST, candidates["scores"])
        scores, places = ops.top_k(scores, self.width)
        tokens = ops.take_along_axis(candidates["tokens"], places, axis=1)
        parents = ops.take_along_axis(candidates["parents"], places, axis=1)
        texts = ops.take_along_axis(state["tokens"], parents[..., None], axis=1)
        texts = slice_written(texts, (0, 0, count), tokens[..., None])
        done = self._is_done(scores, state, count + 1)
        finished = ops.logical_or(state["finished"], done[:, None])
        return tokens, parents, {**state, "tokens": texts, "scores": scores, "finished": finished}

    def _is_done(self, scores, state, length):
        """bool (batch,): no unfinished text is worth going on with."""
        at_limit = ops.logical_or(length >= state["limit"], scores[:, 0] <= LOWEST)
        full = ops.all(state["is_text"], axis=1)
        if self.early_stopping is True:
            return ops.logical_or(at_limit, full)
        never = self.early_stopping == "never" and self.length_penalty > 0
        best = self.penalized(scores[:, 0], state["limit"] if never else length)
        worst = ops.where(full, ops.min(state["best_scores"], axis=1), LOWEST)
        return ops.logical_or(at_limit, best <= worst)

    def results(self, state):
        return state["best_tokens"], state["best_lengths"], state["best_scores"]


def _taken(old, new, places):
    """Rows ``places`` (batch, width) of old and new, joined along axis 1."""
    both = ops.concatenate([old, ops.cast(new, old.dtype)], axis=1)
    places = ops.reshape(places, (*ops.shape(places), *[1] * (len(both.shape) - 2)))
    return ops.take_along_axis(both, places, axis=1)
