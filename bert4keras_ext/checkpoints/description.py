"""What of a builder survives in its Keras model, so that the model alone can be saved by name.

The token embedding carries it in its config, as plain data: it is in every model made from an
encoder's inputs, and in files, clones and copies of them.
"""

import logging

import keras

from bert4keras_ext.backend.keras_internals import all_layers_of, sublayers

logger = logging.getLogger(__name__)

# The checkpoint's vocabulary: without meaning once the table is edited, and long.
_LEFT_OUT = ("keep_tokens", "compound_tokens")


def named_weights(layers, prefix=""):
    """{"Embedding-Token/embeddings": variable, ...} of {name: layer}, without the prefix.

    Those of LoRA come last in their layer, where no list of published names reaches.
    """
    weights = {}
    for name, layer in layers.items():
        short = name.removeprefix(prefix)
        # Inputs are kept among a builder's layers as well.
        for variable in sorted(getattr(layer, "weights", ()), key=_is_lora):
            inner = variable.path.split(f"{layer.name}/", 1)[-1]
            weights[f"{short}/{inner}"] = variable
    return weights


def _is_lora(variable):
    return variable.name.startswith("lora_")


def describe(builder, layers, mapping=None):
    """Writes what saving needs to know of a builder into one of its layers.

    Args:
        builder: what built a model.
        layers: {name: layer} of that model.
        mapping: names given by hand instead of the family's table, if any.
    """
    holders = [layer for layer in layers.values() if hasattr(layer, "descriptions")]
    if not holders:
        return  # a family of the user's own, without a layer of ours
    attributes = {k: v for k, v in vars(builder).items() if k not in _LEFT_OUT and _is_plain(v)}
    weighty = [name for name, layer in layers.items() if getattr(layer, "weights", ())]
    description = {
        "family": builder.family, "layers": weighty, "mapping": mapping, "attributes": attributes,
    }  # fmt: skip
    # A layer that several builders share has one from each.
    if description not in holders[0].descriptions:
        holders[0].descriptions = (*holders[0].descriptions, description)


def _is_plain(value):
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(isinstance(k, str) and _is_plain(v) for k, v in value.items())
    return value is None or isinstance(value, (bool, int, float, str))


class DescribedModel:
    """What `save_checkpoint` asks of a builder, for a Keras model whoever made it.

    Args:
        description: as `describe` wrote it.
        layers: {name: layer} of those in the model that it names.
    """

    def __init__(self, description, layers):
        vars(self).update(description["attributes"])
        self.family = description["family"]
        self.mapping = description["mapping"]
        self.layers = layers

    def named_weights(self):
        return named_weights(self.layers, self.prefix)


def builder_of(model):
    """A stand-in for the builder of a Keras model, or of the one encoder within it.

    Args:
        model: what `build_transformer_model` gave; one that was loaded, cloned or copied; or a
            model of yours made from its outputs, or with it as a layer.

    Raises:
        ValueError: where no such model is found, or more than one.
    """
    found = [pair for each in _models_in(model) for pair in _described(each)]
    if not found:
        raise ValueError(
            f"expected a model of build_transformer_model, or one made from it; the model "
            f"{model.name!r} holds no description of one. A model saved before there were "
            "descriptions has none: build it again, with return_keras_model=False, give it the "
            "weights (builder.model.set_weights), and pass the builder"
        )
    complete = [(d, layers) for d, layers in found if len(layers) == len(d["layers"])]
    widest = max(len(layers) for _, layers in complete or found)
    best = [(d, layers) for d, layers in complete or found if len(layers) == widest]
    if len({tuple(map(id, layers.values())) for _, layers in best}) > 1:
        raise ValueError(
            f"expected one encoder in the model {model.name!r}, found {len(best)}: pass the one to "
            "save, model.get_layer(...) where it is a model of its own, else keras.Model(its "
            "inputs, its output)"
        )
    description, layers = best[0]
    missing = [name for name in description["layers"] if name not in layers]
    if missing:
        logger.warning(
            "%d layers of the %s that was built are not in the model %r and are not written: %s",
            len(missing), description["family"], model.name, ", ".join(missing[:10]),
        )  # fmt: skip
    return DescribedModel(description, layers)


def _models_in(model):
    """The model, and those within it, each once."""
    inner = [each for each in all_layers_of(model) if isinstance(each, keras.Model)]
    return list({id(each): each for each in [model, *inner]}.values())


def _described(model):
    """[(description, {name: layer})] of the layers that stand in this very model."""
    own = {layer.name: layer for layer in sublayers(model)}
    descriptions = [d for layer in own.values() for d in getattr(layer, "descriptions", ())]
    return [(d, {name: own[name] for name in d["layers"] if name in own}) for d in descriptions]
