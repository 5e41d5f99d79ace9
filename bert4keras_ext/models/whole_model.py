"""Generation without a cache: the whole model is called for every token.

For models some of whose layers mix tokens in ways of their own, and what the cached way is tested
against.
"""

import keras
from keras import ops

from bert4keras_ext.backend.tensors import slice_written
from bert4keras_ext.models.graph import BY_TOKEN, Graph


class WholeModel:
    """The same interface as Incremental, around calls of the model itself.

    Args:
        model: a functional Keras model.
    """

    def __init__(self, model):
        self.graph = Graph(model)
        self.model = model
        logits = self.graph.tensors[self.graph.logits]
        self.predictor = keras.Model(model.inputs, logits)

    def prefill(self, inputs, lengths, source_lengths=None):
        prompt = {"lengths": lengths, "inputs": {str(i): inputs[x] for i, x in self._ids(inputs)}}
        nothing = ops.zeros((ops.shape(lengths)[0], 1, 1), "int32")
        return self._logits(nothing, 0, prompt, 1), prompt

    def room_for(self, prompt, capacity, width):
        batch = ops.shape(prompt["lengths"])[0]
        return prompt, {"tokens": ops.zeros((batch, width, capacity), "int32")}

    def step(self, tokens, parents, count, fixed, cache, width):
        written = cache["tokens"]
        if parents is not None:
            written = ops.take_along_axis(written, parents[..., None], axis=1)
        written = slice_written(written, (0, 0, count), tokens[..., None])
        return self._logits(written, count + 1, fixed, width), {"tokens": written}

    def _ids(self, inputs):
        return [(i, id(x)) for i, x in enumerate(self.model.inputs) if id(x) in inputs]

    def _logits(self, tokens, count, fixed, width):
        """Logits after ``count`` new tokens: (batch, width, vocabulary)."""
        lengths = ops.repeat(fixed["lengths"], width, axis=0)  # (batch * width,)
        new = ops.reshape(tokens, (-1, ops.shape(tokens)[2]))
        values = []
        for i, tensor in enumerate(self.model.inputs):
            given = ops.repeat(fixed["inputs"][str(i)], width, axis=0)
            role = self.graph.roles[id(tensor)]
            values.append(
                self._grown(given, role, lengths, new, count) if role in BY_TOKEN else given
            )
        logits = self.predictor(values if len(values) > 1 else values[0], training=False)
        last = ops.reshape(lengths + count - 1, (-1, 1, 1))
        logits = ops.cast(ops.take_along_axis(logits, last, axis=1), "float32")
        if self.graph.is_probabilities:
            logits = ops.log(ops.maximum(logits, keras.config.epsilon() ** 5))
        return ops.reshape(logits, (-1, width, self.graph.vocabulary))

    def _grown(self, given, role, lengths, new, count):
        """An input with what belongs to the new tokens behind the prompt of each row.

        The places after those are padding, of a UniLM in segment 1: what comes later.
        """
        prompt, capacity = ops.shape(given)[1], ops.shape(new)[1]
        places = ops.arange(prompt + capacity)[None]
        own = ops.take_along_axis(given, ops.minimum(places, prompt - 1) + 0 * lengths[:, None], 1)
        after = places - lengths[:, None]
        last = ops.take_along_axis(given, lengths[:, None] - 1, axis=1)
        if role == "token":
            wanted = ops.take_along_axis(new, ops.clip(after, 0, capacity - 1), axis=1)
        elif role == "position":
            wanted = last + ops.cast(after, last.dtype) + 1
        elif role == "segment" and self.graph.is_unilm:
            wanted = ops.maximum(last, 1)
        else:
            wanted = last
        fill = {"token": self.graph.padding or 0, "segment": int(self.graph.is_unilm)}.get(role, 0)
        grown = ops.where(after < 0, own, ops.cast(wanted, own.dtype))
        return ops.where(after < count, grown, ops.cast(fill, grown.dtype))
