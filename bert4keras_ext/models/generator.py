"""The programs that write texts with one model: compiled once, then used for any prompts."""

import keras
import numpy as np
from keras import backend, ops

from bert4keras_ext.backend.acceleration import jit_compile
from bert4keras_ext.backend.compiled import compiled
from bert4keras_ext.backend.keras_internals import all_layers_of
from bert4keras_ext.backend.rounded import weights_rounded_once
from bert4keras_ext.generation.search import advance, begin
from bert4keras_ext.generation.voting import Votes
from bert4keras_ext.models.incremental import Incremental
from bert4keras_ext.models.prompts import padded, window_of
from bert4keras_ext.models.whole_model import WholeModel

BUCKET = 32  # lengths are multiples of it where programs are compiled for a shape
PROGRAMS = 16  # that are kept for one model


def generator_of(model, cache=True):
    """The Generator of a Keras model; made anew after its weights were replaced or added to.

    It is kept on the model, and goes with it.
    """
    if not isinstance(model, keras.Model):
        raise TypeError(
            "generate expects a model: the builder (return_keras_model=False) or a keras.Model; "
            f"received {type(model).__name__}"
        )
    state = cache, tuple(map(id, model.variables)), jit_compile()
    known = vars(model).get("_generator")
    if known is None or known.state != state:
        known = Generator(model, state)
        object.__setattr__(model, "_generator", known)
    return known


