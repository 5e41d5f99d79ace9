"""The two passes over the calls of a model: over whole prompts, and over the newest tokens."""

import keras
from keras import ops

from bert4keras_ext.models.graph import BY_TOKEN, Same


class Pass:
    """One pass over the calls of a model."""

    def __init__(self, model):
        self.model, self.graph = model, model.graph
        self.values = {}

    def parameters(self, call):
        return self.model.parameters(call)

    def is_varying(self, call):
        return self.model.is_varying(call)

    def make(self, call, function, values):
        if isinstance(call.operation, Same):
            outputs = call.arguments.fill_in(values)[0]
        elif function is None:
            args, kwargs = call.arguments.fill_in(values)
            outputs = call.operation(*args, **kwargs)
        else:
            outputs = function(self, call, self.model.arguments(call, values))
        self.values.update(zip(call.outputs, keras.tree.flatten(outputs)))

    def result(self):
        logits = ops.cast(self.values[self.graph.logits], "float32")
        if self.graph.is_probabilities:
            logits = ops.log(ops.maximum(logits, keras.config.epsilon() ** 5))
        return logits


class Prefill(Pass):
    """The pass over the prompts. Rules find here:

    keep(call, {name: tensor}): for the steps; keep_pair(call, pair): an attention's keys and
    values, which steps find as ``cache`` (or ``source_pair``); real_of(call, cross): which places
    of the keys are no filling; at_last(x): (batch, length, ...) -> (batch, 1, ...), the prompt's
    last token.
    """

    def __init__(self, model, inputs, lengths, source_lengths):
        super().__init__(model)
        self.values.update(inputs)
        self.lengths, self.source_lengths = lengths, source_lengths
        self.kept_of_calls, self.pairs = {}, {}
        self.real, self.joined = {}, {}  # masks: by role, by pairs of others
        self.last = {}  # id of a tensor -> its last token

    def keep(self, call, tensors):
        self.kept_of_calls[str(call.index)] = tensors

    def keep_pair(self, call, pair):
        self.pairs[str(call.index)] = tuple(pair)

    def real_of(self, call, cross):
        is_of_source = self.graph.is_seq2seq and (cross or not self.is_varying(call))
        if not is_of_source and (cross or not self.is_varying(call)):
            return None  # of the user's own inputs
        role, lengths = ("source", self.source_lengths) if is_of_source else ("token", self.lengths)
        if role not in self.real:
            length = ops.shape(self.values[self.graph.ids_of(role)[0]])[1]
            self.real[role] = ops.arange(length)[None] < lengths[:, None]
        return self.real[role]

    def both(self, mask, other):
        """Where both masks are True. Layers that ask for the same get one tensor, from which the
        steps then make one mask for all layers."""
        if mask is None or other is None:
            return other if mask is None else mask
        key = id(mask), id(other)
        if key not in self.joined:
            self.joined[key] = mask, other, ops.logical_and(mask, other)  # (ids stay taken)
        return self.joined[key][-1]

    def at_last(self, x):
        index = (self.lengths - 1)[:, None]
        index = ops.reshape(index, (-1, *[1] * (len(x.shape) - 1)))
        batch = ops.shape(index)[0]
        x = ops.broadcast_to(x, (batch, *ops.shape(x)[1:]))
        return ops.take_along_axis(x, index, axis=1)

    def logits(self):
        for call, rule in zip(self.model.calls, self.model.rules):
            values = self.values
            if call.index in self.model.tail:
                values = {**values, **{i: self._last_of(i) for i in call.inputs}}
            self.make(call, None if rule is None else rule.prefill, values)
        return self.result()

    def _last_of(self, tensor):
        """The value itself, where it is a constant or was made from the last token already."""
        if tensor not in self.model.varying or self._made_in_tail(tensor):
            return self.values[tensor]
        if tensor not in self.last:
            self.last[tensor] = self.at_last(self.values[tensor])
        return self.last[tensor]

    def _made_in_tail(self, tensor):
        return any(
            tensor in call.outputs for call in self.model.calls if call.index in self.model.tail
        )

    def next_of_inputs(self):
        """{role: (batch, 1)}: segment, task and position of the prompt's last token."""
        return {
            role: self.at_last(self.values[i])
            for role in BY_TOKEN[1:]
            for i in self.graph.ids_of(role)
        }

    def prompt_positions(self):
        ids = self.graph.ids_of("position")
        if ids:
            return self.values[ids[0]]
        return ops.arange(ops.shape(self.values[self.graph.ids_of("token")[0]])[1])[None]


