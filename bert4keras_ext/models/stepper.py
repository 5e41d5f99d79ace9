"""The cached step of searches that run outside of the program: AutoRegressiveDecoder's."""

import numpy as np
from keras import ops

from bert4keras_ext.backend.acceleration import jit_compile
from bert4keras_ext.backend.compiled import compiled
from bert4keras_ext.models.generator import generator_of, open_axes
from bert4keras_ext.models.prompts import check_window, read_prompts

ROOM = 64  # new tokens, where nobody said how many


class Stepper:
    """One text at a time, its continuations side by side: ``start``, then ``step`` by ``step``.

    Args:
        model: what `generate` takes.

    Example:

    >>> from bert4keras_ext.models import build_transformer_model
    >>> config = dict(vocab_size=100, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
    ...               intermediate_size=32, hidden_act="gelu")
    >>> gpt = build_transformer_model(config, model="gpt", return_keras_model=False)
    >>> stepper = gpt.stepper()
    >>> stepper.start([np.array([[2, 7, 3]])]).shape, stepper.step([4, 5], [0, 0]).shape
    ((1, 100), (2, 100))
    """

    def __init__(self, model):
        self.transformer = model
        self.generator = None
        self.read = self.fixed = self.cache = None
        self.wanted = (None, ROOM)

    def prepare(self, rows, steps):
        """Says before ``start`` how many continuations and new tokens there will be at most."""
        self.wanted = rows, steps

    def start(self, inputs):
        """Reads the inputs of one text: probabilities (1, vocabulary) of its first new token.

        Args:
            inputs: arrays of one row each: ids (and segments); for T5 the source's ids or the
                encoder's states, and the ids that the decoder starts from.
        """
        self._use(inputs)
        prompt = self._prompt(inputs)
        check_window([prompt], self.generator.window, 1)
        self.length = len(prompt.ids)
        arrays = self.generator.arrays_of([prompt])
        logits, self.read = self._program("prefill")(arrays)
        self.cache, self.count, self.width = None, 0, None
        return _probabilities(logits)[0]

    def step(self, tokens, parents):
        """Reads a token of each continuation: probabilities (rows, vocabulary) of the next ones.

        Args:
            tokens: int (rows,). Without ``prepare`` the first call has the most rows.
            parents: int (rows,): which row of the call before each of them goes on.
        """
        tokens, parents = np.asarray(tokens, "int32"), np.asarray(parents, "int32")
        if self.cache is None:
            rows, self.room = self.wanted
            self.width = rows or len(tokens)
            self.fixed, self.cache = self._program("room")(self.read)
            self.read = None
        if self.count == self.room:
            self.cache, self.room = self._program("more")(self.cache), 2 * self.room
        window = self.generator.window
        if window is not None and self.length + self.count >= window:
            raise ValueError(
                f"the text has {self.length + self.count} tokens, as many as the model has "
                "positions: expected a smaller maxlen, or a shorter input"
            )
        filled = np.zeros((2, 1, self.width), "int32")
        filled[:, 0, : len(tokens)] = tokens, parents
        logits, self.cache = self._program("step")(*filled, self.count, self.fixed, self.cache)
        self.count += 1
        return _probabilities(logits)[0, : len(tokens)]

    def _use(self, inputs):
        model = self.transformer
        is_states = np.ndim(inputs[0]) == 3  # T5's, as its scripts give them
        keras_model = getattr(model, "decoder" if is_states else "model", model)
        generator = generator_of(keras_model)
        if generator is not self.generator:
            self.generator, self.programs = generator, {}

    def _prompt(self, inputs):
        rows = [np.asarray(x)[0] for x in inputs]
        if rows[0].ndim == 2:
            name = next(n for n in self.generator.graph.roles.values() if n != "token")
            columns = {name: [rows[0]], "token": [rows[1]]}
        else:
            columns = tuple([row] for row in self._joined(rows))
        return read_prompts(columns, self.generator.graph)[0]

    def _joined(self, rows):
        """What follows the inputs, the start token, belongs to the ids of a model of one piece."""
        graph = self.generator.graph
        known = 2 if graph.is_seq2seq else len(graph.roles)
        if len(rows) <= known:
            return rows
        *rows, start = rows
        segments = [np.full(len(start), int(graph.is_unilm)) for _ in rows[1:]]
        return [np.concatenate(pair) for pair in zip(rows, [start, *segments])]

    def _program(self, name):
        key = (name, self.width if name != "prefill" else None, jit_compile())
        key += (self.room,) if name == "room" else ()
        if key not in self.programs:
            function = getattr(self, f"_{name}")
            self.programs[key] = compiled(function(), jit_compile(), open_axes)
        return self.programs[key]

    def _prefill(self):
        return self.generator.prefill

    def _room(self):
        engine, width, room = self.generator.engine, self.width, self.room
        return lambda prompt: engine.room_for(prompt, room, width)

    def _more(self):
        return self.generator.engine.more_room

    def _step(self):
        engine, width = self.generator.engine, self.width

        def step(tokens, parents, count, fixed, cache):
            return engine.step(tokens, parents, count, fixed, cache, width)

        return step


def _probabilities(logits):
    return np.asarray(ops.convert_to_numpy(ops.softmax(logits, axis=-1)))
