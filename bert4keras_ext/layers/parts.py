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


def exceptions(layer):
    """{path: trainable} of the sub-layers and weights that are not as the layer around them."""
    found = {}
    for name, part in _named(layer).items():
        if part.trainable != layer.trainable:
            found[name] = part.trainable
        if isinstance(part, keras.layers.Layer):
            found |= {f"{name}/{inner}": flag for inner, flag in exceptions(part).items()}
    return found


def restore(layer, found):
    """Sets what `exceptions` found, from the outside in, since a layer's setter reaches inwards."""
    for path in sorted(found, key=lambda path: path.count("/")):
        part = layer
        for name in path.split("/"):
            part = _named(part).get(name) if isinstance(part, keras.layers.Layer) else None
        if part is not None:
            part.trainable = found[path]


def _named(layer):
    """{name: sub-layer or weight}, by the attributes that hold them: "q", "gates.0".

    Not by their own names, which Keras counts up where nobody gives one.
    """
    wanted = {id(part): part for part in [*freezable_weights(layer), *sublayers(layer)]}
    if isinstance(layer, keras.Model):
        return {part.name: part for part in wanted.values()}
    named = {}
    for attribute, value in vars(layer).items():
        if attribute not in TRACKED:
            for name, each in _flat(attribute.lstrip("_"), value):
                part = wanted.pop(id(each), None)
                if part is not None:
                    named[name] = part
    return {**named, **{f"part.{i}": part for i, part in enumerate(wanted.values())}}


def _flat(name, value):
    if isinstance(value, (list, tuple)):
        return [(f"{name}.{i}", each) for i, each in enumerate(value)]
    if isinstance(value, dict):
        return [(f"{name}.{key}", each) for key, each in value.items()]
    return [(name, value)]