class Step(Pass):
    """The pass over the newest tokens. Rules find here:

    kept(call): what the prompt left; cache(call), cache_index: of an attention; positions,
    key_positions: (batch or 1, width) and (batch or 1, keys) as the model counts them; places,
    key_places: as they stand in the text; visible: bool (batch, width, new places);
    with_new(mask): a mask of the prompt's places made one of all keys.
    """

    def __init__(self, model, tokens, parents, count, fixed, cache, width):
        super().__init__(model)
        tokens = ops.reshape(tokens, (-1, width))  # says the width to the compiler
        self.fixed, self.pairs = fixed, dict(cache["pairs"])
        self.count, self.width = count, width
        self.index = count * self.width  # among the new places
        self.visible = self._visible(parents, cache["visible"])
        self._set_places()
        self.values.update({x: fixed["constants"][str(i)] for i, x in enumerate(model.constants)})
        self._set_inputs(tokens)

    def _visible(self, parents, visible):
        if parents is not None:
            visible = ops.take_along_axis(visible, parents[:, :, None], axis=1)
        own = self.index + ops.arange(self.width)
        own = ops.arange(ops.shape(visible)[2])[None] == own[:, None]  # (width, new places)
        return ops.logical_or(visible, own[None])  # what was chosen is a token, never padding

    def _set_places(self):
        lengths, prompt = self.fixed["lengths"], self.fixed["prompt"]
        batch = ops.shape(lengths)[0]
        new = ops.arange(ops.shape(self.visible)[2]) // self.width
        length = ops.shape(prompt)[1]
        self.cache_index = length + self.index
        self.places = self._row(lengths[:, None] + self.count)
        self.key_places = self._keys(ops.arange(length)[None], lengths[:, None] + new[None], batch)
        start = lengths[:, None]
        if "position" in self.fixed["next"]:
            start = self.fixed["next"]["position"] + 1
        self.positions = self._row(start + ops.cast(self.count, start.dtype))
        new = start + ops.cast(new[None], start.dtype)
        self.key_positions = self._keys(prompt, new, batch)

    def _row(self, x):
        return ops.repeat(x, self.width, axis=1)

    def _keys(self, prompt, new, batch):
        prompt = ops.broadcast_to(prompt, (batch, ops.shape(prompt)[1]))
        return ops.concatenate([ops.cast(prompt, new.dtype), new], axis=1)

    def _set_inputs(self, tokens):
        found = {"token": tokens, "position": self.positions}
        if "segment" in self.fixed["next"]:
            segment = self.fixed["next"]["segment"]
            if self.graph.is_unilm:
                segment = ops.maximum(segment, 1)
            found["segment"] = self._row(segment)
        if "task" in self.fixed["next"]:
            found["task"] = self._row(self.fixed["next"]["task"])
        for role in BY_TOKEN:
            self.values.update((i, found[role]) for i in self.graph.ids_of(role))

    def kept(self, call):
        return self.fixed["kept"][str(call.index)]

    def cache(self, call):
        return self.pairs[str(call.index)]

    def source_pair(self, call):
        return self.fixed["source_pairs"][str(call.index)]

    def replace_cache(self, call, pair):
        self.pairs[str(call.index)] = tuple(pair)

    def with_new(self, mask):
        batch, width, _ = ops.shape(self.visible)
        mask = ops.broadcast_to(mask, (batch, width, ops.shape(mask)[2]))
        return ops.concatenate([mask, self.visible], axis=2)

    def logits(self):
        for call in self.model.stepping:
            rule = self.model.rules[call.index]
            self.make(call, None if rule is None else rule.step, self.values)
        return self.result()
