"""Which class a model name stands for, and which model a Hugging Face folder holds."""

from bert4keras_ext.models.albert import ALBERT, ALBERT_Unshared
from bert4keras_ext.models.base import Transformer
from bert4keras_ext.models.bert import BERT
from bert4keras_ext.models.deberta import DeBERTaV2
from bert4keras_ext.models.electra import ELECTRA
from bert4keras_ext.models.ernie import ERNIE
from bert4keras_ext.models.gau import GAU_alpha
from bert4keras_ext.models.gpt import GPT, GPT2, GPT2_ML
from bert4keras_ext.models.modernbert import ModernBERT
from bert4keras_ext.models.nezha import NEZHA
from bert4keras_ext.models.roberta import RoBERTa
from bert4keras_ext.models.roformer import RoFormer, RoFormerV2
from bert4keras_ext.models.t5 import MODELS as T5_MODELS
from bert4keras_ext.models.t5 import model_of_config as t5_of_config

MODELS = {
    "bert": BERT,
    "roberta": BERT,  # in the Chinese sense: RoBERTa-wwm is a BERT
    "albert": ALBERT,
    "albert_unshared": ALBERT_Unshared,
    "deberta_v2": DeBERTaV2,
    "deberta_v3": DeBERTaV2,  # trained in another way, the same architecture
    "electra": ELECTRA,
    "ernie": ERNIE,
    "xlm_roberta": RoBERTa,  # as its authors made it, English or of many languages
    "nezha": NEZHA,
    "roformer": RoFormer,
    "roformer_v2": RoFormerV2,
    "gau_alpha": GAU_alpha,
    "modernbert": ModernBERT,
    "gpt": GPT,
    "gpt2": GPT2,
    "gpt2_ml": GPT2_ML,
    **T5_MODELS,  # t5, t5.1.0, t5.1.1, mt5.1.1, each alone and with _encoder, _decoder
}


def _is_chinese_roberta(config):
    """A BERT under the name of RoBERTa, as most Chinese ones are (and usually say "bert")."""
    architectures = config.get("architectures") or [""]
    return architectures[0].startswith("Bert") or config.get("pad_token_id") == 0


# "model_type" in config.json -> our model name, or a function of the config that tells it.
HUGGING_FACE_TYPES = {
    "bert": "bert",
    "albert": "albert",
    "deberta-v2": "deberta_v2",
    "electra": "electra",
    "ernie": "ernie",
    "roberta": lambda config: "bert" if _is_chinese_roberta(config) else "xlm_roberta",
    "xlm-roberta": "xlm_roberta",
    "modernbert": "modernbert",
    "t5": t5_of_config,
    "mt5": t5_of_config,
    "nezha": "nezha",
    "openai-gpt": "gpt",
    "gpt2": "gpt2",
    "roformer": lambda config: (
        "roformer_v2" if config.get("norm_type") == "rms_norm" else "roformer"
    ),
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


def model_of_type(model_type, config=None):
    """Our model name for a Hugging Face ``model_type``.

    Raises:
        ValueError: for a type there is no builder for; the message lists the known ones.
    """
    if model_type in HUGGING_FACE_TYPES:
        name = HUGGING_FACE_TYPES[model_type]
        return name(config or {}) if callable(name) else name
    raise ValueError(
        f"config.json has model_type {model_type!r}; known types are "
        f"{sorted(HUGGING_FACE_TYPES)}. If the folder holds one of these architectures under "
        "another name, pass model= explicitly"
    )
