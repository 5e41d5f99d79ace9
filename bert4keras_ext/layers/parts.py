"""What is frozen inside a layer: passed on to sub-layers, written into configs, and read back.

Keras freezes sub-layers when ``layer.trainable`` is set, but forgets it where a layer is made with
``trainable=False``, and so wherever one is made from a config: in files, clones and copies.
"""

import weakref

import keras

from bert4keras_ext.backend.keras_internals import TRACKED, freezable_weights, sublayers


def holds_layers(value):
    """Whether an attribute's value is a layer or a container of some."""
    if isinstance(value, dict):
        value = list(value.values())
    values = value if isinstance(value, (list, tuple)) else [value]
    return any(isinstance(each, keras.layers.Layer) for each in values)


def freeze_new(layer):
    """Freezes the sub-layers that a frozen layer got since the last call.

    Only those: what was thawed by hand inside a frozen layer stays so.
    """
    known = vars(layer).setdefault("_known_parts", weakref.WeakSet())
    for part in sublayers(layer):
        if part not in known:
            known.add(part)
            if not layer.trainable:
                part.trainable = False


def freeze_inside(layer):
    """Freezes what Keras' own layers made inside themselves, being built, though they are frozen.

    Once each, before anything within them can have been thawed by hand.
    """
    known = vars(layer).setdefault("_known_built_parts", weakref.WeakSet())
    for part in sublayers(layer):
        if part.built and part not in known:
            known.add(part)
            if part.trainable or hasattr(part, "settle_parts"):
                continue
            for inner in sublayers(part):  # not `part`: TensorFlow skips setting what is set
                inner.trainable = False


def states(layer):
    """{path: state} of what a layer's own arguments do not say of its sub-layers and weights.

    A state is a dict of "trainable", where that is not as the layer around it is, and of
    "lora_rank" and "lora_alpha".
    """
    found = {}
    for name, part in _named(layer).items():
        state = {} if part.trainable == _usual(layer, name) else {"trainable": part.trainable}
        if getattr(part, "lora_enabled", False):
            state |= {"lora_rank": part.lora_rank, "lora_alpha": part.lora_alpha}
        if state:
            found[name] = state
        if isinstance(part, keras.layers.Layer):
            found |= {f"{name}/{inner}": each for inner, each in states(part).items()}
    return found


def _usual(layer, name):
    """Whether a part is trained where nothing was done to it: LoRA freezes the matrix."""
    frozen = getattr(layer, "lora_enabled", False) and name in ("kernel", "embeddings")
    return layer.trainable and not frozen


def restore(layer, found):
    """Brings parts into the states that `states` found; returns those whose part is not there yet.

    From the outside in, since a layer's `trainable` reaches inwards.
    """
    waiting = {}
    for path in sorted(found, key=lambda path: path.count("/")):
        part = layer
        for name in path.split("/"):
            part = _named(part).get(name) if isinstance(part, keras.layers.Layer) else None
        if part is None or ("lora_rank" in found[path] and not part.built):
            waiting[path] = found[path]
        else:
            _set(part, **found[path])
    return waiting


def _set(part, trainable=None, lora_rank=None, lora_alpha=None):
    if trainable is not None:
        part.trainable = trainable
    if lora_rank and not part.lora_enabled:
        part.enable_lora(lora_rank, lora_alpha=lora_alpha)


def _named(layer):
    """{name: sub-layer or weight}, by the attributes that hold them: "q", "gates.0".

    Not by their own names, which Keras counts up where nobody gives one.
    """
    wanted = {id(part): part for part in [*freezable_weights(layer), *sublayers(layer)]}
    if isinstance(layer, keras.Model):
        return {part.name: part for part in wanted.values()}
    named = {}
    attributes = [(k.lstrip("_"), v) for k, v in vars(layer).items() if k not in TRACKED]
    within = [pair for attribute in attributes for pair in _flat(*attribute)]
    for name, each in [*attributes, *within]:
        part = wanted.pop(id(each), None)
        if part is not None:
            named[name] = part
    return {**named, **{f"part.{i}": part for i, part in enumerate(wanted.values())}}


class KeepsFrozenWeights:
    """Mix-in of layers that are Keras' own with a change: a frozen weight of theirs stays so.

    Args:
        frozen_weights: names of the weights that are not trained, ["bias"]; `layer.bias.trainable
            = False` puts them there in files, clones and copies.
    """

    def __init__(self, *args, frozen_weights=(), **kwargs):
        super().__init__(*args, **kwargs)
        self._frozen_to_come = tuple(frozen_weights)

    def build(self, input_shape=None):
        super().build(input_shape)
        named, frozen = _named(self), self._frozen_to_come
        self._frozen_to_come = ()  # what is thawed from here on stays so
        for name in frozen:
            named[name].trainable = False

    def get_config(self):
        # Of a frozen layer the flag of the layer itself says it.
        found = [name for name in states(self) if self.trainable] + list(self._frozen_to_come)
        config = super().get_config()
        return {**config, "frozen_weights": found} if found else config


def _flat(name, value):
    if isinstance(value, (list, tuple)):
        return [(f"{name}.{i}", each) for i, each in enumerate(value)]
    if isinstance(value, dict):
        return [(f"{name}.{key}", each) for key, each in value.items()]
    return []