class Generator:
    """Runs prompts through a model in batches, one program a kind of request."""

    def __init__(self, model, state):
        self.state = state
        self.engine = (Incremental if state[0] else WholeModel)(model)
        self.graph = self.engine.graph
        self.layers = all_layers_of(model)
        self.window = window_of(self.graph)
        self.programs = {}

    def run(self, prompts, request, rows, votes, noise):
        """[(list of ids, list of scores)] for each row, or with votes each group, of a batch."""
        arrays, limit = self._arrays(prompts, request, rows, votes, noise)
        *_, results, invalid = self._program(request, votes)(arrays, limit)
        return self._read(results, invalid, request, rows)

    def stream(self, prompts, request, noise):
        """Yields a list with the next token of each row, None where it has ended."""
        rows = list(range(len(prompts)))
        arrays, limit = self._arrays(prompts, request, rows, None, noise)
        fixed, carry, caches, results, invalid = self._program(request, None)(arrays, 1)
        more = self._more(request)
        for count in range(request.max_new_tokens):
            tokens, lengths, _ = results
            self._check_valid(invalid, rows)
            lengths = np.asarray(ops.convert_to_numpy(lengths))[: len(rows), 0]
            tokens = np.asarray(ops.convert_to_numpy(tokens))[: len(rows), 0]
            if not (lengths > count).any():
                return
            yield [int(t[count]) if n > count else None for t, n in zip(tokens, lengths)]
            if count + 1 < request.max_new_tokens:
                carry, caches, results, invalid = more(fixed, carry, caches, count + 2)

    def _program(self, request, votes):
        return self._compiled(("run", votes is not None, request.key()), self._whole, request)

    def _more(self, request):
        return self._compiled(("more", request.key()), self._rest, request)

    def _compiled(self, key, function, request):
        if key not in self.programs:
            while len(self.programs) >= PROGRAMS:
                self.programs.pop(next(iter(self.programs)))
            program = function(request, key[1] is True)
            self.programs[key] = compiled(program, self.state[2], open_axes)
        return self.programs[key]

    def _whole(self, request, votes):
        engine, search = self.engine, request.search(normalized=votes)

        def program(arrays, until):
            with weights_rounded_once(self.layers):
                return write(arrays, until)

        def write(arrays, until):
            tokens = arrays["tokens"]
            logits, prompt = self.prefill(arrays)
            fixed, caches = engine.room_for(prompt, ops.shape(tokens)[2], search.width)
            step = self._step(fixed, search.width)
            if votes:
                voting = Votes(arrays["group"], ops.shape(tokens)[0], request.end_ids)
                logits, kept = voting.first(logits)
                step, caches = voting.step(step), (caches, kept)
            more = {"noise": arrays["noise"]} if "noise" in arrays else {}
            state = search.start(tokens, arrays["limit"], arrays["prompt"], arrays["rows"], **more)
            carry = begin(search, logits, state)
            carry, caches = advance(search, step, carry, caches, until)
            return fixed, carry, caches, search.results(carry["state"]), carry["state"]["invalid"]

        return program

    def prefill(self, arrays):
        """(logits of the first new token, the prompt), from what ``arrays_of`` gave."""
        names = {name: i for i, name in self.graph.roles.items()}
        inputs = {names[name]: x for name, x in arrays["inputs"].items()}
        return self.engine.prefill(inputs, arrays["lengths"], arrays.get("source_lengths"))

    def _rest(self, request, votes):
        search = request.search()

        def program(fixed, carry, caches, until):
            step = self._step(fixed, search.width)
            carry = _of_width(carry, search.width)
            with weights_rounded_once(self.layers):
                carry, caches = advance(search, step, carry, caches, until)
            return carry, caches, search.results(carry["state"]), carry["state"]["invalid"]

        return program

    def _step(self, fixed, width):
        def step(tokens, parents, count, caches):
            return self.engine.step(tokens, parents, count, fixed, caches, width)

        return step

    # ---- arrays -------------------------------------------------------------------------------

    def arrays_of(self, prompts):
        """What ``prefill`` takes for some prompts: {name: array}."""
        lengths = [len(prompt.ids) for prompt in prompts]
        most = self._bucket(max(lengths), self.window)
        inputs = {"token": padded([p.ids for p in prompts], most, self.graph.padding or 0)}
        for role in prompts[0].others:
            rows = padded([p.others[role] for p in prompts], most)
            inputs[role] = np.asarray(rows, self._dtype_of(role))
        for name in prompts[0].extras:
            values = [np.asarray(p.extras[name]) for p in prompts]
            inputs[name] = np.stack(values).astype(self._dtype_of(name))
        arrays = {"inputs": inputs, "lengths": np.asarray(lengths, "int32")}
        if self.graph.is_seq2seq:
            sources = [p.source for p in prompts]
            longest = self._bucket(max(map(len, sources)))
            inputs["source"] = padded(sources, longest, self.graph.padding or 0)
            arrays["source_lengths"] = np.asarray([len(source) for source in sources], "int32")
        return arrays

    def _arrays(self, prompts, request, rows, votes, noise):
        """What a program takes: ({name: array}, limit)."""
        limit, capacity = request.max_new_tokens, self._bucket(request.max_new_tokens)
        arrays = self.arrays_of(prompts)
        length = arrays["inputs"]["token"].shape[1]
        arrays |= {
            "limit": np.asarray(limit, "int32"),
            "tokens": np.zeros((len(rows), request.width, capacity), "int32"),
            "rows": np.asarray(rows, "int32"),
            "prompt": self._prompt_of_one_piece(prompts, length, votes),
        }
        if noise is not None:
            filled = np.zeros((len(rows), capacity, request.width), "float32")
            filled[:, :limit] = noise[list(rows)]
            arrays["noise"] = filled
        if votes is not None:
            arrays["group"] = np.repeat(np.arange(len(votes), dtype="int32"), votes)
        return arrays, limit

    def _dtype_of(self, role):
        return self.graph.tensors[self.graph.ids_of(role)[0]].dtype

    def _prompt_of_one_piece(self, prompts, length, votes):
        """What processors see before the new tokens, -1 on the left: nothing where the source is a
        text of its own; of a T5 what its decoder starts from."""
        if self.graph.is_unilm or votes is not None:
            rows = len(prompts) if votes is None else len(votes)
            return np.full((rows, 1), -1, "int32")
        return padded([p.ids for p in prompts], length, -1, side="left")

    def _bucket(self, length, limit=None):
        if backend.backend() == "tensorflow" and not self.state[2]:
            return length  # one program serves all lengths
        bucket = -(-length // BUCKET) * BUCKET
        return bucket if limit is None else max(length, min(bucket, limit))

    # ---- results ------------------------------------------------------------------------------

    def _read(self, results, invalid, request, rows):
        tokens, lengths, scores = (np.asarray(ops.convert_to_numpy(x)) for x in results)
        self._check_valid(invalid, rows)
        texts = [[[int(i) for i in t[:n]] for t, n in zip(*row)] for row in zip(tokens, lengths)]
        return [
            (texts[i][: request.num_return], [float(s) for s in scores[i][: request.num_return]])
            for i in range(len(rows))
        ]

    def _check_valid(self, invalid, rows):
        bad = np.flatnonzero(ops.convert_to_numpy(invalid))
        if len(bad):
            first = [int(rows[i]) for i in bad[:10]]
            raise ValueError(
                f"the model's logits are NaN or infinite for the rows {first} of the inputs, "
                f"{len(bad)} of a batch of {len(rows)}: expected numbers. Look for NaN among the "
                "weights (a diverged training, float16 overflow), or load the checkpoint again"
            )


def _of_width(carry, width):
    """The carry of `advance` with its width told to the compiler, which saw open axes."""
    state = {
        name: ops.reshape(x, (-1, width)) if len(x.shape) == 2 and name != "prompt" else x
        for name, x in carry["state"].items()
    }
    ids = {
        name: ops.reshape(carry[name], (-1, width))
        for name in ("tokens", "parents")
        if name in carry
    }
    return {**carry, **ids, "state": state}


def open_axes(tensor):
    """Axes whose sizes differ from call to call: batch and lengths, not widths."""
    dtype = backend.standardize_dtype(tensor.dtype)
    if "float" in dtype:  # (batch, dim), (batch, places, dim), (batch, heads, places, dim)
        return {2: (0,), 3: (0, 1), 4: (0, 2)}.get(len(tensor.shape), (0,))
    return (0, 2) if len(tensor.shape) == 3 else (0, 1)  # (batch, width, places), (batch, places)
