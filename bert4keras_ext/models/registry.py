"""Which class a model name stands for, and which model a Hugging Face folder holds."""

from bert4keras_ext.models.base import Transformer
from bert4keras_ext.models.bert import BERT

MODELS = {
    "bert": BERT,
    "roberta": BERT,  # in the Chinese sense: RoBERTa-wwm is a BERT
}

# "model_type" in config.json -> our model name.
HUGGING_FACE_TYPES = {
    "bert": "bert",
}


def register_model(name, cls):
    """Makes ``build_transformer_model(model=name)`` build ``cls``.

    Raises:
        TypeError: when ``cls`` is not a subclass of Transformer.
    """
    if not (isinstance(cls, type) and issubclass(cls, Transformer)):
        raise TypeError(f"register_model expects a subclass of Transformer, received {cls!r}")
    MODELS[name.lower()] = cls


def find_model(model):
    """The builder class for a name (any case) or a class.

    Raises:
        ValueError: for an unknown name; the message lists the known ones.
    """
    if isinstance(model, type):
        return model
    if isinstance(model, str) and model.lower() in MODELS:
        return MODELS[model.lower()]
    raise ValueError(
        f"unknown model {model!r}: expected one of {sorted(MODELS)}, or a subclass of Transformer"
    )


def model_of_type(model_type):
    """Our model name for a Hugging Face ``model_type``.

    Raises:
        ValueError: for a type there is no builder for; the message lists the known ones.
    """
    if model_type in HUGGING_FACE_TYPES:
        return HUGGING_FACE_TYPES[model_type]
    raise ValueError(
        f"config.json has model_type {model_type!r}; known types are "
        f"{sorted(HUGGING_FACE_TYPES)}. If the folder holds one of these architectures under "
        "another name, pass model= explicitly"
    )
