"""What is asked of generation: the settings, checked, and the search that follows from them."""

import math

import numpy as np

from bert4keras_ext.generation.beam import BeamSearch
from bert4keras_ext.generation.processors import MinNewTokens, NoRepeatNgram, RepetitionPenalty
from bert4keras_ext.generation.sampling import GreedySearch, Sampling

METHODS = ("greedy", "beam", "sample")
LEAST_TEMPERATURE = 1e-6  # below it scores over the temperature leave the range of float32


class Request:
    """The settings of `generate`, which see.

    Raises:
        ValueError, TypeError: naming the setting, what was expected and what was found.
    """

    def __init__(
        self, max_new_tokens=32, method="greedy", topk=None, topp=None, temperature=1.0,
        end_id=None, min_new_tokens=0, num_return=1, length_penalty=1.0, early_stopping=False,
        repetition_penalty=1.0, no_repeat_ngram=0, processors=(), tokenizer=None, start_id=None,
        batch_size=16,
    ):  # fmt: skip
        if method not in METHODS:
            raise ValueError(f"method expects one of {METHODS}, received {method!r}")
        self.method = method
        self.max_new_tokens = _whole("max_new_tokens", max_new_tokens, 1)
        self.min_new_tokens = _whole("min_new_tokens", min_new_tokens, 0)
        self.num_return = _whole("num_return", num_return, 1)
        self.batch_size = _whole("batch_size", batch_size, 1)
        self.no_repeat_ngram = _whole("no_repeat_ngram", no_repeat_ngram or 0, 0)
        self.topk = None if topk is None else _whole("topk", topk, 1)
        self.topp = None if topp is None else _number("topp", topp, 0, 1)
        temperature = _number("temperature", temperature, 0)
        self.temperature = temperature if temperature >= LEAST_TEMPERATURE else 0.0
        self.length_penalty = _number("length_penalty", length_penalty, -math.inf)
        self.repetition_penalty = _number("repetition_penalty", repetition_penalty, 0)
        self.early_stopping = early_stopping
        self.tokenizer = tokenizer
        self.start_id = start_id
        self.end_ids = self._ends(end_id)
        self.processors = tuple(processors) if hasattr(processors, "__iter__") else (processors,)
        self._check()

    def _ends(self, end_id):
        if end_id is None:
            end_id = getattr(self.tokenizer, "_token_end_id", None)
        one = end_id is None or not isinstance(end_id, (list, tuple, np.ndarray))
        ids = () if end_id is None else (end_id,) if one else end_id
        return tuple(_whole("end_id", i, 0) for i in ids)

    def _check(self):
        if self.min_new_tokens > self.max_new_tokens:
            raise ValueError(
                f"expected min_new_tokens <= max_new_tokens, found {self.min_new_tokens} and "
                f"{self.max_new_tokens}"
            )
        if self.early_stopping not in (True, False, "never"):
            raise ValueError(
                f"early_stopping expects True, False or 'never', received {self.early_stopping!r}"
            )
        if self.repetition_penalty == 0:
            raise ValueError("repetition_penalty expects a number above 0, received 0")
        if self.method == "greedy" and self.num_return > 1:
            raise ValueError(
                f"greedy search finds one text, num_return={self.num_return} were asked for: use "
                "method='beam' or 'sample'"
            )
        if self.method == "beam" and self.temperature == 0:
            raise ValueError("temperature=0 leaves no scores to a beam search: use method='greedy'")
        if self.method == "beam" and self.num_return > self.width:
            raise ValueError(
                f"a beam search with topk={self.width} finds {self.width} texts, num_return="
                f"{self.num_return} were asked for: pass a larger topk"
            )
        if self.tokenizer is not None and not hasattr(self.tokenizer, "decode"):
            raise TypeError(
                f"tokenizer expects one with encode and decode, received {self.tokenizer!r}"
            )
        for processor in self.processors:
            if not callable(processor):
                raise TypeError(f"processors expects functions, received {processor!r}")

    def check_rows(self, count):
        """Raises ValueError for constraints made for another number of rows (or of groups)."""
        for processor in self.processors:
            rows = getattr(processor, "number_of_rows", count)
            if rows != count:
                raise ValueError(
                    f"{type(processor).__name__} was made for {rows} rows, found {count} inputs "
                    "(under votes: groups): expected the passages of each, in their order"
                )

    @property
    def width(self):
        if self.method == "beam":
            return 3 if self.topk is None else self.topk
        return self.num_return

    def check_vocabulary(self, size):
        """Raises ValueError for an end or start token that the model cannot have."""
        for name, ids in (("end_id", self.end_ids), ("start_id", (self.first_of_decoder(),))):
            if outside := [i for i in ids if not 0 <= i < size]:
                raise ValueError(
                    f"{name} expects ids below {size} (the vocabulary), found {outside}"
                )

    def first_of_decoder(self):
        if self.start_id is not None:
            return self.start_id
        start = getattr(self.tokenizer, "_token_start_id", None)
        return 0 if start is None else start

    def noise(self, rows, seed):
        """float32 (rows, capacity, width), on [0, 1); None without sampling."""
        if self.method != "sample":
            return None
        seeds = np.random.SeedSequence(None if seed is None else _whole("seed", seed, 0)).spawn(
            rows
        )
        # Each row has numbers of its own, the first of which do not depend on how many there are.
        shape = self.max_new_tokens, self.width
        numbers = [np.random.default_rng(each).random(shape, "float32") for each in seeds]
        return np.stack(numbers) if numbers else np.zeros((0, *shape), "float32")

    def key(self):
        """What a compiled program depends on."""
        return (
            self.method, self.width, self.topk, self.topp, self.temperature, self.end_ids,
            self.min_new_tokens, self.length_penalty, self.early_stopping, self.repetition_penalty,
            self.no_repeat_ngram, self.processors,
        )  # fmt: skip

    def search(self, normalized=False):
        """The Search that chooses tokens as asked."""
        shared = {
            "width": self.width, "end_ids": self.end_ids, "processors": self._all_processors(),
            "length_penalty": self.length_penalty, "normalized": normalized,
        }  # fmt: skip
        if self.method == "greedy" or self.temperature == 0:
            return GreedySearch(**shared)
        shared["temperature"] = self.temperature
        if self.method == "beam":
            return BeamSearch(early_stopping=self.early_stopping, **shared)
        return Sampling(topk=self.topk, topp=self.topp, **shared)

    def _all_processors(self):
        own = []
        if self.repetition_penalty != 1:
            own.append(RepetitionPenalty(self.repetition_penalty))
        if self.no_repeat_ngram:
            own.append(NoRepeatNgram(self.no_repeat_ngram))
        if self.min_new_tokens:
            own.append(MinNewTokens(self.min_new_tokens, self.end_ids))
        return [*own, *self.processors]

    def as_text(self, ids):
        return ids if self.tokenizer is None else self.tokenizer.decode(ids)


def _whole(name, value, least):
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(f"{name} expects a whole number of at least {least}, received {value!r}")
    return int(value)


def _number(name, value, least, most=math.inf):
    numeric = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    if not numeric or not least <= value <= most or not math.isfinite(value):
        span = "that is finite" if least == -math.inf else f"of at least {least}"
        span = f"from {least} to {most}" if most < math.inf else span
        raise ValueError(f"{name} expects a number {span}, received {value!r}")
    return float(value)
