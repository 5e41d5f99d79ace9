"""bert4keras' decoder: the user writes the step, the class searches."""

import functools
import inspect

import numpy as np
from keras import ops, tree

from bert4keras_ext.generation.draws import draw, filtered, largest
from bert4keras_ext.generation.last_token import last_token
from bert4keras_ext.generation.probabilities import (
    RTYPES,
    as_floats,
    log_probabilities,
    next_probabilities,
)


class AutoRegressiveDecoder:
    """Beam search and random sampling over a step that a subclass defines, one input at a time.

    The subclass overrides ``predict(self, inputs, output_ids, states)``, decorated by ``wraps``,
    which gives what the model says of the next token: probabilities or logits (rows, vocabulary).
    ``inputs`` are the arrays that the search was called with, each with a row for each row of
    ``output_ids`` (rows, length), the tokens so far, the first one ``start_id`` where there is one.

    Args:
        start_id: the token that every output starts with; None for none.
        end_id: the token that ends an output; -1 for none, then all have ``maxlen`` tokens.
        maxlen: tokens to generate at most, the start token not counted.
        minlen: an output ends no earlier than with this many tokens, here the start token counts.
            (As in bert4keras an end token before that is kept, and the output goes on after it.)
        transformer: what ``use_cache`` takes.

    Raises:
        ValueError: for an ``end_id`` of None, and lengths that contradict each other; by the
            searches for ``topk``, ``n``, ``min_ends`` below 1, ``topp`` outside (0, 1], a
            temperature below 0, NaN, and outputs of ``predict`` of another shape.
        TypeError: by the searches, where ``predict`` lacks its decorator.
        NotImplementedError: by the searches, where it is not defined.

    Example:

    >>> class Counting(AutoRegressiveDecoder):
    ...     @AutoRegressiveDecoder.wraps(default_rtype="probas")
    ...     def predict(self, inputs, output_ids, states):
    ...         tokens = np.concatenate([inputs[0], output_ids], axis=1)
    ...         return 0.8 * np.eye(6)[(tokens[:, -1] + 1) % 6] + 0.2 / 6
    >>> Counting(start_id=None, end_id=5, maxlen=8).beam_search([[1, 2]], topk=2).tolist()
    [3, 4, 5]

    Source: bert4keras' API; top-p: arXiv 1904.09751.
    """

    def __init__(self, start_id, end_id, maxlen, minlen=1, transformer=None):
        self.start_id = start_id
        self.end_id = end_id
        self.maxlen = maxlen
        self.minlen = minlen
        start = [] if start_id is None else [start_id]
        self.first_output_ids = np.array([start], dtype="int64")
        self.stepper = None
        self._check_lengths()
        if transformer is not None:
            self.use_cache(transformer)

    @staticmethod
    def wraps(default_rtype="probas", use_states=False):
        """The decorator of ``predict``: adds temperatures, and both kinds of results.

        The decorated method is ``predict(inputs, output_ids, states, temperature=1, rtype)`` and
        returns a pair: probabilities (rtype "probas") or their logarithms ("logits"), and states.

        Args:
            default_rtype: what the method below returns, "probas" or "logits".
            use_states: whether it returns a pair of that and the new states. States are anything;
                arrays and tensors in them that have a row for each row of ``output_ids`` follow
                their rows.
        """
        if default_rtype not in RTYPES:
            raise ValueError(
                f"wraps expects default_rtype to be one of {RTYPES}, received {default_rtype!r}: "
                "write @AutoRegressiveDecoder.wraps(default_rtype='probas') above predict"
            )

        def decorate(predict):
            @functools.wraps(predict)
            def decorated(
                self, inputs, output_ids, states=None, temperature=1, rtype=default_rtype
            ):
                if rtype not in RTYPES:
                    raise ValueError(f"rtype expects one of {RTYPES}, received {rtype!r}")
                outputs = predict(self, inputs, output_ids, states)
                outputs, states = _outputs_and_states(outputs, use_states)
                found = next_probabilities(outputs, default_rtype, temperature)
                return (found if rtype == "probas" else log_probabilities(found)), states

            del decorated.__wrapped__  # its arguments are the ones above
            return decorated

        return decorate

    set_rtype = wraps  # the name it had in bert4keras before 0.8

    def predict(self, inputs, output_ids, states=None, temperature=1, rtype="probas"):
        """The step, which subclasses define; see the class."""
        raise NotImplementedError(
            f"{type(self).__name__} defines no predict(self, inputs, output_ids, states): write "
            "one, decorated with @AutoRegressiveDecoder.wraps()"
        )

    @staticmethod
    def last_token(model):
        """What predicts the last position of a model alone: ``.predict(inputs)``."""
        return last_token(model)

    def use_cache(self, transformer):
        """Searches on with a step that keeps a cache, in place of ``predict``.

        Args:
            transformer: an object with ``start(inputs)``, which reads the inputs, arrays of one
                row each as ``predict`` gets them, and after them ``[[start_id]]`` where there is
                one, and gives probabilities (1, vocabulary); and with ``step(tokens, parents)``,
                which reads one token (rows,) more and gives probabilities (rows, vocabulary), row
                i following row ``parents[i]`` of the step before. Where it has a third method,
                ``prepare(rows, steps)``, that is told before ``start`` how many rows and steps
                there will be at most: the room that a cache needs. Or an object with a method
                ``stepper()`` that makes such an object. None goes back to ``predict``.

        Returns:
            the decoder itself.
        """
        stepper = transformer.stepper() if hasattr(transformer, "stepper") else transformer
        missing = [name for name in ("start", "step") if not hasattr(stepper, name)]
        if stepper is not None and missing:
            raise TypeError(
                "use_cache expects an object with start(inputs) and step(tokens, parents), "
                f"received {type(stepper).__name__} without {' and '.join(missing)}"
            )
        self.stepper = stepper
        return self

    def beam_search(self, inputs_list, topk, states=None, temperature=1, min_ends=1):
        """The output of the best beam, when it has ended.

        A beam that ended while another was better is out of the search, and the search is then
        narrower by one.

        Args:
            inputs_list: the inputs of ``predict``, each without the axis of rows.
            topk: how many beams there are.
            states: what ``predict`` gets as states at first.
            temperature: see ``next_probabilities``.
            min_ends: how many end tokens end an output.

        Returns:
            an int array (length,), from the start token to the end token.
        """
        self._check_search(states, topk=topk, min_ends=min_ends)
        self._prepare(topk)
        inputs = [np.array([x]) for x in inputs_list]
        ids, scores, parents = self.first_output_ids, np.zeros(1), np.zeros(1, "int64")
        for _ in range(self.maxlen):
            found, states = self._next(inputs, ids, states, parents, temperature, "logits")
            total = scores[:, None] + found
            places = largest(total, topk)
            parents, tokens = np.divmod(places, total.shape[1])
            ids, scores = _append(ids[parents], tokens), total.ravel()[places]
            ended = self._ended(ids, min_ends)
            if ended[0]:
                return ids[0]
            if ended.any():
                ids, scores, parents = ids[~ended], scores[~ended], parents[~ended]
                topk = len(ids)
            inputs, states = _follow(inputs, states, parents, len(found))
        return ids[0]

    def random_sample(
        self,
        inputs_list,
        n,
        topk=None,
        topp=None,
        states=None,
        temperature=1,
        min_ends=1,
        seed=None,
    ):
        """`n` outputs drawn at random.

        Args:
            inputs_list, states, temperature, min_ends: as in ``beam_search``.
            n: how many.
            topk: draws from so many tokens at most, the most probable ones.
            topp: and then from the most probable ones that reach this probability together.
            seed: None draws from NumPy's global state, which ``numpy.random.seed`` sets; or a seed
                or ``numpy.random.Generator``.

        Returns:
            a list of int arrays (length,), those that ended first coming first.
        """
        self._check_search(states, n=n, topk=topk, min_ends=min_ends)
        if topp is not None and not 0 < topp <= 1:
            raise ValueError(f"topp expects a probability, 0 < topp <= 1, received {topp!r}")
        self._prepare(n)
        random = np.random if seed is None else np.random.default_rng(seed)
        inputs = [np.array([x]) for x in inputs_list]
        ids, results, parents = self.first_output_ids, [], np.zeros(1, "int64")
        rows = np.zeros(n, "int64")  # the row that each output goes on from
        for _ in range(self.maxlen):
            found, states = self._next(inputs, ids, states, parents, temperature, "probas")
            tokens, kept = filtered(found, topk, topp)
            drawn = draw(kept, rows, random.random(len(rows)))
            ids = _append(ids[rows], drawn if tokens is None else tokens[rows, drawn])
            ended = self._ended(ids, min_ends)
            results.extend(ids[ended])
            ids, parents = ids[~ended], rows[~ended]
            if not len(ids):
                break
            inputs, states = _follow(inputs, states, parents, len(found))
            rows = np.arange(len(ids))
        return [*results, *ids]

    def _next(self, inputs, output_ids, states, parents, temperature, rtype):
        """(probabilities or their logarithms (rows, vocabulary), states) of the next token.

        Args:
            parents: for each row of output_ids, the row of the step before that it follows.
        """
        if self.stepper is None:
            found, states = self.predict(inputs, output_ids, states, temperature, rtype)
            found = as_floats(found)
        else:
            found = next_probabilities(
                self._step(inputs, output_ids, parents), "probas", temperature
            )
            found = found if rtype == "probas" else log_probabilities(found)
        self._check_outputs(found, len(output_ids))
        return found, states

    def _prepare(self, rows):
        if hasattr(self.stepper, "prepare"):
            self.stepper.prepare(rows, self.maxlen)

    def _step(self, inputs, output_ids, parents):
        if output_ids.shape == self.first_output_ids.shape:
            start = [output_ids] if output_ids.shape[1] else []
            return self.stepper.start([*inputs, *start])
        return self.stepper.step(output_ids[:, -1], parents)

    def _ended(self, ids, min_ends):
        if ids.shape[1] < self.minlen:
            return np.zeros(len(ids), bool)
        is_end = ids == self.end_id
        return is_end[:, -1] & (is_end.sum(axis=1) >= min_ends)

    def _check_lengths(self):
        if self.end_id is None:
            raise ValueError(
                "end_id expects the id of the token that ends an output, received None: the "
                "tokenizer has no end token? For outputs of exactly maxlen tokens pass end_id=-1"
            )
        longest = self.maxlen + self.first_output_ids.shape[1]
        if self.maxlen < 1 or self.minlen > longest:
            raise ValueError(
                f"expected maxlen >= 1 and minlen <= {longest}, received maxlen={self.maxlen} and "
                f"minlen={self.minlen}"
            )

    def _check_search(self, states, **counts):
        self._check_lengths()
        for name, count in counts.items():
            if count is not None and not count >= 1:
                raise ValueError(f"{name} expects an integer >= 1, received {count!r}")
        if self.stepper is not None:
            if states is not None:
                raise ValueError(
                    "states are for predict, and this decoder uses a cache in place of it: leave "
                    "them out, or go back with use_cache(None)"
                )
            return
        try:
            inspect.signature(self.predict).bind([], None, None, 1, "probas")
        except TypeError:
            raise TypeError(
                f"{type(self).__name__}.predict takes no temperature and rtype: decorate it with "
                "@AutoRegressiveDecoder.wraps(default_rtype='probas'), or 'logits'"
            ) from None

    def _check_outputs(self, found, rows):
        if found.ndim != 2 or len(found) != rows:
            raise ValueError(
                f"predict is expected to return (rows, vocabulary) with {rows} rows, as output_ids "
                f"has, found the shape {found.shape}: of a model's outputs at all positions take "
                "the last one, as self.last_token(model).predict(inputs) does"
            )
        if np.isnan(found.max()):
            raise ValueError("predict is expected to return numbers, found NaN")
        if self.end_id >= found.shape[1]:
            raise ValueError(
                f"end_id={self.end_id} is beyond the {found.shape[1]} tokens that predict knows: "
                "is it of another tokenizer?"
            )


