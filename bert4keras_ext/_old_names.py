"""bert4keras' names that are not here: one line each that says what to use instead.

The packages that scripts import from ask this module for every name they lack.
"""

import importlib

_KERAS = "`import keras`, and keras.ops in place of keras.backend"
_K = "keras.ops has its functions (keras.ops.sum, keras.ops.cast, ...)"
_TF = "`import tensorflow as tf`"
_NO_DECORATOR = "Keras 3 needs none, leave the decorator out"
_COMMON = {
    "keras": _KERAS,
    "K": _K,
    "tf": _TF,
    "np": "`import numpy as np`",
    "is_tf_keras": "there is Keras 3 only, leave the branch for tf.keras out",
    "is_py2": "there is Python 3 only",
    "custom_objects": "importing bert4keras_ext registers every class, load_model needs none",
}
OLD_NAMES = {
    "backend": {
        "align": "keras.ops.expand_dims and keras.ops.transpose",
        "add_seq_mask": "backend.sequence_masking",
        "batch_gather": "keras.ops.take_along_axis",
        "dtype": "the attribute tensor.dtype",
        "get_available_gpus": "tf.config.list_physical_devices('GPU')",
        "get_gelu": "backend.get_activation('gelu'), or backend.gelu_erf and backend.gelu_tanh",
        "graph_mode_decorator": _NO_DECORATOR,
        "infinity": "numpy.inf, the value of what is masked",
        "piecewise_linear": "optimizers.extend_with_piecewise_linear_lr, or training.WarmupDecay",
        "reshape": "keras.ops.reshape",
        "root_mean_square": "keras.ops.sqrt(keras.ops.mean(keras.ops.square(x), axis))",
        "search_layer": "model.get_layer(name)",
        "set_infinity": "leave it out, what is masked is -numpy.inf",
        "symbolic": _NO_DECORATOR,
        "where": "keras.ops.where",
    },
    "layers": {
        "BiasAdd": "layers.ScaleOffset(scale=False)",
        "EmbeddingDense": "layers.Embedding, called with mode='dense'",
        "FactorizedEmbedding": "layers.Embedding and layers.Dense behind it",
        "GroupDense": "keras.layers.EinsumDense",
        "Scale": "layers.ScaleOffset(offset=False)",
        "Sinusoidal": "backend.Sinusoidal",
        "SinusoidalInitializer": "backend.Sinusoidal",
        "ZeroMasking": "Embedding(mask_zero=True), whose mask our layers follow",
        "recompute_grad": "backend.recompute_grad",
        "sequence_masking": "backend.sequence_masking",
    },
    "models": {
        "build_bert_model": "models.build_transformer_model",
        "data_parallel": "tf.distribute.MirroredStrategy().scope() around building and compile",
        "extend_with_parallel_unified_language_model": (
            "models.extend_with_unified_language_model (application='unilm')"
        ),
        "GPT_OpenAI": "models.GPT",
        "LM_Mask": "application='lm', or models.extend_with_language_model",
        "UniLM_Mask": "application='unilm', or models.extend_with_unified_language_model",
        "load_pretrained_model": "models.build_transformer_model",
    },
    "optimizers": {
        "ExponentialMovingAverage": "optimizers.extend_with_exponential_moving_average",
        "GradientAccumulation": "optimizers.extend_with_gradient_accumulation",
        "OptimizerWrapper": "the functions extend_with_..., each of which makes a new class",
        "PiecewiseLinearLearningRate": "optimizers.extend_with_piecewise_linear_lr",
        "add_weight_decay_into": "optimizers.extend_with_weight_decay",
        "AdaFactorBase": "optimizers.AdaFactor",
        "AdaFactorV1": "optimizers.AdaFactor",
        "AdaFactorV2": "optimizers.AdaFactor",
        "LionV2": "optimizers.Lion",
        "piecewise_linear": "optimizers.extend_with_piecewise_linear_lr, or training.WarmupDecay",
    },
    "snippets": {
        "BeamSearch": "snippets.AutoRegressiveDecoder and its beam_search",
        "Progress": "tqdm.tqdm",
        "WebServing": "no serving is here yet, a web framework around model.predict_on_batch",
        "get_all_attributes": "vars(module)",
        "groupby": "itertools.groupby",
        "uniout": "Python 3 prints Chinese as it is",
    },
    "tokenizers": {
        "BasicTokenizer": "tokenizers.TokenizerBase",
        "SimpleTokenizer": "tokenizers.Tokenizer",
        "SpmTokenizer": "tokenizers.SpTokenizer",
    },
    "": {
        "bert": "bert4keras_ext.models",
        "tokenizer": "bert4keras_ext.tokenizers",
        "train": "bert4keras_ext.optimizers",
        "utils": "bert4keras_ext.snippets and bert4keras_ext.tokenizers",
    },
}
# bert4keras hands on all that Keras has there.
OF_KERAS = {"layers": "layers", "models": "models", "optimizers": "optimizers"}


def getattr_of(package):
    """The ``__getattr__`` of a package that lacks some of bert4keras' names.

    It raises ImportError for those: of an AttributeError's message ``from ... import`` shows
    nothing.

    Args:
        package: its ``__name__``.
    """
    short = package.partition(".")[2]

    def __getattr__(name):
        advice = advice_on(short, name)
        if advice is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        raise ImportError(f"{package} has no {name}, use instead: {advice}", name=name)

    return __getattr__


def advice_on(package, name):
    """What to use in place of one of bert4keras' names, or None for any other name."""
    advice = OLD_NAMES[package].get(name) or (_COMMON.get(name) if package else None)
    if advice is None and name.startswith("extend_with_") and name.endswith("_v2"):
        return f"{package}.{name.removesuffix('_v2')}"
    if advice is None and package in OF_KERAS and not name.startswith("_"):
        module = f"keras.{OF_KERAS[package]}"
        return f"{module}.{name}" if hasattr(importlib.import_module(module), name) else None
    return advice
