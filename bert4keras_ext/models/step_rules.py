"""How layers that know places are called when a model is run a few tokens at a time.

Most layers treat each token alone: dense layers, norms, embeddings. They are called as always. The
others have a rule here, two functions of (run, call, arguments):

* ``prefill`` calls the layer on the whole prompt and keeps, under the call's index in ``run.kept``,
  what later steps need;
* ``step`` calls it on the newest tokens, (batch, width) of them: one continuation of each row, or
  several side by side (the beams).

``run`` is a `Prefill` or a `Step` of models/passes.py, ``arguments`` the dict of the call's
arguments by name. A layer of your own gets its rule by ``add_step_rule``.
"""

from typing import NamedTuple

from keras import ops

from bert4keras_ext.backend.keras_internals import keras_mask
from bert4keras_ext.backend.masking import align_bias
from bert4keras_ext.layers import (
    DisentangledAttention,
    GatedAttentionUnit,
    MultiHeadAttention,
    PositionEmbedding,
    RelativePositionEmbedding,
    RelativePositionTable,
    RotaryEmbedding,
    SinusoidalPositionEmbedding,
)
from bert4keras_ext.layers.attention import mask_of_keys, three_inputs, three_masks
from bert4keras_ext.models.masks import CausalMask, LocalMask, UniLMMask
from bert4keras_ext.models.roberta import RealTokenPositions
from bert4keras_ext.models.t5 import OutputTable


class StepRule(NamedTuple):
    """prefill, step: see above. mixes: whether a token's result depends on other tokens.
    is_constant: the result does not depend on the tokens at all, only on their being there."""

    prefill: object
    step: object
    mixes: bool = True
    is_constant: bool = False


# Arguments that hold masks of padding.
MASKS = ("mask", "query_mask", "key_mask", "value_mask")
_RULES = {}


def add_step_rule(layer, step, prefill=None, mixes=True):
    """Tells generation how to call layers of a class on the newest tokens.

    Args:
        layer: the class; its subclasses have the rule as well, unless they get their own.
        step: function (run, call, arguments) -> outputs; ``run.kept(call)`` is what the prompt
            left, ``run.places`` and ``run.key_places`` are where queries and keys stand.
        prefill: function (run, call, arguments) -> outputs for the whole prompt; None calls the
            layer as always.
        mixes: False where each token is treated alone, so that the prompt's last one suffices.
    """
    _RULES[layer] = StepRule(prefill or call_as_always, step, mixes)


def rule_of(operation):
    """The rule of a layer's class or of its nearest parent, or None."""
    return next((_RULES[cls] for cls in type(operation).__mro__ if cls in _RULES), None)


def call_as_always(run, call, arguments):
    return call.operation(**arguments)


# ---- attention --------------------------------------------------------------------------------


def _inputs_of(arguments):
    """(query, key, value, the other arguments), also where they came as a list."""
    arguments = dict(arguments)
    query = arguments.pop("query")
    key, value = arguments.pop("key", None), arguments.pop("value", None)
    if isinstance(query, (list, tuple)):
        query, key, value = three_inputs(query)
    if key is query:
        key = None
    if value is query or value is key:
        value = None
    return query, key, value, {k: v for k, v in arguments.items() if k not in MASKS}


def _mask_of_prompt(run, call, arguments):
    """Which keys are real: what Keras carries with them, or was given, and the lengths of rows."""
    query, key, value, _ = _inputs_of(arguments)
    in_list = isinstance(arguments["query"], (list, tuple))
    masks = three_masks(*(arguments.get(name) for name in MASKS), in_list)
    carried = mask_of_keys(key, value, *masks)
    if carried is None:
        carried = keras_mask(query if key is None else key)
    return run.both(carried, run.real_of(call, key is not None))