def _outputs_and_states(outputs, use_states):
    is_pair = isinstance(outputs, tuple) and len(outputs) == 2
    if use_states and not is_pair:
        raise ValueError(
            "with use_states=True predict is expected to return a pair (outputs, states), found "
            f"{type(outputs).__name__}"
        )
    if is_pair and not use_states:
        raise ValueError(
            "predict returned a pair, expected the outputs alone: decorate it with "
            "@AutoRegressiveDecoder.wraps(..., use_states=True) where it returns states"
        )
    return outputs if use_states else (outputs, None)


def _append(ids, tokens):
    return np.concatenate([ids, tokens[:, None]], axis=1)


def _follow(inputs, states, rows, count):
    """Inputs and states for the rows of the next step, from those of `count` rows.

    bert4keras leaves states where they are when beams move or end, so that rows then read those
    of others.
    """
    if np.array_equal(rows, np.arange(count)):
        return inputs, states
    if len(rows) != count:  # else the rows of inputs are all alike
        inputs = [x[rows] for x in inputs]
    if any(_has_rows(leaf, count) for leaf in tree.flatten(states)):
        states = tree.map_structure(lambda leaf: _rows_of(leaf, rows, count), states)
    return inputs, states


def _has_rows(leaf, count):
    is_array = isinstance(leaf, np.ndarray) or ops.is_tensor(leaf)
    return is_array and len(leaf.shape) > 0 and leaf.shape[0] == count


def _rows_of(leaf, rows, count):
    if not _has_rows(leaf, count):
        return leaf
    return leaf[rows] if isinstance(leaf, np.ndarray) else ops.take(leaf, rows, axis=0)
