"""Model families and ``build_transformer_model``."""

from bert4keras_ext._old_names import getattr_of
from bert4keras_ext.models.albert import ALBERT, ALBERT_Unshared
from bert4keras_ext.models.base import Transformer
from bert4keras_ext.models.bert import BERT
from bert4keras_ext.models.build import build_transformer_model
from bert4keras_ext.models.deberta import DeBERTaV2
from bert4keras_ext.models.electra import ELECTRA
from bert4keras_ext.models.ernie import ERNIE
from bert4keras_ext.models.gau import GAU_alpha
from bert4keras_ext.models.generate import generate, stream
from bert4keras_ext.models.gpt import GPT, GPT2, GPT2_ML
from bert4keras_ext.models.masks import (
    extend_with_language_model,
    extend_with_unified_language_model,
)
from bert4keras_ext.models.modernbert import ModernBERT
from bert4keras_ext.models.nezha import NEZHA
from bert4keras_ext.models.registry import register_model
from bert4keras_ext.models.roberta import RoBERTa
from bert4keras_ext.models.roformer import RoFormer, RoFormerV2
from bert4keras_ext.models.step_rules import add_step_rule
from bert4keras_ext.models.t5 import T5, T5_Decoder, T5_Encoder
from bert4keras_ext.models.t5_base import T5_Base

__all__ = [
    "ALBERT",
    "ALBERT_Unshared",
    "BERT",
    "DeBERTaV2",
    "ELECTRA",
    "ERNIE",
    "GAU_alpha",
    "GPT",
    "GPT2",
    "GPT2_ML",
    "ModernBERT",
    "NEZHA",
    "RoBERTa",
    "RoFormer",
    "RoFormerV2",
    "T5",
    "T5_Base",
    "T5_Decoder",
    "T5_Encoder",
    "Transformer",
    "add_step_rule",
    "build_transformer_model",
    "extend_with_language_model",
    "extend_with_unified_language_model",
    "generate",
    "register_model",
    "stream",
]

__getattr__ = getattr_of(__name__)