def _attention_prefill(run, call, arguments):
    query, key, value, others = _inputs_of(arguments)
    mask = _mask_of_prompt(run, call, arguments)
    if not run.is_varying(call):
        return call.operation(query, key=key, value=value, key_mask=mask, **others)
    *outputs, cache = call.operation(
        query, key=key, value=value, key_mask=mask, return_cache=True, **others
    )
    if mask is None:
        batch, _, length, _ = ops.shape(cache[0])
        mask = ops.ones((batch, length), "bool")
    run.keep(call, {"mask": mask})
    run.keep_pair(call, cache)
    return outputs[0] if len(outputs) == 1 else tuple(outputs)


def _attention_step(run, call, arguments):
    query, key, _, others = _inputs_of(arguments)
    mask = run.kept(call)["mask"][:, None, :]
    if key is not None:  # the encoder's: nothing new
        *outputs, _ = call.operation(
            query, cache=run.source_pair(call), visible_places=mask, **others
        )
        return outputs[0] if len(outputs) == 1 else tuple(outputs)
    if "position_ids" in run.parameters(call):
        others |= {"position_ids": run.positions, "key_position_ids": run.key_positions}
    *outputs, pair = call.operation(
        query, cache=run.cache(call), cache_index=run.cache_index,
        visible_places=run.with_new(mask), **others,
    )  # fmt: skip
    run.replace_cache(call, pair)
    return outputs[0] if len(outputs) == 1 else tuple(outputs)


for _layer in (MultiHeadAttention, GatedAttentionUnit, DisentangledAttention):
    add_step_rule(_layer, _attention_step, _attention_prefill)


# ---- positions --------------------------------------------------------------------------------


def _positions_step(run, call, arguments):
    inputs = arguments.get("inputs")
    if arguments.get("position_ids") is None and not isinstance(inputs, (list, tuple)):
        arguments = {**arguments, "position_ids": run.positions}
    return call.operation(**arguments)


for _layer in (PositionEmbedding, SinusoidalPositionEmbedding, RotaryEmbedding):
    add_step_rule(_layer, _positions_step)


def _relative_positions_step(run, call, arguments):
    query, key = arguments["query"], arguments.get("key")
    if isinstance(query, (list, tuple)):
        query, key = query
    keys = run.key_positions
    if key is not None and key is not query:  # the encoder's count from 0 on
        keys = ops.arange(ops.shape(key)[1])[None]
    return call.operation(query, position_ids=run.positions, key_position_ids=keys)


add_step_rule(RelativePositionEmbedding, _relative_positions_step)


def _real_positions_prefill(run, call, arguments):
    positions = call.operation(**arguments)
    first = call.operation.first
    run.keep(call, {"count": ops.max(positions, axis=1) - (first - 1)})
    return positions


def _real_positions_step(run, call, arguments):
    seen = ops.sum(ops.cast(run.visible, "int32"), axis=-1)  # its own place among them
    return run.kept(call)["count"][:, None] + seen + (call.operation.first - 1)


add_step_rule(RealTokenPositions, _real_positions_step, _real_positions_prefill)


# ---- masks ------------------------------------------------------------------------------------


def _mask_prefill(run, call, arguments):
    """Keeps what the prompt's last token sees: all that follow see it too."""
    mask = call.operation(**arguments)
    run.keep(call, {"seen": run.at_last(mask)[:, 0]})
    return mask


def _mask_step(run, call, arguments):
    return run.with_new(run.kept(call)["seen"][:, None, :])


for _layer in (CausalMask, UniLMMask):
    add_step_rule(_layer, _mask_step, _mask_prefill)


def _local_mask_step(run, call, arguments):
    distance = run.places[:, :, None] - run.key_places[:, None, :]
    near = ops.abs(distance) <= call.operation.window // 2
    allowed = arguments.get("allowed")
    return near if allowed is None else ops.logical_and(near, align_bias(allowed, 3))


add_step_rule(LocalMask, _local_mask_step)

# ---- heads and tables -------------------------------------------------------------------------


def _logits(run, call, arguments):
    return call.operation(arguments["inputs"], return_logits=True)


add_step_rule(OutputTable, _logits, _logits, mixes=False)
_RULES[RelativePositionTable] = StepRule(call_as_always, call_as_always, is_constant=True)
