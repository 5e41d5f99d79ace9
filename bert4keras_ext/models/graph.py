"""A functional Keras model as a list of calls: what generation runs a few tokens at a time.

The model is the description. Every model that the builder makes is functional, and so is one that
was loaded, cloned, extended by LoRA, by inputs of the user's own or by layers around it: all of
them are read here alike, whatever class built them.
"""

from typing import NamedTuple

import keras

from bert4keras_ext.backend.keras_internals import graph_nodes, layer_of_input, maker_of
from bert4keras_ext.backend.logits import probabilities_from
from bert4keras_ext.layers import Embedding
from bert4keras_ext.models.masks import UniLMMask
from bert4keras_ext.models.t5 import OutputTable

# Ends of the names of the builder's inputs -> what they are. "Encoder-Input-Token" comes first.
ROLES = {
    "Encoder-Input-Token": "source",
    "Input-Token": "token",
    "Input-Segment": "segment",
    "Input-Position": "position",
    "Input-Task": "task",
}
BY_TOKEN = ("token", "segment", "position", "task")  # grow with every new token


class Call(NamedTuple):
    """One call of a layer (or operation) in a model.

    index: its place in the list; operation: what is called; arguments: with ``fill_in(values)``;
    inputs and outputs: the ids of tensors.
    """

    index: int
    operation: object
    arguments: object
    inputs: tuple
    outputs: tuple


class Same:
    """The arguments, and the operation, of "this tensor is that one" around a nested model."""

    name, call = "the border of a nested model", None

    def __init__(self, sources):
        self.sources = sources

    def fill_in(self, values):
        return tuple(values[source] for source in self.sources), {}

    def __call__(self, *tensors):
        return tensors


class Graph:
    """The calls behind the logits of a model, and what its inputs are.

    Args:
        model: a functional Keras model.

    Attributes:
        calls: list of Call, in an order in which they can be made, those that the logits need.
        roles: {id of an input tensor: a value of ROLES, or the input's own name}.
        logits: id of the tensor; is_probabilities: it has to go through a logarithm.
        embedding: the layer that looks up tokens.
        vocabulary: number of tokens; padding: the id that is masked, or None.
        is_seq2seq: an encoder and a decoder; is_unilm: a source and a target by segments.

    Raises:
        ValueError: for a model that is not functional, takes no tokens or predicts none.
    """

    def __init__(self, model):
        self.model = model
        self.tensors = {}
        calls = self._read(model, set())
        self.roles = self._roles(calls)
        self.embedding = self._embedding(calls)
        self.vocabulary = self.embedding.input_dim
        self.logits, self.is_probabilities = self._find_logits()
        self.calls = _needed(calls, self.logits)
        self.is_seq2seq = "source" in self.roles.values()
        self.is_unilm = any(isinstance(call.operation, UniLMMask) for call in self.calls)
        self.padding = token_mask(self.embedding)

    def ids_of(self, role):
        return [tensor for tensor, found in self.roles.items() if found == role]

    def _read(self, model, path):
        nodes = graph_nodes(model)
        if nodes is None:
            raise ValueError(
                f"generation reads the layers of a functional model; {model.name!r} is a "
                f"{type(model).__name__}: expected a model of build_transformer_model, or "
                "keras.Model(inputs, outputs) made from one. For other models, write a predict of "
                "generation.AutoRegressiveDecoder"
            )
        calls = []
        for operation, arguments, outputs in nodes:
            ids = tuple(map(id, outputs))
            self.tensors.update(zip(ids, outputs))
            self.tensors.update((id(x), x) for x in arguments.keras_tensors)
            inputs = tuple(map(id, arguments.keras_tensors))
            if isinstance(operation, keras.Model) and graph_nodes(operation) is not None:
                calls += self._nested(operation, inputs, ids, path)
            else:
                calls.append(Call(0, operation, arguments, inputs, ids))
        return [call._replace(index=i) for i, call in enumerate(calls)]

    def _nested(self, model, inputs, outputs, path):
        if id(model) in path:
            raise ValueError(f"the model {model.name!r} is used twice within {self.model.name!r}")
        path.add(id(model))
        inner = self._read(model, path)
        tensors = [tuple(map(id, each)) for each in (model.inputs, model.outputs)]
        self.tensors.update((id(x), x) for x in [*model.inputs, *model.outputs])
        before = Call(0, Same(inputs), Same(inputs), inputs, tensors[0])
        after = Call(0, Same(tensors[1]), Same(tensors[1]), tensors[1], outputs)
        return [before, *inner, after]

    def _roles(self, calls):
        inner = {}  # id of an outer tensor -> id of the nested input it becomes
        for call in calls:
            if isinstance(call.operation, Same):
                inner.update(zip(call.inputs, call.outputs))
        roles = {}
        for tensor in self.model.inputs:
            names = _names(tensor, inner, self.tensors)
            known = (ROLES[end] for name in names for end in ROLES if name.endswith(end))
            roles[id(tensor)] = next(known, names[0])
        if "token" not in roles.values():
            ids = [id(x) for x in self.model.inputs if len(x.shape) == 2]
            if len(ids) != 1:
                raise ValueError(
                    f"cannot tell the token ids among the inputs {list(roles.values())} of "
                    f"{self.model.name!r}: expected one named 'Input-Token' as the builder does"
                )
            roles[ids[0]] = "token"
        return roles

    def _embedding(self, calls):
        reach = {*self.ids_of("token")}
        for call in calls:
            if reach & set(call.inputs):
                if isinstance(call.operation, Same):
                    reach |= {b for a, b in zip(call.inputs, call.outputs) if a in reach}
                elif isinstance(call.operation, keras.layers.Embedding):
                    return call.operation
        raise ValueError(f"no embedding of the tokens found in the model {self.model.name!r}")

    def _find_logits(self):
        sizes = {self.vocabulary}
        found = [x for x in self.model.outputs if len(x.shape) == 3 and x.shape[-1] in sizes]
        if len(found) != 1:
            shapes = [tuple(x.shape) for x in self.model.outputs]
            raise ValueError(
                f"expected one output (batch, length, {self.vocabulary}) that predicts tokens, "
                f"found the outputs {shapes}: build the model with application='lm' or 'unilm' "
                "(BERT and its family), or with_lm=True (GPT, T5)"
            )
        tensor = found[0]
        operation, _, inputs = maker_of(tensor)
        if type(operation) is keras.layers.Activation and probabilities_from(tensor):
            return id(inputs[0]), False
        if isinstance(operation, OutputTable):
            return id(tensor), False  # the rule of the layer gives logits
        return id(tensor), probabilities_from(tensor) is not None


def _names(tensor, inner, tensors):
    """The names of an input, from that of the outermost model to that of the innermost."""
    names, current = [], id(tensor)
    while current is not None:
        names.append(layer_of_input(tensors.get(current, tensor)))
        current = inner.get(current)
    return names[::-1]


def _needed(calls, target):
    """The calls that lead to a tensor, in their order, counted anew."""
    wanted, kept = {target}, []
    for call in reversed(calls):
        if wanted & set(call.outputs):
            wanted |= set(call.inputs)
            kept.append(call)
    return [call._replace(index=i) for i, call in enumerate(reversed(kept))]


def token_mask(embedding):
    """The id that the embedding masks as padding, or None."""
    if not getattr(embedding, "mask_zero", False):
        return None
    return embedding.padding_id if isinstance(embedding, Embedding) else 0
