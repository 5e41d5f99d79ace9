"""What every way of choosing tokens shares, and the loop that alternates choosing and reading.

Nothing here knows a model. A model is two things: the logits of the first new token, and a step
function that reads the chosen tokens and gives the logits of the next ones,

    ``logits, caches = step(tokens, parents, count, caches)``

with int32 tokens (batch, width), logits (batch, width, vocabulary), and a tree of caches that only
the step function looks into. ``parents`` (batch, width) says which continuation each token goes
on, where they change places (beams), and is None where they never do; ``count`` is how many new
tokens were read before.
"""

from typing import NamedTuple

from keras import ops

FORBIDDEN = float("-inf")


class Generated(NamedTuple):
    """What a logits processor may look at.

    tokens: int32 (batch, width, capacity), the new tokens so far.
    length: how many of them there are, a scalar.
    prompt: int32 (batch, places), what stands before them, filled with -1 on the left.
    rows: int32 (batch,), which of the inputs each row of the batch is.
    """

    tokens: object
    length: object
    prompt: object
    rows: object

    def whole_text(self):
        """int32 (batch, width, places + capacity): prompt and new tokens, -1 for none."""
        _, width, capacity = ops.shape(self.tokens)
        prompt = ops.repeat(self.prompt[:, None], width, axis=1)
        written = ops.where(ops.arange(capacity) < self.length, self.tokens, -1)
        return ops.concatenate([prompt, written], axis=2)


class Search:
    """Base of the ways to choose tokens. Subclasses define ``choose`` and ``results``.

    Args:
        width: continuations of each row.
        end_ids: tokens that end a text.
        processors: functions (scores, Generated) -> scores, in the order of their use; scores are
            float32 (batch, width, vocabulary), and -inf forbids a token.
        temperature: scores are divided by it before they become probabilities.
        length_penalty: what the length is raised to that sums of log-probabilities are divided by;
            the end token counts.
        normalized: the logits are logarithms of what is to be summed, as they are.

    Raises:
        ValueError: for a width below 1, and a temperature that is not above 0.
    """

    def __init__(
        self, width=1, end_ids=(), processors=(), temperature=1.0, length_penalty=1.0,
        normalized=False,
    ):  # fmt: skip
        if width < 1:
            raise ValueError(f"expected a width of at least 1, found {width}")
        if not temperature > 0:
            raise ValueError(
                f"expected a temperature above 0, found {temperature}; what 0 stands for is "
                "GreedySearch"
            )
        self.width = width
        self.end_ids = tuple(end_ids)
        self.processors = tuple(processors)
        self.temperature = temperature
        self.length_penalty = length_penalty
        self.normalized = normalized

    def start(self, tokens, limit, prompt, rows):
        """The state before the first token.

        Args:
            tokens: int32 (batch, width, capacity), to be filled.
            limit: scalar, the most new tokens.
            prompt, rows: see Generated.
        """
        batch, width, _ = ops.shape(tokens)
        return {
            "tokens": tokens,
            "lengths": ops.zeros((batch, width), "int32"),
            "counted": ops.zeros((batch, width), "int32"),  # with the end token
            "scores": ops.zeros((batch, width), "float32"),
            "finished": ops.zeros((batch, width), "bool"),
            "invalid": ops.zeros((batch,), "bool"),
            "limit": limit,
            "prompt": prompt,
            "rows": rows,
        }

    def choose(self, logits, state, count):
        """(tokens, parents, state) from the logits of token ``count``."""
        raise NotImplementedError(f"{type(self).__name__} must define choose(...)")

    def goes_on(self, state):
        """Whether any row is unfinished and none invalid: a bool scalar."""
        unfinished = ops.logical_not(ops.all(state["finished"]))
        return ops.logical_and(unfinished, ops.logical_not(ops.any(state["invalid"])))

    def results(self, state):
        """(tokens, lengths, scores), (batch, width, ...), best first; lengths without the end."""
        raise NotImplementedError(f"{type(self).__name__} must define results(...)")

    def processed(self, scores, state, count):
        """Scores (batch, width, vocabulary) after all processors."""
        generated = Generated(state["tokens"], count, state["prompt"], state["rows"])
        for processor in self.processors:
            scores = _checked(processor, processor(scores, generated), scores)
        return scores

    def tempered(self, scores):
        return scores if self.temperature == 1 else scores / self.temperature

    def log_total(self, scores, state):
        """(what log-probabilities are scores less of (batch, width, 1), state).

        A text that goes on among scores of NaN or +inf makes its row invalid.
        """
        total = log_sum_exp(scores)
        bad = ops.logical_and(ops.isnan(total[..., 0]), ops.logical_not(state["finished"]))
        invalid = ops.logical_or(state["invalid"], ops.any(bad, axis=-1))
        total = ops.zeros_like(total) if self.normalized else total
        return total, {**state, "invalid": invalid}

    def ends(self, tokens):
        """Which tokens are an end: bool, of their shape."""
        is_end = ops.zeros_like(tokens, dtype="bool")
        for token in self.end_ids:
            is_end = ops.logical_or(is_end, tokens == token)
        return is_end

    def penalized(self, scores, lengths):
        """``scores / length ** length_penalty``, ends counted."""
        if self.length_penalty == 0:
            return scores
        lengths = ops.cast(ops.maximum(lengths, 1), "float32")
        return scores / lengths**self.length_penalty


