"""A language model run a few tokens at a time: the prompt once, then only what is new.

``prefill`` calls the layers of a functional model on the whole prompt, and keeps the keys and
values of each attention. ``room_for`` puts room for new tokens behind them. ``step`` calls the same
layers on the newest tokens alone. Layers that know places are called by their rules
(models/step_rules.py), all others as they always are: there is no second description of any model.

Several continuations of a row (beams, samples) stand side by side as "width" of the newest tokens,
and share the prompt's keys. What each of them may look at among the new ones is a table of bools,
``visible``: when beams change places only the rows of that table move, never keys or values.
"""

import inspect

import keras
from keras import ops

from bert4keras_ext.models.graph import BY_TOKEN, Graph
from bert4keras_ext.models.masks import CausalMask, LocalMask, UniLMMask
from bert4keras_ext.models.passes import Prefill, Step
from bert4keras_ext.models.single_tokens import check_single_tokens
from bert4keras_ext.models.step_rules import MASKS, rule_of


class Incremental:
    """Runs a functional Keras model token by token.

    Args:
        model: what build_transformer_model gave, or a functional model made from it.

    Raises:
        ValueError: for a model that sees what comes later, or whose layers mix tokens in a way
            that no rule describes.
    """

    def __init__(self, model):
        self.graph = Graph(model)
        self.calls = self.graph.calls
        self.rules = [rule_of(call.operation) for call in self.calls]
        self.varying = self._varying()
        self.tail = self._tail()
        self._parameters = {}
        self.stepping = self._stepping()
        self.constants = self._constants()
        check_looks_back_only(self)
        check_single_tokens(self)

    def _varying(self):
        """Ids of the tensors that have a place for each token that is generated."""
        ids = {i for role in BY_TOKEN for i in self.graph.ids_of(role)}
        for call, rule in zip(self.calls, self.rules):
            if ids & set(call.inputs) and not (rule and rule.is_constant):
                ids |= set(call.outputs)
        return ids

    def is_varying(self, call):
        return bool(self.varying & set(call.outputs))

    def _tail(self):
        """Indexes of the calls after the last one that mixes tokens: of a prompt only the last
        token has to go through them, the output table above all."""
        mixing, tail = set(), set()
        for call, rule in zip(reversed(self.calls), reversed(self.rules)):
            if rule is not None and rule.mixes or mixing & set(call.outputs):
                mixing |= set(call.inputs)
            elif self.is_varying(call):
                tail.add(call.index)
        return tail

    def _stepping(self):
        """The calls that steps make: those that depend on the newest tokens, but for masks of
        padding, which these have none of."""
        wanted, calls = {self.graph.logits}, []
        for call in reversed(self.calls):
            if wanted & set(call.outputs) and self.is_varying(call):
                masks = self.masks_of(call)
                wanted |= {i for i in call.inputs if i not in masks}
                calls.append(call)
        return calls[::-1]

    def masks_of(self, call):
        """Ids of the padding masks that Keras, or the user, gave a call among its arguments."""
        arguments = self.arguments(call, {i: i for i in call.inputs})
        found = [x for name, x in arguments.items() if name in MASKS]
        return {i for i in keras.tree.flatten(found) if i is not None}

    def _constants(self):
        """Ids of the tensors without places that steps read, such as a condition."""
        read = {i for call in self.stepping for i in call.inputs if i not in self.masks_of(call)}
        return sorted(read - self.varying, key=list(self.graph.tensors).index)

    def parameters(self, call):
        """Names of the arguments of a layer's call."""
        if call.index not in self._parameters:
            function = getattr(call.operation, "call", None)
            names = inspect.signature(function).parameters if function else {}
            self._parameters[call.index] = names
        return self._parameters[call.index]

    def arguments(self, call, values):
        args, kwargs = call.arguments.fill_in(values)
        return {**dict(zip(self.parameters(call), args)), **kwargs}

    def prefill(self, inputs, lengths, source_lengths=None):
        """Reads the prompts.

        Args:
            inputs: {id of an input: tensor}, padded on the right.
            lengths: int32 (batch,), of the prompts; source_lengths: of what the encoder reads.

        Returns:
            (logits of the next token (batch, 1, vocabulary), prompt): what ``room_for`` takes.
        """
        run = Prefill(self, inputs, lengths, source_lengths)
        logits = run.logits()
        return logits, {
            "kept": run.kept_of_calls,
            "pairs": run.pairs,
            "constants": {str(i): run.values[x] for i, x in enumerate(self.constants)},
            "lengths": lengths,
            "next": run.next_of_inputs(),
            "prompt": run.prompt_positions(),
        }

    def room_for(self, prompt, capacity, width):
        """(fixed, cache): what all steps read, and what they change.

        Args:
            prompt: of prefill.
            capacity: new tokens, at most; width: continuations of each row.
        """
        batch, places = ops.shape(prompt["lengths"])[0], capacity * width
        grows = {i: self.calls[int(i)] for i in prompt["pairs"]}
        grows = {i for i, call in grows.items() if not self.reads_source(call)}
        own, source = {}, {}
        for i, pair in prompt["pairs"].items():
            if i in grows:
                own[i] = tuple(with_room(x, places) for x in pair)
            else:
                source[i] = pair
        fixed = {k: x for k, x in prompt.items() if k != "pairs"} | {"source_pairs": source}
        return fixed, {"visible": ops.zeros((batch, width, places), "bool"), "pairs": own}

    def more_room(self, cache):
        """The cache with room for as many new tokens again."""
        places = ops.shape(cache["visible"])[2]
        return keras.tree.map_structure(lambda x: with_room(x, places), cache)

    def reads_source(self, call):
        """Whether an attention looks at what the encoder gave (cross-attention)."""
        symbols = self.arguments(call, {i: i for i in call.inputs})
        query, key = symbols.get("query"), symbols.get("key")
        if isinstance(query, (list, tuple)):
            query, key = [*query, None][:2]
        return key is not None and key != query and key not in self.varying

    def step(self, tokens, parents, count, fixed, cache, width):
        """Reads one more token of each continuation.

        Args:
            tokens: int32 (batch, width).
            parents: int32 (batch, width): which continuation each of them goes on; None where all
                stay in their places.
            count: how many new tokens were read before.
            fixed, cache: of room_for; width: as there.

        Returns:
            (logits (batch, width, vocabulary), cache).
        """
        run = Step(self, tokens, parents, count, fixed, cache, width)
        logits = run.logits()
        return logits, {"visible": run.visible, "pairs": run.pairs}


def with_room(x, places):
    """``x`` with so many more places of zeros, or False, along axis 2."""
    padding = [[0, 0]] * len(x.shape)
    padding[2] = [0, places]
    return ops.pad(x, padding)


def check_looks_back_only(model):
    """Refuses attention to tokens that come later, and masks whose growth no rule knows."""
    maker = {i: call.operation for call in model.calls for i in call.outputs}
    for call, rule in zip(model.calls, model.rules):
        is_attention = rule is not None and "cache_index" in model.parameters(call)
        if not is_attention or not model.is_varying(call) or model.reads_source(call):
            continue
        bias = model.arguments(call, {i: i for i in call.inputs}).get("attention_bias")
        mask = maker.get(bias)
        if not isinstance(mask, (CausalMask, UniLMMask, LocalMask)) and rule_of(mask) is None:
            found = "no mask" if mask is None else f"the mask of {mask.name!r}"
            raise ValueError(
                f"the attention {call.operation.name!r} looks at tokens that come later: expected "
                f"the mask of a language model, found {found}. Build the model with "
                "application='lm' or 'unilm'; a mask layer of your own needs add_step_rule"
            )