def _checked(processor, found, scores):
    """What a processor returned, or ValueError where these are no scores of the same tokens."""
    expected, shape = tuple(scores.shape), getattr(found, "shape", None)
    if shape is None or len(shape) != 3 or shape[-1] != expected[-1]:
        name = getattr(processor, "__name__", type(processor).__name__)
        found = type(found).__name__ if shape is None else f"the shape {tuple(shape)}"
        raise ValueError(
            f"the processor {name} expects to return scores of the shape {expected} (batch, "
            f"width, vocabulary) that it was given; it returned {found}"
        )
    return found


def for_all_continuations(logits, width):
    """float32 logits, those of a prompt (batch, 1, vocabulary) for each of its continuations."""
    logits = ops.cast(logits, "float32")
    return logits if logits.shape[1] == width else ops.repeat(logits, width, axis=1)


def softmax(scores):
    """``ops.softmax`` of the last axis, which may be one token (Keras would warn of it)."""
    if scores.shape[-1] > 1:
        return ops.softmax(scores, axis=-1)
    return ops.ones_like(scores) + 0 * scores  # NaN where they are


def log_sum_exp(scores):
    """``log(sum(exp(scores)))`` of the last axis, which is kept; 0 where all are -inf.

    It is the largest score less its log-probability: softmax is the fastest sum there is.
    """
    largest = ops.max(scores, axis=-1, keepdims=True)
    share = softmax(scores)
    # Every share is NaN where any score is, but a maximum may pass over it.
    total = largest - ops.log(ops.max(share, axis=-1, keepdims=True)) + 0 * share[..., :1]
    return ops.where(largest == FORBIDDEN, 0.0, total)


def begin(search, logits, state):
    """Chooses the first tokens: a carry for ``advance``, without its caches."""
    tokens, parents, state = search.choose(logits, state, ops.convert_to_tensor(0, "int32"))
    carry = {"count": ops.convert_to_tensor(1, "int32"), "tokens": tokens, "state": state}
    return carry if parents is None else {**carry, "parents": parents}


def advance(search, step, carry, caches, until):
    """Reads and chooses tokens until there are ``until`` of them, or all texts have ended.

    Args:
        carry, caches: as ``begin`` or an earlier call left them.
        until: scalar; one more than there are is one step, for streaming.

    Returns:
        (carry, caches).
    """

    def goes_on(carry, caches):
        return ops.logical_and(carry["count"] < until, search.goes_on(carry["state"]))

    def body(carry, caches):
        count = carry["count"]
        logits, caches = step(carry["tokens"], carry.get("parents"), count - 1, caches)
        tokens, parents, state = search.choose(logits, carry["state"], count)
        carry = {"count": count + 1, "tokens": tokens, "state": state}
        return (carry if parents is None else {**carry, "parents": parents}), caches

    return ops.while_loop(goes_on, body, (carry, caches))
